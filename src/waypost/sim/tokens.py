"""What the simulator calls a token: a word, or ten characters of a longer one, with the white space before it.

A text never has more tokens than bytes, and joining its tokens gives the text back: they are also a stream's deltas.
"""

import re

_TOKEN = re.compile(r"\s*\S{1,10}|\s+")


def split_tokens(text: str) -> list[str]:
    return _TOKEN.findall(text)


def count_tokens(text: str) -> int:
    return len(_TOKEN.findall(text)) if text else 0
