"""The pages of the docs are those that the tables print: a key can't be added, nor a fact changed, without them."""

from pathlib import Path

import pytest

from waypost.config import reference
from waypost.config.fields import anchor
from waypost.config.provider_sections import LOGIN
from waypost.config.sections import SECTIONS

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize("page", ["configuration", "providers"])
def test_the_page_is_current(page: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert reference.main([page]) == 0
    printed = capsys.readouterr().out
    assert (DOCS / f"{page}.md").read_text(encoding="utf-8") == printed


def test_an_unknown_page_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert reference.main(["prices"]) == 2
    assert reference.main([]) == 2
    assert "usage" in capsys.readouterr().err


def test_every_member_of_the_model_can_be_written_and_is_documented() -> None:
    unwritten = {("", "revision"), ("", "path"), ("", "written"), ("providers.NAME", "name"), ("routes.NAME", "name")}
    unwritten.add(("providers.NAME.profiles.PROFILE", "name"))
    for section in SECTIONS:
        if section.struct is None:
            continue
        members = {name for name in section.struct.__struct_fields__ if (section.path, name) not in unwritten}
        extra = {"api_key", *(field.member for field in LOGIN)} if section.path == "providers.NAME" else set()
        assert members | extra == {field.member for field in section.fields}, section.path


def test_links_lead_to_headings() -> None:
    page = (DOCS / "configuration.md").read_text(encoding="utf-8")
    headings = {anchor(line.removeprefix("## ")) for line in page.splitlines() if line.startswith("## ")}
    links = {part.partition(")")[0] for part in page.split("](#")[1:]}
    assert links
    assert links <= headings
