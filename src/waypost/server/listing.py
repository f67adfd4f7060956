"""`GET /v1/models`: the names that this key may put into "model", in the shape of OpenAI's or Anthropic's listing."""

from datetime import UTC, datetime

import msgspec

from waypost.conversation.faults import ErrorKind, Refused
from waypost.gateway.gateway import Gateway
from waypost.gateway.keyring import Caller

EPOCH = datetime.fromtimestamp(0, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def list_models(gateway: Gateway, caller: Caller, wanted: str | None, as_anthropic: bool) -> bytes:
    """All names, or the one that is `wanted`. Raises Refused(UNKNOWN_MODEL)."""
    names = [name for name in gateway.tables.names() if caller.routes is None or name in caller.routes]
    if wanted is not None:
        if wanted not in names:
            raise Refused(ErrorKind.UNKNOWN_MODEL, f"No route and no listed model is named {wanted[:200]!r} here.")
        return msgspec.json.encode(_anthropic(wanted) if as_anthropic else _openai(wanted))
    if as_anthropic:
        entries = [_anthropic(name) for name in names]
        page = {"first_id": names[0] if names else None, "last_id": names[-1] if names else None, "has_more": False}
        return msgspec.json.encode({"data": entries, **page})
    return msgspec.json.encode({"object": "list", "data": [_openai(name) for name in names]})


def _openai(name: str) -> dict[str, object]:
    owner = name.partition("/")[0] if "/" in name else "waypost"
    return {"id": name, "object": "model", "created": 0, "owned_by": owner}


def _anthropic(name: str) -> dict[str, object]:
    return {"type": "model", "id": name, "display_name": name, "created_at": EPOCH}
