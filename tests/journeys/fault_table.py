"""Every fault of the simulator, met by a whole gateway in every way that counts, and the page that shows what came.

`find_all` makes the calls, `page` prints docs/faults.md of what they found. What should be found is test_faults.py's to
say: nothing here knows it.
"""

import asyncio
import inspect
from collections.abc import Iterable, Sequence
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import anthropic
import msgspec
import openai

from journeys.asking import SPEAKERS
from journeys.harness import ANTHROPIC, CALL_ID, OPENAI, House, Row, Tee, open_house
from waypost.sim import FaultKind, Latency, Model, Script, Simulator
from waypost.sim.faults import split_model

# Kinds that happen at another moment, too, if told to; the kinds themselves are all in the enumeration.
MOMENTS = (
    "reset_after(after=0)",
    "stall_mid(after=0)",
    "truncated(after=0)",
    "truncated_chunk(after=0)",
    "malformed_json(after=0)",
    "error_event(after=2)",
)
# The simulator takes its time over each token, so that the tokens before a fault have gone out when it comes.
PACED = "sim-paced"
SCRIPT = Script(models={PACED: Model(latency=Latency(per_token_ms=0.5))})
FAULTS = tuple(
    sorted((*FaultKind, *MOMENTS), key=lambda fault: (list(FaultKind).index(FaultKind(fault.partition("(")[0])), fault))
)
TEXT = "Hello there"
SAID = "You said Hello there."
PATIENCE_S = 15.0
AT_ONCE = 6  # calls; those that only wait for a timeout don't count
WAITING = ("stall_before", "stall_mid", "stall_mid(after=0)")
TIMEOUTS = "{connect_s: 1, first_byte_s: 1, stall_s: 1, total_s: 8}"
OTHER = {OPENAI: ANTHROPIC, ANTHROPIC: OPENAI}


class Ask(NamedTuple):
    """One call: `fallback` is a healthy provider of the other protocol."""

    fault: str
    provider: str
    speaks: str
    streamed: bool
    fallback: bool

    @property
    def name(self) -> str:
        how = ("stream" if self.streamed else "whole", "fallback" if self.fallback else "alone")
        return "-".join([str(FAULTS.index(self.fault)), self.provider, self.speaks, *how])


class Finding(NamedTuple):
    """What came of one. `raw`: what was sent to the caller; `error`: the SDK's; `blamed`: whose breaker opened."""

    ask: Ask
    text: str
    stop: str | None
    error: Exception | None
    status: int
    headers: dict[str, str]
    raw: bytes
    rows: list[Row]
    blamed: str

    @property
    def kind(self) -> str | None:
        """The error of the first attempt."""
        kind: str | None = self.rows[0]["attempts"][0]["error"]
        return kind

    @property
    def came(self) -> str:
        """What the caller got, in a word or two."""
        if self.error is None:
            return "the answer" if self.headers["x-waypost-provider"] == self.ask.name else "the fallback's answer"
        if self.status == 200:
            return "an error event"
        return f"{self.status} `{self.headers['x-waypost-error']}`"


ASKS = tuple(
    Ask(fault, provider, speaks, streamed, fallback)
    for fault, provider, speaks, streamed, fallback in product(FAULTS, SPEAKERS, SPEAKERS, (False, True), (True, False))
)


def configuration(simulator: Simulator) -> str:
    """Providers and a route of its own for every call, so that no call meets what another one did to a breaker.

    Also of those that are well: on a busy machine one may stall, and would be out for all that come after it.
    """
    lines = ["breaker: {consecutive: 1, cooldown_s: 60}", "providers:"]
    for ask in ASKS:
        if ask.fallback:
            other = OTHER[ask.provider]
            lines.append(
                f"  {well(ask)}: {{kind: {other}, base_url: '{_url(other, simulator.address)}', class: local}}"
            )
        refused = ask.fault == FaultKind.CONNECT_REFUSED
        url = _url(ask.provider, simulator.refusing_address if refused else simulator.address)
        lines.append(f"  {ask.name}: {{kind: {ask.provider}, base_url: '{url}', class: local}}")
    lines.append("routes:")
    for ask in ASKS:
        fault = "" if ask.fault == FaultKind.CONNECT_REFUSED else f"~{ask.fault}"
        fallbacks = f"[{well(ask)}/sim-small]" if ask.fallback else "[]"
        target = f"'{ask.name}/{PACED}{fault}'"
        lines.append(f"  {ask.name}: {{targets: [{target}], fallbacks: {fallbacks}, timeouts: {TIMEOUTS}}}")
    return "\n".join(lines)


