"""A file without a name gets one that does not lie about what it is."""

import pytest

from waypost.conversation.blocks import Document, Role, Source
from waypost.conversation.request import Request, Turn
from waypost.dialects.dialect import Shape
from waypost.dialects.file_names import document_name
from waypost.dialects.registry import DIALECTS

WORD = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"


@pytest.mark.parametrize(
    ("media_type", "name"),
    [
        (WORD, "document.docx"),
        ("text/csv; charset=utf-8", "document.csv"),
        ("Application/PDF", "document.pdf"),
        ("application/x-unheard-of", "document.pdf"),
        (None, "document.pdf"),
    ],
)
def test_the_ending_is_of_the_media_type(media_type: str | None, name: str) -> None:
    assert document_name(media_type) == name


@pytest.mark.parametrize("dialect", ["openai_chat", "openai_responses"])
def test_a_protocol_that_insists_on_a_name_is_told_the_right_one(dialect: str) -> None:
    request = Request("anthropic", "m", (Turn(Role.USER, (Document(Source(WORD, data="UEsDBA==")),)),))
    assert b'"document.docx"' in DIALECTS[dialect].write_request(request, Shape(model="m")).body
