"""Paths, and what they say. The dialects here are made up: a door is known by what its dialect says of it alone."""

import msgspec
import pytest

from waypost.dialects.dialect import Dialect, Door
from waypost.dialects.registry import DIALECTS
from waypost.gateway.call import Address
from waypost.server.doors import DoorPlan

PLAIN = msgspec.structs.replace(DIALECTS["openai_chat"], name="plain", doors=(Door("/v1/plain"),))
ARRAY = msgspec.structs.replace(PLAIN, name="asking", stream_type="application/json")
ASKING: Dialect = msgspec.structs.replace(
    PLAIN,
    name="asking",
    doors=(
        Door("/beta/models/{model}:ask", stream=False),
        Door("/beta/models/{model}:askStream", stream=True),
        Door("/v1/asking"),
    ),
    for_query=lambda query: ARRAY if "form=array" in query else ASKING,
)
PATHED = msgspec.structs.replace(
    PLAIN,
    name="pathed",
    doors=(Door("/model/{model}/talk", stream=False), Door("/model/{model}/talk-stream", stream=True)),
)
FLAGGED = msgspec.structs.replace(PLAIN, name="flagged", doors=(Door("/v1/flagged/stream", stream=True),))
EMBEDDING = msgspec.structs.replace(PLAIN, doors=(Door("/v1/vectors", embeds=True),))
PLAN = DoorPlan((PLAIN, ASKING, PATHED, FLAGGED, EMBEDDING))


@pytest.mark.parametrize(
    ("path", "dialect", "model", "stream"),
    [
        ("/beta/models/fast:ask", "asking", "fast", False),
        ("/beta/models/fast:askStream", "asking", "fast", True),
        ("/beta/models/openai/sim-small:ask", "asking", "openai/sim-small", False),
        ("/beta/models/openai%2Fsim-small:0:ask", "asking", "openai/sim-small:0", False),
        ("/model/a.b-v1%3A0/talk", "pathed", "a.b-v1:0", False),
        ("/model/openai/m/talk-stream", "pathed", "openai/m", True),
        ("/model/talk/talk", "pathed", "talk", False),
        ("/model/%E6%97%A5/talk", "pathed", "日", False),
        ("/model/\xe6\x97\xa5/talk", "pathed", "日", False),
        ("/model/%FF/talk", "pathed", "\ufffd", False),
        ("/v1/flagged/stream", "flagged", None, True),
    ],
)
def test_paths_that_say_something(path: str, dialect: str, model: str | None, stream: bool) -> None:
    entry = PLAN.find(path, "")
    assert entry is not None
    assert (entry.dialect.name, entry.address) == (dialect, Address(model, stream))


def test_a_path_at_which_the_body_says_all() -> None:
    entry = PLAN.find("/v1/plain", "a=b")
    assert entry is not None
    assert entry.dialect is PLAIN
    assert entry.address is None


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "",
        "/v1/plain/",
        "/v1/plainer",
        "/beta/models/:ask",
        "/beta/models/fast",
        "/beta/models/fast:askNot",
        "/model//talk",
        "/model/m/talk/",
        "/model/talk",
        "/beta/models/{model}",
    ],
)
def test_paths_at_which_there_is_no_door(path: str) -> None:
    assert PLAN.find(path, "") is None


@pytest.mark.parametrize("path", ["/beta/models/fast:askStream", "/v1/asking"])
def test_the_query_decides_the_form(path: str) -> None:
    forms = [PLAN.find(path, query) for query in ("", "form=array")]
    assert [form.dialect for form in forms if form is not None] == [ASKING, ARRAY]


def test_a_door_for_embeddings_is_known_as_such() -> None:
    entry, other = PLAN.find("/v1/vectors", ""), PLAN.find("/v1/plain", "")
    assert entry is not None
    assert other is not None
    assert (entry.dialect, entry.embeds, other.embeds) == (EMBEDDING, True, False)


def test_what_has_nothing_to_say_beside_its_body_may_be_fast() -> None:
    assert PLAN.plain == {"/v1/plain": PLAIN}


@pytest.mark.parametrize(
    ("path", "dialect"),
    [
        ("/v1/plain", PLAIN),
        ("/v1/plain/123", PLAIN),
        ("/v1/plainer", None),
        ("/beta/models", ASKING),
        ("/beta/models/x:unknown", ASKING),
        ("/model/x", PATHED),
        ("/models", None),
        ("/", None),
    ],
)
def test_errors_near_a_door_are_told_as_there(path: str, dialect: Dialect | None) -> None:
    assert PLAN.speaker(path) is dialect


def test_doors_are_told_to_people() -> None:
    assert "/v1/plain" in PLAN.paths()
    assert "/model/{model}/talk" in PLAN.paths()


def test_no_two_registered_dialects_have_the_same_door() -> None:
    paths = [door.path for dialect in DIALECTS.values() for door in dialect.doors]
    assert len(paths) == len(set(paths))
    plan = DoorPlan(DIALECTS.values())
    for dialect in DIALECTS.values():
        for door in dialect.doors:
            entry = plan.find(door.path.replace("{model}", "some%2Fmodel"), "")
            assert entry is not None
            assert entry.dialect.name == dialect.name
            assert ("{model}" in door.path) == (entry.address is not None and entry.address.model == "some/model")
