"""Neutral blocks → the output items of a response, and the object around them.

What the official SDK's types insist on is always there; what is not known is null.
"""

from collections.abc import Sequence
from typing import assert_never

from msgspec import Raw, Struct

from waypost.conversation.blocks import (
    Audio,
    Block,
    Document,
    Image,
    Json,
    Opaque,
    RedactedThinking,
    Refusal,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)
from waypost.conversation.reply import Stop, StopKind, Usage
from waypost.conversation.signatures import carried
from waypost.dialects.openai_responses.items import PART, REDACTED
from waypost.dialects.openai_responses.words import (
    NAME,
    Signed,
    is_annotation,
    item_id,
    unpack,
    write_stop,
    write_usage,
)

Members = dict[str, object]
Item = Json | Members


class ResponseObject(Struct, gc=False):
    """Before anything is said. What was asked for is not known here: its defaults stand in its place."""

    id: str
    object: str = "response"
    created_at: int = 0
    status: str = "in_progress"
    background: bool = False
    error: None = None
    incomplete_details: Members | None = None
    instructions: None = None
    max_output_tokens: None = None
    metadata: Raw = Raw(b"{}")
    model: str = ""
    output: Sequence[Item] = ()
    parallel_tool_calls: bool = True
    previous_response_id: str | None = None
    reasoning: Raw = Raw(b'{"effort":null,"summary":null}')
    store: bool = False
    temperature: None = None
    text: Raw = Raw(b'{"format":{"type":"text"}}')
    tool_choice: str = "auto"
    tools: tuple[()] = ()
    top_p: None = None
    truncation: str = "disabled"
    usage: Members | None = None
    user: None = None


def response_object(
    id_: str, model: str, created: int | None, items: Sequence[Item], stop: Stop | None, usage: Usage | None
) -> ResponseObject:
    response = ResponseObject(
        id_, created_at=created or 0, status="completed", model=model, output=items, usage=write_usage(usage)
    )
    if stop is None or stop.kind is not StopKind.END:
        response.status, reason = write_stop(stop)
        if reason is not None:
            response.incomplete_details = {"reason": reason}
    return response


def output_items(blocks: Sequence[Block], tokens: list[Raw], reply: str) -> list[Item]:
    """One item a block, the reasoning that one signature covers being one. `tokens`: log probabilities of the text."""
    if len(blocks) == 1 and type(only := blocks[0]) is Text and only.text and not only.citations:
        return [message_item(item_id("msg", reply, 0), text_part(only.text, (), tokens))]
    items: list[Item] = []
    thoughts: list[str] = []
    for block in blocks:
        if isinstance(block, Thinking) and block.signature is None:
            if block.text:
                thoughts.append(block.text)
            continue
        if isinstance(block, Thinking):
            texts = [*thoughts, block.text] if block.text else thoughts
            thoughts = []
            items.append(reasoning_item(item_id("rs", reply, len(items)), texts, block.signature, block.origin))
            continue
        if thoughts:
            items.append(reasoning_item(item_id("rs", reply, len(items)), thoughts, None, None))
            thoughts = []
        item = _item(block, reply, len(items), tokens)
        if item is not None:
            items.append(item)
            if isinstance(block, Text):
                tokens = []  # told of the whole text: they stand with the first of it
    if thoughts:
        items.append(reasoning_item(item_id("rs", reply, len(items)), thoughts, None, None))
    return items


def _item(block: Block, reply: str, place: int, tokens: list[Raw]) -> Item | None:
    """None for what an answer of this protocol can't hold."""
    match block:
        case Text():
            if not block.text and not block.citations:
                return None
            annotations = [citation for citation in block.citations if is_annotation(citation)]
            return message_item(item_id("msg", reply, place), text_part(block.text, annotations, tokens))
        case Refusal():
            return message_item(item_id("msg", reply, place), refusal_part(block.text))
        case ToolCall():
            return call_item(item_id("fc", reply, place), block, block.arguments or "{}")
        case RedactedThinking():
            return redacted_item(item_id("rs", reply, place), block)
        case Opaque():
            if block.dialect != NAME:
                return None
            if block.kind.startswith(PART):
                return message_item(item_id("msg", reply, place), block.raw)
            return block.raw
        case Image():
            return image_item(item_id("ig", reply, place), block)
        case Audio() | Document() | ToolResult() | Thinking():
            return None
        case _:
            assert_never(block)


def message_item(id_: str, part: object | None, status: str = "completed") -> Members:
    return {
        "id": id_,
        "type": "message",
        "status": status,
        "role": "assistant",
        "content": [] if part is None else [part],
    }


def text_part(text: str, annotations: Sequence[Json] = (), tokens: Sequence[Raw] = ()) -> Members:
    return {"type": "output_text", "text": text, "annotations": annotations, "logprobs": tokens}


def refusal_part(text: str) -> Members:
    return {"type": "refusal", "refusal": text}


def call_item(id_: str, call: ToolCall, arguments: str, status: str = "completed") -> Members:
    """Clients parse the arguments as JSON, so a call without any gets an empty object."""
    return {
        "id": id_,
        "type": "function_call",
        "status": status,
        "call_id": call.id,
        "name": call.name,
        "arguments": arguments,
    }


def image_item(id_: str, image: Image) -> Members | None:
    """A picture that a model drew: here that is what a tool for it gives back, in base64."""
    if image.source.data is None:
        return None
    return {"id": id_, "type": "image_generation_call", "status": "completed", "result": image.source.data}


def redacted_item(id_: str, block: RedactedThinking) -> Members:
    if block.origin == NAME:
        return reasoning_item(id_, [], block.data, NAME)
    return reasoning_item(id_, [], REDACTED + block.data, block.origin)


def reasoning_item(id_: str, texts: list[str], signature: str | None, origin: str | None) -> Members:
    """A signature of this dialect's own brings its item's id, any other travels as what is encrypted."""
    if signature is None:
        signed = Signed("", False, "")
    elif origin == NAME:
        signed = unpack(signature)
    else:
        signed = Signed("", False, carried(signature, origin, NAME) or "")
    kind = "reasoning_text" if signed.shown else "summary_text"
    parts = [{"type": kind, "text": text} for text in texts]
    item: Members = {"id": signed.id or id_, "type": "reasoning", "summary": [] if signed.shown else parts}
    if signed.shown:
        item["content"] = parts
    if signed.encrypted:
        item["encrypted_content"] = signed.encrypted
    return item