def well(ask: Ask) -> str:
    """The provider that takes over."""
    return f"well-{ask.name}"


def _url(kind: str, address: str) -> str:
    return f"http://{address}/v1" if kind == OPENAI else f"http://{address}"


async def find_all(folder: Path) -> list[Finding]:
    async with open_house(configuration, folder, script=SCRIPT) as house:
        clients, tees = {}, {}
        for speaks in SPEAKERS:
            tees[speaks] = Tee()
            http = (openai if speaks == OPENAI else anthropic).DefaultAsyncHttpxClient(transport=tees[speaks])
            clients[speaks] = house.client(speaks, http_client=http)
        turns = asyncio.Semaphore(AT_ONCE)

        async def find(ask: Ask) -> Finding:
            if ask.fault in WAITING:
                return await _find(house, clients[ask.speaks], tees[ask.speaks], ask)
            async with turns:
                return await _find(house, clients[ask.speaks], tees[ask.speaks], ask)

        busy = [ask for ask in ASKS if ask.fault not in WAITING]
        waiting = [ask for ask in ASKS if ask.fault in WAITING]
        seen = [*await asyncio.gather(*map(find, busy)), *await asyncio.gather(*map(find, waiting))]
        for client in clients.values():
            await client.close()
        rows: dict[str, list[Row]] = {}
        for row in house.rows():
            rows.setdefault(row["route"], []).append(row)
        return [one._replace(rows=rows.get(one.ask.name, []), blamed=_blamed(house, one.ask)) for one in seen]


async def _find(house: House, client: Any, tee: Tee, ask: Ask) -> Finding:
    """Asks, and keeps whatever happens; only a hang is no finding."""
    request: dict[str, Any] = {"model": ask.name, "messages": [{"role": "user", "content": TEXT}]}
    resource = client.chat.completions if ask.speaks == OPENAI else client.messages
    if ask.speaks == ANTHROPIC:
        request["max_tokens"] = 1000
    text, stop, headers, status = "", None, {}, 200
    error: Exception | None = None
    try:
        async with asyncio.timeout(PATIENCE_S):
            raw = await resource.with_raw_response.create(**request, stream=ask.streamed)
            headers = dict(raw.headers)
            answer = raw.parse()
            if inspect.isawaitable(answer):  # one SDK's is, the other's is not
                answer = await answer
            if ask.streamed:
                async for event in answer:
                    piece, ended = (_of_chunk if ask.speaks == OPENAI else _of_event)(event)
                    text, stop = text + piece, ended or stop
            else:
                text, stop = (_of_completion if ask.speaks == OPENAI else _of_message)(answer)
    except (openai.APIStatusError, anthropic.APIStatusError) as failure:
        error = failure
        status = failure.response.status_code
        headers = dict(failure.response.headers)
    except (openai.APIError, anthropic.APIError) as failure:
        error = failure
    call = headers.get(CALL_ID, "")
    if call:  # without one there is no row either, and that is what the finding then says
        await house.journal.until(lambda: call in house.journal.ended)
    return Finding(ask, text, stop, error, status, headers, bytes(tee.answers.get(call, b"")), [], "")


def _of_chunk(chunk: Any) -> tuple[str, str | None]:
    if not chunk.choices:
        return "", None
    return chunk.choices[0].delta.content or "", chunk.choices[0].finish_reason


def _of_event(event: Any) -> tuple[str, str | None]:
    if event.type == "content_block_delta" and event.delta.type == "text_delta":
        return event.delta.text, None
    return "", event.delta.stop_reason if event.type == "message_delta" else None


