"""What the Claude models accept, by the version in their name, where that decides between an answer and a 400.

Only a translated request asks: a caller who speaks this protocol says what the model accepts. Observed of the API:
4.1 and later take `temperature` or `top_p`, not both; Opus 4.7 and everything from 5 on take neither, nor `top_k`; 4.6
and later think adaptively, steered by `output_config.effort`, earlier ones by a budget of tokens; Fable and Mythos
always think. A name without a version (another vendor's model behind this protocol) takes the oldest, widest form.
"""

import re
from collections.abc import Set
from typing import NamedTuple

# "claude-3-7-sonnet-20250219", "claude-sonnet-4-20250514", "anthropic/claude-opus-4.7": eight digits are a date.
_VERSION = re.compile(r"claude-(?:[a-z]+-)*?(\d{1,2})(?:[-.](\d{1,2}))?(?!\d)")
_ALWAYS_THINKING = ("claude-fable", "claude-mythos")


class Abilities(NamedTuple):
    adaptive: bool  # thinks by effort, not by a budget of tokens
    sampling: bool  # takes temperature, top_p, top_k
    both_samplers: bool  # takes temperature and top_p together
    can_disable: bool  # takes thinking: disabled


def abilities(model: str, quirks: Set[str] = frozenset()) -> Abilities:
    """`quirks` "effort" and "thinking_budget" say how a provider's models think, whatever their name."""
    name = model.lower()
    always = any(family in name for family in _ALWAYS_THINKING)
    version = (99, 0) if always else _version(name)
    adaptive = version >= (4, 6)
    if "effort" in quirks:
        adaptive = True
    elif "thinking_budget" in quirks:
        adaptive = False
    sampling = version < (5, 0) and not ("opus" in name and version >= (4, 7))
    return Abilities(adaptive, sampling, version < (4, 1), not always)


def _version(name: str) -> tuple[int, int]:
    found = _VERSION.search(name)
    if found is None:
        return (0, 0)
    return (int(found[1]), int(found[2] or 0))
