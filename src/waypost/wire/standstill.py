"""A loop that stood still: a stopped process, a long collection, a busy machine. It runs its timers before it reads.

So what a timer finds missing may lie unread in a socket, and nobody is to be blamed for a silence that was our own.
"""

LONG_S = 0.25  # later than a loop that is merely busy
LOOK_S = 0.05  # for reading what came meanwhile


class Standstill:
    """For a timer that ends waits: whether it came so late that sockets come first. Never twice in a row."""

    __slots__ = ("_put_off",)

    def __init__(self) -> None:
        self._put_off = False

    def puts_off(self, late_s: float) -> bool:
        """If so, the timer is to be set again, for `LOOK_S`."""
        self._put_off = late_s > LONG_S and not self._put_off
        return self._put_off