def _of_completion(completion: Any) -> tuple[str, str | None]:
    return completion.choices[0].message.content, completion.choices[0].finish_reason


def _of_message(message: Any) -> tuple[str, str | None]:
    return "".join(block.text for block in message.content), message.stop_reason


def _blamed(house: House, ask: Ask) -> str:
    """Whose breaker opened: one failure is enough here."""
    health = house.waypost.gateway.health
    target = any(not breaker.closed for key, breaker in health.targets() if key.partition("/")[0] == ask.name)
    login = any(not breaker.closed for key, breaker in health.credentials() if key.partition("/")[0] == ask.name)
    return " and ".join([*(["target"] if target else []), *(["credential"] if login else [])]) or "nobody"


def events_of(raw: bytes) -> list[Any]:
    """The data of each server-sent event, decoded; the end mark as the text it is."""
    data = [line[6:] for line in raw.split(b"\n") if line.startswith(b"data: ")]
    return ["[DONE]" if each == b"[DONE]" else msgspec.json.decode(each) for each in data]


PAGE = """# What a caller gets when a provider fails

*Printed by `python tools/docs.py` from calls that were really made; a test fails while this page is not current.*

Each fault of the simulator (`waypost sim`) was met by a route whose first target has it: asked whole and streamed, with
a healthy fallback of the other protocol behind it and without one, by both SDKs, at providers of both protocols
({calls} calls). What came is the same for both SDKs; where the provider's protocol makes a difference, there is a line
for each. Timeouts were short; nothing hung.

- **the answer**: the fault is none to the caller: the answer came whole from the failing provider itself.
- **the fallback's answer**: the caller noticed nothing, but for `x-waypost-attempts: 2`.
- **502 `upstream_failed`**: a typed error that lists each attempt. A **400** is the provider's own: the request is to
  be mended, so nobody else is asked.
- **an error event**: part of the answer had gone out, so there was no way back; the stream ends with an error in the
  caller's protocol, without a stop reason or an end mark that the provider did not send, and the SDK raises its own
  exception.

*Error* is what the row says of the failed attempt; *blamed* is whose breaker counts it ([what follows](routing.md)).

| fault | whole, with a fallback | whole, alone | streamed, with a fallback | streamed, alone | error | blamed |
|---|---|---|---|---|---|---|
{lines}
"""


def page(findings: Sequence[Finding]) -> str:
    lines = []
    for fault in FAULTS:
        told = {provider: _line([f for f in findings if f.ask[:2] == (fault, provider)]) for provider in SPEAKERS}
        if told[OPENAI] == told[ANTHROPIC]:
            lines.append(f"| `{fault}` {told[OPENAI]}")
        else:
            lines += [f"| `{fault}`, {provider} {line}" for provider, line in told.items()]
    return PAGE.format(calls=len(findings), lines="\n".join(lines))


def _line(findings: Sequence[Finding]) -> str:
    ways = [(False, True), (False, False), (True, True), (True, False)]
    came = [_one({f.came for f in findings if f.ask[3:] == way}) for way in ways]
    errors = [_one({f.kind for f in findings if f.ask.streamed is streamed}) for streamed in (False, True)]
    blamed = [_one({f.blamed for f in findings if f.ask.streamed is streamed}) for streamed in (False, True)]
    return f"| {' | '.join(came)} | {_both(errors, '`{}`', 'none')} | {_both(blamed, '{}', 'nobody')} |"


def _one(values: Iterable[str | None]) -> str:
    """The value they all have; all of them, where they differ."""
    return ", ".join(sorted(str(value) for value in values))


def _both(values: Sequence[str], form: str, nothing: str) -> str:
    shown = [nothing if value == "None" else form.format(value) for value in values]
    return shown[0] if shown[0] == shown[1] else f"{shown[0]} (whole), {shown[1]} (streamed)"


def asked_of(fault: str) -> FaultKind:
    """The kind, told by the simulator's own reader."""
    return FaultKind.CONNECT_REFUSED if fault == FaultKind.CONNECT_REFUSED else split_model(f"m~{fault}")[1][0].kind
