"""Stored responses read out and deleted, as OpenAI does it with its own: `/v1/responses/ID`, `…/ID/input_items`.

Only what is kept here is here: what a provider keeps is asked of that provider.
"""

import asyncio
from typing import Any
from urllib.parse import parse_qs, unquote

import msgspec
from msgspec import Struct

from waypost.conversation.faults import ErrorKind, Refused
from waypost.gateway.gateway import Gateway
from waypost.gateway.keyring import Caller
from waypost.gateway.memory import look_up, unreadable
from waypost.ledger.responses import ResponsesUnavailable, StoredResponse

FOLDER = "/v1/responses/"
ITEMS = "/input_items"
MOST_ITEMS, USUAL_ITEMS = 100, 20
Item = dict[str, Any]


class StoredPlace(Struct, frozen=True):
    """`items`: all that was said before the answer, and not the answer itself."""

    id: str
    items: bool


def stored_place(method: str, path: str) -> StoredPlace | None:
    """What a path asks of stored responses; None for every other one."""
    if method not in ("GET", "DELETE") or not path.startswith(FOLDER):
        return None
    name = path[len(FOLDER) :]
    items = name.endswith(ITEMS) and method == "GET"
    name = name.removesuffix(ITEMS) if items else name
    return StoredPlace(unquote(name), items) if name and "/" not in name else None


async def read_stored(gateway: Gateway, caller: Caller, method: str, place: StoredPlace, query: str) -> bytes:
    """The body of the answer. Raises Refused: 404 for one that is not there, 400 for what can't be asked of it."""
    asked = parse_qs(query)
    if asked.get("stream", [""])[-1] == "true":
        raise Refused(ErrorKind.BAD_REQUEST, "stream: a stored response is whole; leave it out.")
    if method == "DELETE":
        if not await delete(gateway, caller, place.id):
            raise not_found(place.id)
        return msgspec.json.encode({"id": place.id, "object": "response", "deleted": True})
    stored = await look_up(gateway, place.id, caller.name)
    if stored is None:
        raise not_found(place.id)
    return msgspec.json.encode(page(stored, asked)) if place.items else stored.response


async def delete(gateway: Gateway, caller: Caller, id_: str) -> bool:
    if gateway.responses is None:
        return False
    try:
        return await asyncio.to_thread(gateway.responses.delete, id_, caller.name)
    except ResponsesUnavailable as failure:
        raise unreadable(gateway, failure) from None


def not_found(id_: str) -> Refused:
    return Refused(
        ErrorKind.BAD_REQUEST,
        f"Response with id {id_[:100]!r} not found: none by this id is stored here for this key, or no longer. What a "
        "provider stores can only be asked of that provider.",
        status=404,
    )


def page(stored: StoredResponse, asked: dict[str, list[str]]) -> Item:
    """`limit` of the items, the last said first unless `order` is `asc`, those behind the one with the id `after`."""
    items = listed(stored)
    if order_of(asked) == "desc":
        items.reverse()
    after = asked.get("after", [None])[-1]
    if after is not None:
        places = [place for place, item in enumerate(items) if item["id"] == after]
        if not places:
            raise Refused(ErrorKind.BAD_REQUEST, f"after: no item has the id {after[:100]!r}.")
        items = items[places[0] + 1 :]
    limit = limit_of(asked)
    shown = items[:limit]
    return {
        "object": "list",
        "data": shown,
        "first_id": shown[0]["id"] if shown else None,
        "last_id": shown[-1]["id"] if shown else None,
        "has_more": len(items) > limit,
    }


def order_of(asked: dict[str, list[str]]) -> str:
    order = asked.get("order", ["desc"])[-1]
    if order not in ("asc", "desc"):
        raise Refused(ErrorKind.BAD_REQUEST, "order: must be asc or desc.")
    return order


def limit_of(asked: dict[str, list[str]]) -> int:
    told = asked.get("limit", [str(USUAL_ITEMS)])[-1]
    if not (told.isascii() and told.isdigit() and len(told) < 4 and 1 <= int(told) <= MOST_ITEMS):
        raise Refused(ErrorKind.BAD_REQUEST, f"limit: must be a whole number from 1 to {MOST_ITEMS}.")
    return int(told)


def listed(stored: StoredResponse) -> list[Item]:
    """Each with the type that it may have been given without, and an id: its place, where the caller gave none."""
    items: list[Item] = msgspec.json.decode(stored.input)
    token = stored.id.rpartition("_")[2]
    return [
        {"type": "message", "id": f"item_{token}_{place}"}
        | {name: value for name, value in item.items() if value is not None}
        for place, item in enumerate(items)
    ]
