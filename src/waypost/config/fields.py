"""How a tree of words is read by a table of fields. Knows unknown, duplicate and missing keys; refuses to know any
key's name.

A field's kind turns a node into a value or reports why it can't. Reading goes on after a problem, so that all are
found:
a value that could not be read is simply absent. Tables of fields are also what the reference in the docs is printed
from.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from msgspec import NODEFAULT, Struct
from msgspec.structs import fields as struct_fields

from waypost.config.model import ProblemAt
from waypost.config.yaml_source import Entry, Flaw, Node, Scalar, Sequence, Table, dotted


class Reading:
    """What is known while one file is read: where each path stands, what was filled in from the environment, what is
    wrong.
    """

    __slots__ = ("_flawed", "_items", "_marks", "environ", "file", "problems", "with_secrets", "written")

    def __init__(
        self, file: str, environ: Mapping[str, str], flaws: tuple[Flaw, ...] = (), *, with_secrets: bool = True
    ) -> None:
        """Not `with_secrets`: they are not looked up, and none that is missing is a problem."""
        self.with_secrets = with_secrets
        self.file = file
        self.environ = environ
        self.written: dict[str, str] = {}
        self.problems: list[tuple[int, int, ProblemAt]] = []
        self._marks: dict[str, tuple[int, int]] = {}
        self._items: dict[tuple[str, object], str] = {}
        self._flawed = frozenset(flaw.path for flaw in flaws if flaw.path)
        for flaw in flaws:
            problem = ProblemAt(file, flaw.line, flaw.path, flaw.message)
            self.problems.append((flaw.line, flaw.column, problem))

    def mark(self, path: str, line: int, column: int) -> None:
        self._marks[path] = (line, column)

    def knows(self, path: str) -> bool:
        """Whether the file says anything at this path."""
        return path in self._marks

    def report(self, path: str, message: str) -> None:
        """Reports at the path's own place, or at that of the nearest path above it. Silent where the text itself is
        flawed.
        """
        if path in self._flawed:
            return
        line, column = self._place(path)
        self.problems.append((line, column, ProblemAt(self.file, line, path, message)))

    def place_item(self, path: str, value: object, at: str) -> None:
        """Remembers where in the list at `path` a value stands, for sets, which forget it."""
        self._items.setdefault((path, value), at)

    def path_of_item(self, path: str, value: object) -> str:
        return self._items.get((path, value), path)

    def is_good(self, path: str) -> bool:
        """Whether nothing has been reported at this path or below it."""
        below = (f"{path}.", f"{path}[")
        return not any(one.path == path or one.path.startswith(below) for _, _, one in self.problems)

    @staticmethod
    def path_below(path: str, key: str) -> str:
        """The path of `key` below `path`."""
        return dotted(path, key)

    def sorted_problems(self) -> tuple[ProblemAt, ...]:
        ordered = sorted(self.problems, key=lambda item: (item[0], item[1], item[2].path, item[2].message))
        return tuple(dict.fromkeys(problem for _, _, problem in ordered))

    def _place(self, path: str) -> tuple[int, int]:
        while path and path not in self._marks:
            path = path[: max(path.rfind("."), path.rfind("["), 0)]
        return self._marks.get(path, (1, 0))


class Kind(Struct, frozen=True):
    """What a field holds. `label` is for the docs; `read` gives a value, or None once it has reported why not."""

    label: str
    read: Callable[[Reading, Node, str], Any]


class Field(Struct, frozen=True, kw_only=True):
    """One key. `attribute` is the name of the struct's member where it is not the key; `default` overrides what the
    docs show.
    """

    key: str
    kind: Kind
    meaning: str
    attribute: str | None = None
    required: bool = False
    default: str | None = None

    @property
    def member(self) -> str:
        return self.attribute or self.key


class Section(Struct, frozen=True, kw_only=True):
    """A mapping with known keys. `path` is how the docs call it; `struct` what it becomes, whose defaults hold."""

    path: str
    meaning: str
    struct: Any
    fields: tuple[Field, ...]

    def defaults(self) -> dict[str, object]:
        found = struct_fields(self.struct) if self.struct is not None else ()
        return {field.name: field.default for field in found if field.default is not NODEFAULT}


def read_section(reading: Reading, node: Node, path: str, section: Section) -> dict[str, Any]:
    """Members by name, those that are given and good. Unknown, duplicate and missing keys are reported."""
    table = as_table(reading, node, path, "a mapping")
    if table is None:
        return {}
    known = {field.key: field for field in section.fields}
    values: dict[str, Any] = {}
    given = set()
    for entry, at in unique_entries(reading, table, path):
        field = known.get(entry.key)
        if field is None:
            reading.report(at, unknown_key(entry.key, known))
            continue
        given.add(entry.key)
        value = field.kind.read(reading, entry.value, at)
        if value is not None:
            values[field.member] = value
    for field in section.fields:
        if field.required and field.key not in given:
            reading.report(path, f"{field.key} is missing")
    return values


def as_table(reading: Reading, node: Node, path: str, expected: str) -> Table | None:
    """The node as a mapping; nothing at all stands for an empty one."""
    if isinstance(node, Table):
        return node
    if isinstance(node, Scalar) and node.is_null:
        return Table((), node.line, node.column)
    reading.report(path, f"must be {expected}, not {what_is(node)}")
    return None


def as_items(reading: Reading, node: Node, path: str) -> Iterator[tuple[Node, str]]:
    """The items of a list, each with its path; nothing at all stands for an empty one."""
    if isinstance(node, Sequence):
        for index, item in enumerate(node.items):
            at = f"{path}[{index}]"
            reading.mark(at, item.line, item.column)
            yield item, at
    elif not (isinstance(node, Scalar) and node.is_null):
        reading.report(path, f"must be a list, not {what_is(node)}")


def unique_entries(reading: Reading, table: Table, path: str) -> Iterator[tuple[Entry, str]]:
    """Each entry once, with its path; a key that comes again is reported where it does."""
    seen: dict[str, int] = {}
    for entry in table.entries:
        at = dotted(path, entry.key)
        if entry.key in seen:
            problem = ProblemAt(reading.file, entry.line, at, f"given twice: first in line {seen[entry.key]}")
            reading.problems.append((entry.line, entry.column, problem))
            continue
        seen[entry.key] = entry.line
        is_word = isinstance(entry.value, Scalar)
        place = entry.value if is_word and not entry.value.is_null else entry  # type: ignore[union-attr]
        reading.mark(at, place.line, place.column)
        yield entry, at


def unknown_key(key: str, known: Mapping[str, object]) -> str:
    if key == "<<":
        return "merge keys (<<) are not read: write it out"
    return f"unknown key{nearest(key, known)}"


def nearest(word: str, known: Mapping[str, object] | frozenset[str] | tuple[str, ...]) -> str:
    """`: did you mean NAME?`, where one is near enough; nothing otherwise."""
    from difflib import get_close_matches

    found = get_close_matches(word[:80], list(known), n=1, cutoff=0.6)
    return f": did you mean {found[0]}?" if found else ""


def what_is(node: Node) -> str:
    match node:
        case Table():
            return "a mapping"
        case Sequence():
            return "a list"
        case Scalar():
            return "nothing" if node.is_null else "a word"


def list_of(kind: Kind, *, unique: bool = False, filled: bool = False, label: str | None = None) -> Kind:
    """A tuple of what `kind` reads. `unique`: an item that comes again is reported; `filled`: so is a list of none."""

    def read(reading: Reading, node: Node, path: str) -> tuple[Any, ...]:
        values: list[Any] = []
        for item, at in as_items(reading, node, path):
            value = kind.read(reading, item, at)
            if value is None:
                continue
            if unique and value in values:
                reading.report(at, "given twice")
            if unique:
                reading.place_item(path, value, at)
            values.append(value)
        if filled and isinstance(node, Sequence) and not node.items:
            reading.report(path, "is empty: name at least one, or leave it out")
        return tuple(values)

    return Kind(label or f"list of {kind.label}", read)


def set_of(kind: Kind, label: str | None = None) -> Kind:
    listed = list_of(kind, unique=True, label=label)

    def read(reading: Reading, node: Node, path: str) -> frozenset[Any]:
        return frozenset(listed.read(reading, node, path))

    return Kind(listed.label, read)


def map_of(kind: Kind, check_name: Callable[[Reading, str, str], bool], label: str) -> Kind:
    """A tuple of (name, value), in the order of the file; `check_name(reading, name, path)` lets names pass."""

    def read(reading: Reading, node: Node, path: str) -> tuple[tuple[str, Any], ...]:
        table = as_table(reading, node, path, f"a mapping of {label}")
        if table is None:
            return ()
        pairs: list[tuple[str, Any]] = []
        for entry, at in unique_entries(reading, table, path):
            good = check_name(reading, entry.key, at)
            value = kind.read(reading, entry.value, at)
            if good and value is not None:
                pairs.append((entry.key, value))
        return tuple(pairs)

    return Kind(f"mapping of {label} to {kind.label}", read)


def section_kind(section: Section) -> Kind:
    """Reads the section into its struct; with a required member absent, into nothing."""

    def read(reading: Reading, node: Node, path: str) -> Any:
        values = read_section(reading, node, path, section)
        whole_enough = all(field.member in values for field in section.fields if field.required)
        return section.struct(**values) if whole_enough else None

    return Kind(f"mapping: [{section.path}](#{anchor(section.path)})", read)


def switch_kind(section: Section) -> Kind:
    """A section that is off unless said: `true` for all of its defaults, `false`, or the section itself."""
    whole = section_kind(section)

    def read(reading: Reading, node: Node, path: str) -> Any:
        if not isinstance(node, Scalar):
            return whole.read(reading, node, path)
        if not node.plain or node.text not in ("true", "false"):
            reading.report(path, "must be true, false or a mapping")
            return None
        return section.struct() if node.text == "true" else None

    return Kind(f"`true`, `false` or {whole.label}", read)


def members_kind(section: Section) -> Kind:
    """Reads the section into its members by name, for those who check them together before they make a struct of
    them.
    """

    def read(reading: Reading, node: Node, path: str) -> dict[str, Any]:
        return read_section(reading, node, path, section)

    return Kind(f"[{section.path}](#{anchor(section.path)})", read)


def anchor(path: str) -> str:
    """The heading's anchor in the docs."""
    return "".join(letter for letter in path.lower() if letter.isalnum() or letter in "-_ ")
