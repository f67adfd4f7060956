"""Another provider's reasoning in a conversation that goes to Anthropic as it is: what it can't check, it refuses.

A caller sends back every thinking block that it was given. Those whose signature is marked as another's, or that have
none, are taken out before the bytes go on; nothing else is touched.
"""

import msgspec
from msgspec import Raw, Struct

from waypost.conversation.signatures import MARK
from waypost.dialects.json_edit import edit_members, rename_model

_SUSPECT = (f'"{MARK}'.encode(), b'"signature":""', b'"signature": ""')
_THINKING = frozenset({"thinking", "redacted_thinking"})


class _Block(Struct, gc=False):
    type: str = ""
    signature: str | None = None
    data: str = ""


class _Body(Struct, gc=False):
    messages: list[dict[str, Raw]] = []


_BODY = msgspec.json.Decoder(_Body)
_CONTENT = msgspec.json.Decoder(list[Raw])
_BLOCK = msgspec.json.Decoder(_Block)


def without_foreign(body: bytes) -> bytes:
    """`body` itself if there is none, and where it is not as the protocol says: that is Anthropic's to tell."""
    if not any(each in body for each in _SUSPECT):
        return body
    try:
        messages = _BODY.decode(body).messages
        kept = [each for each in map(_cleaned, messages) if each is not None]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return body
    return body if kept == messages else edit_members(body, {"messages": msgspec.json.encode(kept)})


def rename(body: bytes, old: bytes, new: bytes) -> bytes:
    return rename_model(without_foreign(body), old, new)


def _cleaned(message: dict[str, Raw]) -> dict[str, Raw] | None:
    """None for a message of which nothing is left: an empty one is refused."""
    content = message.get("content")
    if content is None or bytes(message.get("role", b"")) != b'"assistant"' or not bytes(content).startswith(b"["):
        return message
    blocks = _CONTENT.decode(content)
    kept = [raw for raw in blocks if not _is_foreign(_BLOCK.decode(raw))]
    if len(kept) == len(blocks):
        return message
    return {**message, "content": Raw(msgspec.json.encode(kept))} if kept else None


def _is_foreign(block: _Block) -> bool:
    if block.type not in _THINKING:
        return False
    signature = block.data if block.type == "redacted_thinking" else block.signature or ""
    return not signature or signature.startswith(MARK)
