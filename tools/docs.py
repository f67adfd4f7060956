"""Regenerates every page that is made from code: `python tools/docs.py`, or `--check` to see which are not current.

Each page has one generator, and a test beside that generator that fails while the page is not current.
"""

import sys
import tempfile
from collections.abc import Callable
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"


def reference(page: str) -> str:
    from waypost.config.reference import main

    printed = StringIO()
    with redirect_stdout(printed):
        main([page])
    return printed.getvalue()


def faults() -> str:
    """Made from calls that are really made, to simulated providers on this machine."""
    sys.path.insert(0, str(ROOT / "tests"))
    import uvloop

    from journeys.fault_table import find_all, page

    with tempfile.TemporaryDirectory() as folder:
        return page(uvloop.run(find_all(Path(folder))))


def fidelity() -> str:
    sys.path.insert(0, str(ROOT / "tests"))
    from dialects.fidelity import page

    return page()


def commands() -> str:
    from waypost.cli.reference import commands

    return commands()


PAGES: dict[str, Callable[[], str]] = {
    "configuration": lambda: reference("configuration"),
    "providers": lambda: reference("providers"),
    "commands": commands,
    "faults": faults,
    "fidelity": fidelity,
}


def main(arguments: list[str]) -> int:
    stale = 0
    for name, make in PAGES.items():
        path = DOCS / f"{name}.md"
        text = make()
        if path.exists() and path.read_text(encoding="utf-8") == text:
            continue
        stale += 1
        if arguments == ["--check"]:
            sys.stdout.write(f"docs/{name}.md is not current\n")
        else:
            path.write_text(text, encoding="utf-8")
            sys.stdout.write(f"docs/{name}.md written\n")
    return 1 if stale and arguments == ["--check"] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
