"""A line makes whole requests: the model in the path, keys where they belong, signatures that may be waited for."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from upstream.providing import OK, Link, pooling, providing, whole
from waypost.config.model import Auth, Provider, ProviderClass
from waypost.conversation.faults import Fault, FaultKind, UpstreamFault
from waypost.upstream.auth.scheme import Unsigned
from waypost.upstream.lines import MOST_PREFIXES, Line, peer_of
from waypost.upstream.pool import DeadlinePassed, Outgoing

TIMES = {"connect_s": 5.0, "first_byte_s": 5.0, "stall_s": 5.0}


def provider(**members: Any) -> Provider:
    facts: dict[str, Any] = {
        "name": "p",
        "kind": "openai",
        "base_url": "http://127.0.0.1:9/base",
        "dialect": "gemini",
        "auth_header": "x-key",
        "auth_prefix": "",
        "provider_class": ProviderClass.HOSTED,
    }
    return Provider(**{**facts, **members})


def line(it: Provider | None = None, secret: str | None = None, scheme: Any = None) -> Line:
    it = it or provider()
    return Line(it, secret, peer_of(it, None), scheme)


def target(prefix: bytes) -> str:
    return prefix.split(b"\r\n")[0].decode().removeprefix("POST ").removesuffix(" HTTP/1.1")


@pytest.mark.parametrize(
    ("path", "model", "query", "expected"),
    [
        ("/v1/chat/completions", "gpt/5", "", "/base/v1/chat/completions"),
        ("/models/{model}:go", "gemini-2.5", "", "/base/models/gemini-2.5:go"),
        ("/models/{model}:go", "gemini-2.5", "alt=sse", "/base/models/gemini-2.5:go?alt=sse"),
        ("/model/{model}/converse", "a.b-v1:0", "", "/base/model/a.b-v1%3A0/converse"),
        ("/model/{model}/converse", "arn:x/y z?#%", "", "/base/model/arn%3Ax%2Fy%20z%3F%23%25/converse"),
        ("/m/{model}", "../../admin", "", "/base/m/..%2F..%2Fadmin"),
        ("/m/{model}", "é\r\nx: y", "", "/base/m/%C3%A9%0D%0Ax%3A%20y"),
    ],
)
def test_the_model_stands_in_the_path_and_can_break_out_of_nothing(
    path: str, model: str, query: str, expected: str
) -> None:
    it = line()
    assert target(it.prefix(path, model, query)) == expected
    assert target(it.prefix(path, model, query)) == expected


def test_each_model_has_its_own_prefix_and_they_are_not_kept_for_ever() -> None:
    it = line()
    names = [f"m{number}" for number in range(MOST_PREFIXES * 2)]
    assert [target(it.prefix("/{model}", name)) for name in names] == [f"/base/{name}" for name in names]
    assert len(it._prefixes) == MOST_PREFIXES
    assert it.prefix("/x", "a") is it.prefix("/x", "b")


def test_a_key_goes_into_its_header_or_into_the_query() -> None:
    assert b"\r\nx-key: sk-planted\r\n" in line(secret="sk-planted").prefix("/x", "m")
    it = line(provider(auth=Auth.QUERY, auth_header="key", query=(("v", "1"),)), "sk planted")
    assert target(it.prefix("/x", "m", "alt=sse")) == "/base/x?v=1&key=sk+planted&alt=sse"
    assert b"x-key" not in it.prefix("/x", "m")
    assert it.conceal_text("you sent key=sk+planted") == "you sent key=[redacted]"
    assert it.is_fixed
    own = it.with_secret("other")
    assert target(own.prefix("/x", "m")) == "/base/x?v=1&key=other"


class Late:
    """A scheme whose lines come when it is let to."""

    def __init__(self) -> None:
        self.ready = asyncio.Event()
        self.asked: list[Unsigned] = []
        self.error: UpstreamFault | None = None

    def lines(self, request: Unsigned) -> bytes | None:
        self.asked.append(request)
        return b"authorization: Bearer tok-planted\r\n" if self.ready.is_set() else None

    async def wait(self, request: Unsigned) -> bytes:
        await self.ready.wait()
        if self.error is not None:
            raise self.error
        return self.lines(request) or b""

    def warm(self) -> None:
        self.ready.set()

    def secrets(self) -> Iterator[str]:
        yield "tok-planted"


def outgoing(it: Line, deadline: float, body: bytes = b"{}") -> Outgoing:
    return it.outgoing("/m/{model}", "a:b", "q=1", (("x-one", "1"),), body, deadline=deadline, **TIMES)


async def test_what_signs_sees_the_request_as_it_is_sent() -> None:
    scheme = Late()
    it = line(scheme=scheme)
    it.warm()
    made = outgoing(it, 1e9)
    assert made.extra == b"x-one: 1\r\nauthorization: Bearer tok-planted\r\n"
    assert made.late is None
    assert scheme.asked == [Unsigned("/base/m/a%3Ab", "q=1", b"{}")]
    assert not it.is_fixed
    assert it.conceal_text("no tok-planted") == "no [redacted]"
    assert "planted" not in repr(made)


async def test_the_first_call_waits_for_its_token_and_is_sent_with_it() -> None:
    heads: list[bytes] = []

    async def script(link: Link) -> None:
        head, _ = await link.request()
        heads.append(head)
        link.send(OK)

    async with providing(script) as server, pooling() as pool:
        scheme = Late()
        it = line(provider(base_url=str(server.peer.origin), proxy="none"), scheme=scheme)
        loop = asyncio.get_running_loop()
        sending = asyncio.create_task(pool.send(outgoing(it, loop.time() + 30)))
        await asyncio.sleep(0)
        assert not heads
        scheme.ready.set()
        assert await whole(await sending) == (200, b"ok")
    assert b"\r\nx-one: 1\r\nauthorization: Bearer tok-planted\r\n" in heads[0]


async def test_a_token_that_does_not_come_ends_with_the_deadline_or_as_the_fault_it_is() -> None:
    async with pooling() as pool:
        scheme = Late()
        it = line(scheme=scheme)
        with pytest.raises(DeadlinePassed):
            await pool.send(outgoing(it, asyncio.get_running_loop().time()))
        scheme.error = UpstreamFault(Fault(kind=FaultKind.UNAUTHORIZED, message="no"))
        made = outgoing(it, asyncio.get_running_loop().time() + 30)
        scheme.ready.set()
        with pytest.raises(UpstreamFault, match="no"):
            await pool.send(made)
