"""Lists for people: aligned columns on a terminal, tab-separated lines elsewhere. Knows nothing of what cells say."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TextIO

_COLOURS = {"green": "32", "yellow": "33", "red": "31", "dim": "2"}


def has_colour(stream: TextIO, environ: Mapping[str, str]) -> bool:
    """Colours only on a terminal, and not where NO_COLOR (https://no-color.org) or a dumb terminal says otherwise."""
    return stream.isatty() and not environ.get("NO_COLOR") and environ.get("TERM") != "dumb"


class Table:
    """Prints a header line and rows. Rows can come later too (`--follow`): columns stay as wide as the first needed.

    `right` names the columns aligned to the right; `colours` says which cells' texts are shown in which colour.
    """

    def __init__(
        self,
        columns: Sequence[str],
        stream: TextIO,
        environ: Mapping[str, str],
        *,
        right: Iterable[str] = (),
        colours: Mapping[str, str] | None = None,
    ) -> None:
        self._columns = tuple(columns)
        self._stream = stream
        self._aligned = stream.isatty()
        self._right = frozenset(right)
        self._colours = colours if colours and has_colour(stream, environ) else {}
        self._widths: list[int] | None = None

    def print(self, rows: Iterable[Sequence[object]]) -> None:
        """None is shown as "-"."""
        lines = [tuple("-" if cell is None else _clean(str(cell)) for cell in row) for row in rows]
        if self._widths is None:
            cells = [tuple(name.upper() for name in self._columns), *lines]
            self._widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
            self._write(cells[0])
        for line in lines:
            self._write(line)
        self._stream.flush()

    def _write(self, line: Sequence[str]) -> None:
        if not self._aligned or self._widths is None:
            self._stream.write("\t".join(line) + "\n")
            return
        padded = []
        for name, cell, width in zip(self._columns, line, self._widths, strict=True):
            text = cell.rjust(width) if name in self._right else cell.ljust(width)
            colour = self._colours.get(cell)
            padded.append(text if colour is None else f"\x1b[{_COLOURS[colour]}m{text}\x1b[0m")
        self._stream.write("  ".join(padded).rstrip() + "\n")


def _clean(text: str) -> str:
    """Without control characters: names come from outside, and a terminal obeys what it is sent."""
    return text if text.isprintable() else "".join(c if c.isprintable() else "?" for c in text)
