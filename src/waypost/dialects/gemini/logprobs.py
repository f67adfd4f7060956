"""Log probabilities: `logprobsResult` ⇄ the neutral form, which is OpenAI's `{"content": […]}`."""

import msgspec
from msgspec import Raw, Struct

from waypost.conversation.blocks import Json
from waypost.dialects.wire_json import told


class _Token(Struct, gc=False, rename="camel"):
    token: str = ""
    log_probability: float = 0.0


class _Top(Struct, gc=False):
    candidates: list[_Token] | None = None


class _Result(Struct, gc=False, rename="camel"):
    chosen_candidates: list[_Token] | None = None
    top_candidates: list[_Top] | None = None


class _Neutral(Struct, gc=False):
    token: str
    logprob: float
    top_logprobs: list["_Neutral"] | None = None


class _Content(Struct, gc=False):
    content: list[_Neutral] | None = None


_result_decoder = msgspec.json.Decoder(_Result)
_content_decoder = msgspec.json.Decoder(_Content)
_encode = msgspec.json.Encoder().encode


def read_logprobs(raw: Raw) -> Json | None:
    """None where there are none, or not as they should be: they never break the answer that they came with."""
    if not told(raw):
        return None
    try:
        result = _result_decoder.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if not result.chosen_candidates:
        return None
    tops = result.top_candidates or []
    content = []
    for place, chosen in enumerate(result.chosen_candidates):
        others = (tops[place].candidates or []) if place < len(tops) else []
        content.append({**_neutral(chosen), "top_logprobs": [_neutral(other) for other in others]})
    return Raw(_encode({"content": content}))


def _neutral(told_token: _Token) -> dict[str, object]:
    token = told_token.token
    return {
        "token": token,
        "logprob": told_token.log_probability,
        "bytes": list(token.encode("utf-8", "replace")),
    }


def write_logprobs(raw: Json | None) -> dict[str, object] | None:
    """None for log probabilities of another form than the neutral one."""
    if raw is None:
        return None
    try:
        content = _content_decoder.decode(raw).content
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if not content:
        return None
    result: dict[str, object] = {"chosenCandidates": [_written(token) for token in content]}
    if any(token.top_logprobs for token in content):
        result["topCandidates"] = [
            {"candidates": [_written(top) for top in token.top_logprobs or ()]} for token in content
        ]
    return result


def _written(token: _Neutral) -> dict[str, object]:
    return {"token": token.token, "logProbability": token.logprob}
