"""A simulator's script: what each model takes, answers and does wrong. Read strictly from YAML.

Knows the shape of a script. Refuses to know sockets and protocols.
"""

from typing import Any

import msgspec
from msgspec import Struct

from waypost.sim.faults import Fault, FaultKind
from waypost.sim.latency import Latency, check_distribution


class ScriptError(ValueError):
    """A script that can't be read; the message names the place."""


class Model(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`context_tokens`: longer prompts are refused as the provider does. `words`: length of answers."""

    faults: tuple[Fault, ...] = ()
    latency: Latency = Latency()
    context_tokens: int | None = None
    words: int | None = None


class Script(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`models` by name, `"*"` for all that are not named. `keys`: the only ones accepted; None: no key is asked for.

    `only_listed`: any other model is unknown (404). `strict`: parameters the protocol does not know are refused (400).
    """

    models: dict[str, Model] = {}
    keys: tuple[str, ...] | None = None
    only_listed: bool = False
    strict: bool = True


STANDARD_MODELS = ("sim-small", "sim-large", "sim-reasoner", "sim-echo")
_PLAIN = Model()


def model_of(script: Script, name: str) -> Model:
    return script.models.get(name) or script.models.get("*") or _PLAIN


def listed_models(script: Script) -> list[str]:
    named = [name for name in script.models if name != "*"]
    return named if script.only_listed else [*named, *(name for name in STANDARD_MODELS if name not in script.models)]


def read_script(text: str) -> Script:
    """Raises ScriptError for YAML that is none, unknown members, wrong types and values out of range."""
    import yaml  # a script is rare; the serving process should not carry the parser for it

    try:
        data: Any = yaml.safe_load(text)
        script = msgspec.convert({} if data is None else data, Script)
    except (yaml.YAMLError, msgspec.ValidationError) as error:
        raise ScriptError(str(error)) from None
    for name, model in script.models.items():
        _check_model(f"models.{name}", model)
    return script


def _check_model(path: str, model: Model) -> None:
    for member in ("first_byte", "per_token_ms"):
        problem = check_distribution(getattr(model.latency, member))
        if problem is not None:
            raise ScriptError(f"{path}.latency.{member}: {problem}")
    for index, fault in enumerate(model.faults):
        if fault.kind is FaultKind.CONNECT_REFUSED:
            raise ScriptError(
                f"{path}.faults[{index}]: connect_refused is a property of an address: use the refusing address"
            )
        if not 0 <= fault.probability <= 1 or fault.every < 1:
            raise ScriptError(f"{path}.faults[{index}]: needs 0 <= probability <= 1 and every >= 1")
