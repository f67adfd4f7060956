"""A timer that comes late lets sockets be read first, and then does what it is for."""

from waypost.wire.standstill import LONG_S, Standstill


def test_what_comes_late_is_put_off_once() -> None:
    standstill = Standstill()
    late = [0.0, LONG_S, LONG_S + 1, 9.0, 9.0, 0.0, 9.0]
    assert [standstill.puts_off(late_s) for late_s in late] == [False, False, True, False, True, False, True]
