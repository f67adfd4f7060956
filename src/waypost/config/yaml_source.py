"""From YAML text to a tree of words, each with its line. Knows YAML's syntax; refuses to know what a word means.

A word stays the text that was written: what `off`, `012` or `1:30` are is decided by the field that reads them.
Anchors,
aliases, tags, merge keys, several documents and deep nesting are refused: a configuration is small, plain and finite.

`${NAME}` inside a flow mapping (`{api_key: ${NAME}}`) is not YAML. Its braces are therefore exchanged for private-use
characters, one for one, before parsing and back after it, so that lines and columns hold.
"""

import re
from collections.abc import Iterator
from typing import Any

import yaml
from msgspec import Struct

LARGEST_FILE = 1024 * 1024
DEEPEST_NESTING = 24

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_BRACED = re.compile(r"\$\{([^{}\n\r]*)\}")
_OPEN, _CLOSE = "\ue000", "\ue001"
_TO_BRACES = str.maketrans({_OPEN: "{", _CLOSE: "}"})
# YAML 1.1 section 5.1, less the two characters that stand in for braces
_FORBIDDEN = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue002-\ufffd\U00010000-\U0010ffff]")
_TAB_INDENT = re.compile(r"^ *\t[ \t]*(?![ \t#\r\n])(?=.)", re.MULTILINE)
_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
_PLAIN_WORD = re.compile(r"[A-Za-z0-9_-]+")


class Scalar(Struct, frozen=True):
    """One word, as written. `plain`: without quotes. `line` counts from 1."""

    text: str
    line: int
    column: int
    plain: bool = True

    @property
    def is_null(self) -> bool:
        return self.plain and self.text in _NULLS


class Entry(Struct, frozen=True):
    key: str
    line: int
    column: int
    value: "Node"


class Table(Struct, frozen=True):
    """A mapping, entries in the order of the file: duplicates included."""

    entries: tuple[Entry, ...]
    line: int
    column: int


class Sequence(Struct, frozen=True):
    items: tuple["Node", ...]
    line: int
    column: int


Node = Scalar | Table | Sequence


class Flaw(Struct, frozen=True):
    """Something that is wrong with the text itself. `path` is dotted, as far as it is known."""

    line: int
    column: int
    path: str
    message: str


class _Open:
    """A collection that has not ended yet. `keys` is None for a sequence."""

    __slots__ = ("column", "items", "key", "keys", "line", "path")

    def __init__(self, line: int, column: int, path: str, is_table: bool) -> None:
        self.line = line
        self.column = column
        self.path = path
        self.keys: list[Scalar] | None = [] if is_table else None
        self.key: Scalar | None = None
        self.items: list[Node] = []

    def wants_key(self) -> bool:
        return self.keys is not None and self.key is None

    def path_of_next(self) -> str:
        if self.keys is None:
            return f"{self.path}[{len(self.items)}]"
        return dotted(self.path, self.key.text if self.key is not None else "")

    def add(self, node: Node) -> None:
        if self.keys is not None:
            assert self.key is not None
            self.keys.append(self.key)
            self.key = None
        self.items.append(node)

    def close(self) -> Node:
        if self.keys is None:
            return Sequence(tuple(self.items), self.line, self.column)
        entries = (Entry(k.text, k.line, k.column, v) for k, v in zip(self.keys, self.items, strict=True))
        return Table(tuple(entries), self.line, self.column)


def dotted(path: str, key: str) -> str:
    """`routes` and `fast` → `routes.fast`; keys that are not plain words are quoted in brackets."""
    if _PLAIN_WORD.fullmatch(key) is None:
        return f'{path}["{key[:80]}"]'
    return f"{path}.{key}" if path else key


def compose(text: str) -> tuple[Node | None, tuple[Flaw, ...]]:
    """The tree of one document, and what is wrong with its text. None for an empty document, or where there is no
    tree.
    """
    flaws = [*_size(text), *_characters(text), *_tabs(text)]
    if flaws:
        return None, tuple(flaws)
    prepared = _BRACED.sub(lambda match: f"${_OPEN}{match[1]}{_CLOSE}", text)
    try:
        return _build(yaml.parse(prepared, Loader=_LOADER), flaws), tuple(flaws)
    except yaml.YAMLError as error:
        flaws.append(_syntax(error))
    except _TooDeep as error:
        flaws.append(error.flaw)
    return None, tuple(flaws)


