"""What the models behind Bedrock accept, by their ids, where that decides between an answer and a 400.

Only a translated request asks: a caller who speaks this protocol says what the model accepts. An id names its vendor
("us.anthropic.claude-sonnet-4-5-20250929-v1:0"); an application's own profile (an ARN) names none, and gets only what
all models take. Of Claude the rules are those of its maker: from 4.1 on `temperature` or `top_p`, not both; Opus 4.7
and everything from 5 on take neither, nor `top_k`; 4.6 and later think adaptively, steered by effort.
"""

import re
from enum import StrEnum
from typing import NamedTuple

# "claude-3-7-sonnet-20250219", "claude-sonnet-4-20250514", "claude-opus-4-7": eight digits are a date.
_CLAUDE = re.compile(r"claude-(?:[a-z]+-)*?(\d{1,2})(?:[-.](\d{1,2}))?(?!\d)")
_ALWAYS_THINKING = ("claude-fable", "claude-mythos")
_NOVA_2 = re.compile(r"nova-2\b")


class Family(StrEnum):
    CLAUDE = "claude"
    NOVA = "nova"
    MISTRAL = "mistral"
    OPEN_WEIGHTS = "gpt-oss"
    OTHER = "other"


class Abilities(NamedTuple):
    family: Family
    adaptive: bool = False  # thinks by effort, not by a budget of tokens
    budget: bool = False  # thinks by a budget of tokens
    can_disable: bool = True  # can be told not to think
    sampling: bool = True  # takes temperature, top_p, top_k
    both_samplers: bool = True  # takes temperature and top_p together
    caches: bool = False  # takes cache points
    caches_tools: bool = False  # takes them among the tools too
    cache_lifetimes: bool = False  # takes their lifetime
    one_call: bool = False  # can be told to make one tool call at a time
    result_status: bool = False  # is told whether a tool failed


def abilities(model: str) -> Abilities:
    name = model.lower()
    if "claude" in name:
        return _claude(name)
    if "nova" in name:
        reasons = _NOVA_2.search(name) is not None
        return Abilities(Family.NOVA, adaptive=reasons, caches=True, result_status=True)
    if "mistral" in name:
        return Abilities(Family.MISTRAL)
    return Abilities(Family.OPEN_WEIGHTS if "gpt-oss" in name else Family.OTHER)


def _claude(name: str) -> Abilities:
    always = any(family in name for family in _ALWAYS_THINKING)
    found = _CLAUDE.search(name)
    version = (99, 0) if always else (int(found[1]), int(found[2] or 0)) if found else (0, 0)
    adaptive = version >= (4, 6)
    return Abilities(
        Family.CLAUDE,
        adaptive=adaptive,
        budget=version >= (3, 7) and not adaptive,
        can_disable=not always,
        sampling=version < (5, 0) and not ("opus" in name and version >= (4, 7)),
        both_samplers=version < (4, 1),
        caches=version >= (3, 5),
        caches_tools=version >= (3, 5),
        cache_lifetimes=version >= (4, 5),
        one_call=version >= (4, 5),
        result_status=version >= (3, 0),
    )
