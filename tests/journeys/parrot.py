"""A provider that answers every call by quoting all that it was sent, keys included, in each way that one can fail.

Speaks both protocols as far as its failures need. The model's name says how it fails: see `WAYS`. It is also a proxy
that passes nothing on.
"""

import asyncio
import html
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

STATUSES = (302, 400, 401, 402, 403, 404, 407, 413, 422, 429, 500, 503, 529)
PAUSE = b": so that what came before has been passed on\n\n"
PAUSE_S = 0.05
OVERFLOW = "maximum context length exceeded. "


def http(status: str, body: bytes, kind: str = "application/json", more: str = "") -> bytes:
    head = (
        f"HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {len(body)}\r\n{more}connection: close\r\n\r\n"
    )
    return head.encode("latin-1") + body


def stream(body: bytes) -> bytes:
    """Ends with the connection, so it may break off anywhere."""
    return b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n" + body


def error(said: str, anthropic: bool, kind: str = "invalid_request_error") -> bytes:
    """The quotation stands in every member that holds text."""
    inner = {"type": kind, "message": f"You sent: {said}", "code": said[:300], "param": said}
    return json.dumps({"type": "error", "error": inner} if anthropic else {"error": inner}).encode()


def event(data: bytes, name: str, anthropic: bool) -> bytes:
    return (b"event: %s\n" % name.encode() if anthropic else b"") + b"data: " + data + b"\n\n"


def some_content(anthropic: bool) -> bytes:
    if not anthropic:
        choice = {"index": 0, "delta": {"role": "assistant", "content": "Hello"}, "finish_reason": None}
        told = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}
        return event(json.dumps(told).encode(), "", anthropic)
    message: dict[str, object] = {
        "id": "m",
        "type": "message",
        "role": "assistant",
        "model": "m",
        "content": [],
        "stop_reason": None,
    }
    start = {"type": "message_start", "message": {**message, "usage": {"input_tokens": 3, "output_tokens": 1}}}
    block = {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
    delta = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hello"}}
    return b"".join(event(json.dumps(one).encode(), str(one["type"]), anthropic) for one in (start, block, delta))


def whole(anthropic: bool) -> bytes:
    if anthropic:
        text = [{"type": "text", "text": "Hello"}]
        usage = {"input_tokens": 3, "output_tokens": 1}
        return json.dumps(
            {"id": "m", "type": "message", "role": "assistant", "model": "m", "content": text}
            | {"stop_reason": "end_turn", "stop_sequence": None, "usage": usage}
        ).encode()
    choice = {"index": 0, "message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"}
    usage = {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4}
    told = {"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice], "usage": usage}
    return json.dumps(told).encode()


# What is sent: of the request's whole text as it came, and of the protocol that it came in.
Way = Callable[[str, bool], bytes]
WAYS: dict[str, Way] = {
    "fine": lambda _, anthropic: http("200 OK", whole(anthropic)),
    "page": lambda said, _: http("400 Bad Request", html.escape(said).encode(), "text/html"),
    "text": lambda said, _: http("400 Bad Request", said.encode(), "text/plain"),
    "header": lambda said, anthropic: http(
        "400 Bad Request",
        error("no", anthropic),
        more=f"x-request-id: {said.replace(chr(13), '').replace(chr(10), ' ')}\r\n",
    ),
    "overflow": lambda said, anthropic: http("400 Bad Request", error(OVERFLOW + said, anthropic)),
    "kind": lambda said, _: http("200 OK", b"{}", "text/" + "".join(filter(str.isalnum, said))[:2000]),
    "error-in-200": lambda said, anthropic: http("200 OK", error(said, anthropic)),
    "not-json": lambda said, _: http("200 OK", b'{"' + said.encode()),
    "reason": lambda said, _: http(f"500 {said.splitlines()[1][:200]}", b""),
    "not-http": lambda said, _: said.encode(),
    "early": lambda said, anthropic: stream(event(error(said, anthropic, "overloaded_error"), "error", anthropic)),
    "early-mistake": lambda said, anthropic: stream(event(error(said, anthropic), "error", anthropic)),
    "late": lambda said, anthropic: stream(
        some_content(anthropic) + PAUSE + event(error(said, anthropic, "overloaded_error"), "error", anthropic)
    ),
    "late-broken": lambda said, anthropic: stream(
        some_content(anthropic) + PAUSE + event(b'{"' + said.replace("\r\n", " ").encode(), "error", anthropic)
    ),
    "cut": lambda _, anthropic: stream(some_content(anthropic)),
    "silent": lambda _said, _anthropic: b"",
}


def _status_way(status: int) -> Way:
    return lambda said, anthropic: http(f"{status} Told", error(said, anthropic), more="retry-after: 0\r\n")


WAYS.update({str(status): _status_way(status) for status in STATUSES})


class Parrot:
    """`quoted` counts the calls by path and model."""

    def __init__(self) -> None:
        self.quoted: Counter[str] = Counter()
        self.sent = ""  # all that ever came
        self.address = ""

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[str]:
        server = await asyncio.start_server(self._answer, "127.0.0.1", 0, limit=1 << 20)
        self.address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        try:
            yield self.address
        finally:
            server.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            size = int(head.lower().partition("content-length: ")[2].partition("\r\n")[0] or 0)
            body = (await reader.readexactly(size)).decode()
            self.sent += head
            model = json.loads(body)["model"] if body else ""
            self.quoted[f"{head.split(' ')[1].partition('?')[0].partition('/v1/')[2]} {model}"] += 1
            answer = WAYS[model.rpartition("_")[2]](head + body, "anthropic-version" in head.lower())
            for piece in answer.split(PAUSE):
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(PAUSE_S if PAUSE in answer else 0)
            if not answer:
                await reader.read()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()
