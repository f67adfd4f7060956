"""JSON may hold numbers that nothing can represent: they are refused, or carried as they are, and break nothing."""

import pytest

from waypost.conversation.faults import Refused
from waypost.conversation.request import Request
from waypost.dialects.openai_chat import DIALECT

BODY = b'{"model":"m","metadata":%b,"messages":[{"role":"assistant","content":"a","reasoning_content":%b}]}'


@pytest.mark.parametrize("metadata", [b'{"task":1e999}', b"1e999", b"[1e999]", b'{"a":1e999}'])
def test_metadata_is_carried_or_ours(metadata: bytes) -> None:
    request = DIALECT.read_request(BODY % (metadata, b'"hm"'))
    assert isinstance(request, Request)
    assert [name for name, _ in request.extra] == ([] if b"task" in metadata else ["metadata"])


def test_thoughts_are_refused() -> None:
    with pytest.raises(Refused, match=r"messages\[0\].reasoning_content"):
        DIALECT.read_request(BODY % (b"null", b"1e999"))
