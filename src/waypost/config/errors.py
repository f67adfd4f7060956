"""The operator's errors. Knows how problems are shown; refuses to know what was wrong."""

from waypost.config.model import ProblemAt
from waypost.conversation.faults import WaypostError


class ConfigError(WaypostError):
    """A configuration that can't be served. `problems` holds every one of them, ordered by line. No message holds a
    secret.
    """

    def __init__(self, problems: tuple[ProblemAt, ...]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems


class SecretError(WaypostError):
    """A reference without a usable value behind it. The message names the reference and never the value."""
