"""Limits in headers, one for each kind of limit and each thing told of it: only names and times differ by protocol."""

from collections.abc import Callable, Mapping

from waypost.conversation.limits import Limit
from waypost.dialects.dialect import Headers, LimitHeaders
from waypost.dialects.fault_text import count_of

_KINDS = ("requests", "tokens")
Name = Callable[[str, str], str]  # of the header that tells "limit", "remaining" or "reset" of a kind
ReadTime = Callable[[str, float], float | None]  # the seconds until then; it is told the time, in Unix seconds
WriteTime = Callable[[float, float], str | None]  # the other way round


def limit_headers(name: Name, read_time: ReadTime, write_time: WriteTime) -> LimitHeaders:
    def read(headers: Mapping[str, str], now_s: float) -> tuple[Limit, ...]:
        limits = [
            Limit(
                kind,
                count_of(headers.get(name("limit", kind))),
                count_of(headers.get(name("remaining", kind))),
                read_time(headers.get(name("reset", kind), ""), now_s),
            )
            for kind in _KINDS
        ]
        return tuple([limit for limit in limits if limit.says_anything])

    def write(limits: tuple[Limit, ...], now_s: float) -> Headers:
        told = [
            (name(what, limit.of), value)
            for limit in limits
            for what, value in (
                ("limit", limit.most),
                ("remaining", limit.left),
                ("reset", None if limit.full_in_s is None else write_time(limit.full_in_s, now_s)),
            )
        ]
        return tuple([(header, str(value)) for header, value in told if value is not None])

    return LimitHeaders(read, write)
