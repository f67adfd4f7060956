"""Texts with the values left open: what is put in comes out where it belongs, whatever the rest of the text says."""

import msgspec
import pytest

from waypost.gateway.prepared import Marks


def test_values_go_where_the_marks_were() -> None:
    marks = Marks()
    entry = ["100% %s %d", marks.number(), {"a": marks.text()}, marks.number()]
    form = marks.put_into(msgspec.json.encode(entry))
    assert msgspec.json.decode(form % (1, '["x%"]', 3)) == ["100% %s %d", 1, {"a": ["x%"]}, 3]


@pytest.mark.parametrize("name", ["8000000000000000001", "8000000000000000002", "a80000000000000000b"])
def test_a_name_that_looks_like_a_mark_is_told(name: str) -> None:
    marks = Marks()
    entry = [name, marks.number(), marks.number()]
    with pytest.raises(ValueError, match="mark"):
        marks.put_into(msgspec.json.encode(entry))
