"""Where in a body something is, for those who are told that it is wrong. Knows JSON's grammar and no protocol.

Only called once something is wrong; what is wrong far within a large body is not looked for. No recursion.
"""

import re

import msgspec

OUTERMOST = "the body"
HALF_SURROGATE = "holds half of a surrogate pair (such as \\ud800), which is no character"

_TOKEN = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|[{}\[\],]', re.DOTALL)
# Any escape, so that a backslash's own is not taken for the beginning of another; a whole pair of surrogates is one.
_ESCAPE = re.compile(rb"\\(?:u[dD](?P<half>[89abAB][0-9a-fA-F]{2}(?P<other>\\u[dD][c-fC-F])?|[c-fC-F])|.)", re.DOTALL)
_SEARCHED = 256 * 1024  # bytes: nobody else is served meanwhile
_DEEP = 256  # levels: more than anybody means
_MOST_STEPS = 6
_LONGEST_STEP = 60  # characters
_decode = msgspec.json.Decoder(str).decode


def place_of(body: bytes, byte: int) -> str:
    """What holds the byte: "messages[0].content"; `OUTERMOST` for the object of all. Long paths are cut."""
    if byte >= _SEARCHED:
        return OUTERMOST
    steps: list[str | int | None] = []
    for token in _TOKEN.finditer(body):
        if token.start() > byte:
            break
        mark = body[token.start()]
        if mark == 0x7B:
            steps.append(None)
        elif mark == 0x5B:
            steps.append(0)
        elif mark in b"}]":
            if steps:
                steps.pop()
        elif steps:
            last = steps[-1]
            if isinstance(last, int):
                steps[-1] = last + 1 if mark == 0x2C else last
            elif mark == 0x2C:
                steps[-1] = None
            elif last is None:
                steps[-1] = _spelt(token.group())[:_LONGEST_STEP]
    return _path(steps)


def half_surrogate(body: bytes) -> int | None:
    """The byte at which an escape begins that is half of a surrogate pair: no character, and no text holds it."""
    for escape in _ESCAPE.finditer(body, 0, _SEARCHED):
        if escape["half"] is not None and escape["other"] is None:
            return escape.start()
    return None


def deepest(body: bytes) -> int:
    """The byte at which a body is nested more deeply than anybody means; its end if none is found."""
    depth = 0
    for token in _TOKEN.finditer(body, 0, _SEARCHED):
        mark = body[token.start()]
        if mark in b"{[":
            depth += 1
            if depth > _DEEP:
                return token.start()
        elif mark in b"}]":
            depth -= 1
    return len(body)


def _spelt(quoted: bytes) -> str:
    """The name itself, or where it is none, as it was written."""
    try:
        return _decode(quoted)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return quoted[1:-1].decode("utf-8", "replace")


def _path(steps: list[str | int | None]) -> str:
    path = ""
    for step in steps[:_MOST_STEPS]:
        if isinstance(step, int):
            path += f"[{step}]"
        elif step is not None:
            path += f".{step}"
    return path.lstrip(".") or OUTERMOST
