"""Arguments that make no sense: one line about it and exit code 2, whatever the command."""

import pytest

from waypost.cli import main


@pytest.mark.parametrize("words", [("explain", "\udcff"), ("call", "Hello", "--model", "\udcff")])
def test_bytes_that_are_no_text(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 2
    assert capsys.readouterr().err == "waypost: an argument is not UTF-8 text\n"


@pytest.mark.parametrize("limit", ["0", "-1", "x", "99999999999999999999"])
def test_a_number_of_calls_that_nobody_has(limit: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["calls", "--limit", limit])
    assert ended.value.code == 2
    assert "--limit" in capsys.readouterr().err
