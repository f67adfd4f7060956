"""The operator's errors. Knows how problems are shown; refuses to know what was wrong."""

import re

import msgspec

from waypost.config.model import ProblemAt
from waypost.conversation.faults import WaypostError

# Where a colon was forgotten (`{api_key sk-…}`), what is read as a name holds the value too.
_AFTER_A_SPACE = re.compile(r'(\["[^"\s]*)\s[^"]*"\]')


def _without_values(problem: ProblemAt) -> ProblemAt:
    return msgspec.structs.replace(problem, path=_AFTER_A_SPACE.sub(r'\1 …"]', problem.path))


class ConfigError(WaypostError):
    """A configuration that can't be served. `problems` holds every one of them, ordered by line. No message holds a
    secret.
    """

    def __init__(self, problems: tuple[ProblemAt, ...]) -> None:
        self.problems = tuple(_without_values(problem) for problem in problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class SecretError(WaypostError):
    """A reference without a usable value behind it. The message names the reference and never the value."""
