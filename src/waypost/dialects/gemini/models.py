"""What the Gemini models accept, by the version in their name, where that decides between an answer and a 400.

Only a translated request asks: a caller who speaks this protocol says what the model accepts. Google's pages on
thinking: from 3 on models take a level and can't be told not to think, 2.5 takes a budget of tokens (Pro thinks at
least 128), older ones don't think. A name without a version ("gemini-flash-latest") is taken for one of 3.
"""

import re
from typing import NamedTuple

_VERSION = re.compile(r"gemini-(\d{1,2})(?:\.(\d{1,2}))?(?!\d)")


class Abilities(NamedTuple):
    thinks: bool
    levels: bool  # thinks by level, not by a budget of tokens
    levels_below_low: bool
    least_budget: int
    most_budget: int
    validates: bool  # can hold calls to their schemas without forcing them
    media_in_results: bool  # takes media within a function's response
    checks_signatures: bool  # refuses a function call of the current turn that comes without its signature


def abilities(model: str) -> Abilities:
    name = model.lower()
    found = _VERSION.search(name)
    version = (int(found[1]), int(found[2] or 0)) if found else (3, 0)
    newest = version >= (3, 0) and "gemini" in name
    pro = "pro" in name
    return Abilities(
        thinks=version >= (2, 5) and "gemini" in name,
        levels=newest,
        levels_below_low=newest and not pro,
        least_budget=128 if pro else 0,
        most_budget=32768 if pro else 24576,
        validates=version >= (2, 5),
        media_in_results=newest,
        checks_signatures=newest,
    )
