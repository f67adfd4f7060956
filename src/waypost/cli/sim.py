"""`waypost sim`: serves simulated providers until it is told to stop."""

import argparse
import asyncio
import json
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from waypost.sim import Simulator

NAME = "sim"
HELP = "serve simulated providers, with scripted faults"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--listen", default="127.0.0.1:8090", metavar="HOST:PORT", help="default: %(default)s")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="another seed, other answers; default: 0")
    parser.add_argument("--script", type=Path, metavar="FILE", help="what goes wrong, and how long it takes (YAML)")


def run(arguments: argparse.Namespace) -> int:
    """0 when it was stopped, 1 if it can't listen, 2 for a bad address or script."""
    from waypost.sim import Script, ScriptError, Simulator, read_script

    host, _, port = arguments.listen.rpartition(":")
    if not port.isdecimal() or int(port) > 65535:
        print(f"waypost sim: --listen {arguments.listen}: expected HOST:PORT", file=sys.stderr)
        return 2
    try:
        script = Script() if arguments.script is None else read_script(arguments.script.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, ScriptError) as error:
        print(f"waypost sim: {arguments.script}: {error}", file=sys.stderr)
        return 2
    import uvloop

    simulator = Simulator(script, seed=arguments.seed)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        try:
            runner.run(_serve(simulator, host.strip("[]") or "127.0.0.1", int(port), getattr(arguments, "json", False)))
        except OSError as error:
            print(f"waypost sim: {arguments.listen}: {error}", file=sys.stderr)
            return 1
    return 0


async def _serve(simulator: "Simulator", host: str, port: int, as_json: bool) -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    async with simulator.serve(host, port) as address:
        if as_json:
            print(json.dumps({"address": address, "refusing": simulator.refusing_address}), flush=True)
        else:
            print(
                f"OpenAI     http://{address}/v1\n"
                f"Anthropic  http://{address}   (Gemini, Cohere and Bedrock too)\n"
                f"refuses    http://{simulator.refusing_address}",
                flush=True,
            )
        await stopped.wait()
