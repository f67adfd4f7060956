"""Every broken file gives exactly the problems that its sidecar lists: line, path and the words that matter."""

from pathlib import Path

import pytest

from waypost.config.errors import ConfigError
from waypost.config.reader import load_config

BROKEN = sorted((Path(__file__).parent / "broken").glob("*.yaml"))
PLANTED = "sk-planted-0123456789"
ENVIRON = {
    "SET_KEY": PLANTED,
    "OTHER_KEY": f"{PLANTED}-other",
    "EMPTY": "",
    "LINES": f"{PLANTED}\nsecond line",
}


def expected_of(file: Path) -> list[tuple[int, str, str]]:
    lines = file.with_suffix(".expect").read_text(encoding="utf-8").splitlines()
    found = []
    for line in lines:
        number, path, words = line.split(" ", 2)
        found.append((int(number), "" if path == "-" else bare(path), words))
    return found


def bare(path: str) -> str:
    """A sidecar's columns are split at spaces: in a path, the spaces of a quoted name are left out."""
    return path.replace(" ", "")


@pytest.mark.parametrize("file", BROKEN, ids=lambda file: file.stem)
def test_reports_exactly_what_is_wrong(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(Path(__file__).parents[2])
    with pytest.raises(ConfigError) as caught:
        load_config(str(file), ENVIRON)
    problems = caught.value.problems
    expected = expected_of(file)
    shown = "\n".join(f"{one.line} {bare(one.path) or '-'} {one.message}" for one in problems)
    assert len(problems) == len(expected), shown
    assert [one.line for one in problems] == sorted(one.line for one in problems)
    left = list(problems)
    for line, path, words in expected:
        match = next(
            (one for one in left if (one.line, bare(one.path)) == (line, path) and words in one.message),
            None,
        )
        assert match is not None, f"missing: {line} {path} {words}\nreported:\n{shown}"
        left.remove(match)
    assert {one.file for one in problems} == {str(file)}
    assert PLANTED not in str(caught.value)
    assert PLANTED not in repr(caught.value)


def test_there_are_enough_broken_files() -> None:
    assert len(BROKEN) >= 40
    assert {file.stem for file in BROKEN} == {file.stem for file in BROKEN[0].parent.glob("*.expect")}
