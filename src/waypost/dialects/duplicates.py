"""Members that an object has twice: of such only one is heard, and nobody can know which one was meant.

A body that is passed on keeps both. One that is read, to be written for another provider, would lose one in silence.
"""

import json
import re

import msgspec

from waypost.conversation.faults import ErrorKind, Refused
from waypost.dialects.json_edit import MOST_MEMBERS
from waypost.dialects.places import place_of

_TOKEN = re.compile(rb'("[^"\\]*(?:\\.[^"\\]*)*")(?:[ \t\n\r]*(:))?|[{}\[\]]', re.DOTALL)
_MOST_HELD = 200_000  # values, each of which may take some hundred bytes of memory
_MOST_WALKED = 1_000_000  # strings and brackets: some hundred milliseconds, in which nobody else is served
_SPACE = b" \t\n\r"
_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode
_spelt = msgspec.json.Decoder(str).decode


def check_no_duplicates(body: bytes, verbatim: frozenset[bytes]) -> None:
    """Refused(BAD_REQUEST) that names the member. `body` has been decoded once: it is well-formed.

    `verbatim` are the quoted names of members whose values are carried as they were received, twice or not.
    """
    if body.count(b",") + body.count(b"[") + body.count(b"{") > _MOST_HELD:
        _search(body, verbatim)
        return
    # Printed with each name once it is the same, but for spaces, only if no name was there twice.
    again = _printed(body) if b"\\u" not in body else b""  # a character that was escaped is not printed so
    if again == body or again.translate(None, _SPACE) == body.translate(None, _SPACE) or _told_once(body):
        return
    _search(body, verbatim)


class _Twice(Exception):
    pass


def _once(members: list[tuple[str, object]]) -> None:
    if len(dict(members)) != len(members):
        raise _Twice


_members = json.JSONDecoder(object_pairs_hook=_once, parse_int=str, parse_float=str)


def _told_once(body: bytes) -> bool:
    """By a decoder that tells the members of each object, five times as fast as the search. False where in doubt."""
    try:
        _members.decode(body.decode())
    except (_Twice, ValueError, RecursionError):
        return False
    return True


def _printed(body: bytes) -> bytes:
    """Nothing for what can't be held as values: a number beyond all floats, say."""
    try:
        return _encode(_decode(body))
    except (msgspec.MsgspecError, UnicodeError, RecursionError, OverflowError):
        return b""


def _search(body: bytes, verbatim: frozenset[bytes]) -> None:
    around: list[set[bytes] | None] = []  # the names of each object around, None for a list
    names: set[bytes] | None = None
    carried = 0  # how deep what is carried as received begins, 0 outside of it
    begins_carried = False
    for count, token in enumerate(_TOKEN.finditer(body)):
        if count == _MOST_WALKED:
            raise Refused(ErrorKind.BAD_REQUEST, f"the body has more than {_MOST_WALKED} texts and brackets")
        string, colon = token.group(1, 2)
        if string is not None:
            if colon is not None and names is not None and not carried:
                _hear(string, names, body, token.start())
                begins_carried = len(around) > 1 and string in verbatim
            continue
        if body[token.start()] in b"{[":
            around.append(names)
            names = set() if body[token.start()] == 0x7B else None
            if begins_carried:
                carried = len(around)
        else:
            if carried == len(around):
                carried = 0
            names = around.pop()
        begins_carried = False


def _hear(quoted: bytes, names: set[bytes], body: bytes, place: int) -> None:
    name = quoted if b"\\" not in quoted else _encode(_spelt(quoted))
    if name in names:
        raise Refused(ErrorKind.BAD_REQUEST, f"`{place_of(body, place)}` is given twice")
    if len(names) == MOST_MEMBERS:
        where = place_of(body, place)
        raise Refused(ErrorKind.BAD_REQUEST, f"`{where}`: the object has more than {MOST_MEMBERS} members")
    names.add(name)
