"""Simulated providers of six protocols with scripted faults: an independent witness of what a gateway does.

Shares no code with the gateway's dialects, so that a misreading of a protocol can't be on both sides.
"""

from waypost.sim.addresses import refusing_address
from waypost.sim.connection import Received
from waypost.sim.demo import demo_config_yaml
from waypost.sim.faults import Fault, FaultKind
from waypost.sim.latency import Fixed, Latency, Lognormal, Uniform
from waypost.sim.script import Model, Script, ScriptError, read_script
from waypost.sim.simulator import Simulator

__all__ = [
    "Fault",
    "FaultKind",
    "Fixed",
    "Latency",
    "Lognormal",
    "Model",
    "Received",
    "Script",
    "ScriptError",
    "Simulator",
    "Uniform",
    "demo_config_yaml",
    "read_script",
    "refusing_address",
]