def decode(content: bytes) -> tuple[str | None, tuple[Flaw, ...]]:
    """UTF-8, with or without a byte-order mark, and nothing else."""
    try:
        return content.decode("utf-8-sig"), ()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        return None, (Flaw(line, 0, "", "not UTF-8 text"),)


def _size(text: str) -> Iterator[Flaw]:
    if len(text) > LARGEST_FILE or len(text.encode("utf-8", "replace")) > LARGEST_FILE:
        yield Flaw(1, 0, "", f"larger than {LARGEST_FILE} bytes")


def _characters(text: str) -> Iterator[Flaw]:
    match = _FORBIDDEN.search(text)
    if match is not None:
        line = text.count("\n", 0, match.start()) + 1
        yield Flaw(line, 0, "", f"character U+{ord(match[0]):04X} is not allowed in a configuration")


def _tabs(text: str) -> Iterator[Flaw]:
    for match in _TAB_INDENT.finditer(text):
        yield Flaw(text.count("\n", 0, match.start()) + 1, 0, "", "indented with a tab: use spaces")


def _syntax(error: yaml.YAMLError) -> Flaw:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    problem = getattr(error, "problem", None) or getattr(error, "reason", None) or "can't be parsed"
    context = getattr(error, "context", None)
    line, column = (mark.line + 1, mark.column) if mark is not None else (1, 0)
    words = f"not valid YAML: {problem}" + (f" ({context})" if context else "")
    return Flaw(line, column, "", words.translate(_TO_BRACES))


class _TooDeep(Exception):
    def __init__(self, flaw: Flaw) -> None:
        super().__init__(flaw.message)
        self.flaw = flaw


def _build(events: Iterator[Any], flaws: list[Flaw]) -> Node | None:
    stack: list[_Open] = []
    root: Node | None = None
    documents = 0
    for event in events:
        line, column = event.start_mark.line + 1, event.start_mark.column
        node: Node | None = None
        match event:
            case yaml.DocumentStartEvent():
                documents += 1
                if documents > 1:
                    flaws.append(Flaw(line, column, "", "a second document: a configuration is one document"))
                    return root
            case yaml.MappingStartEvent() | yaml.SequenceStartEvent():
                _open(event, stack, line, column, flaws)
            case yaml.MappingEndEvent() | yaml.SequenceEndEvent():
                node = stack.pop().close()
            case yaml.ScalarEvent():
                node = _scalar(event, line, column)
                _plain_only(event, _path(stack), line, column, flaws)
            case yaml.AliasEvent():
                flaws.append(Flaw(line, column, _path(stack), "aliases (*name) are not read: write it out"))
                node = Scalar("", line, column)
        if node is None:
            continue
        if not stack:
            root = node
        elif stack[-1].wants_key() and isinstance(node, Scalar):
            stack[-1].key = node
        else:
            stack[-1].add(node)
    return None if isinstance(root, Scalar) and root.is_null else root


def _open(event: Any, stack: list[_Open], line: int, column: int, flaws: list[Flaw]) -> None:
    path = _path(stack)
    if len(stack) >= DEEPEST_NESTING:
        raise _TooDeep(Flaw(line, column, "", f"nested deeper than {DEEPEST_NESTING} levels"))
    if stack and stack[-1].wants_key():
        raise _TooDeep(Flaw(line, column, path, "a key must be a word, not a list or a mapping"))
    _plain_only(event, path, line, column, flaws)
    stack.append(_Open(line, column, path, isinstance(event, yaml.MappingStartEvent)))


def _scalar(event: Any, line: int, column: int) -> Scalar:
    return Scalar(event.value.translate(_TO_BRACES), line, column, not event.style)


def _plain_only(event: Any, path: str, line: int, column: int, flaws: list[Flaw]) -> None:
    if event.anchor is not None:
        flaws.append(Flaw(line, column, path, "anchors (&name) are not read: write it out"))
    if event.tag is not None:
        flaws.append(Flaw(line, column, path, "tags (!name) are not read"))


def _path(stack: list[_Open]) -> str:
    if not stack:
        return ""
    return stack[-1].path if stack[-1].wants_key() else stack[-1].path_of_next()
