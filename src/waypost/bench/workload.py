"""The calls that are measured: what is asked, what the upstream answers at once. Fixed bytes, no processes."""

import json

from msgspec import Struct


class Ask(Struct, frozen=True):
    """One kind of call. `request` goes to the gateway; `reference` is the same call as a plain proxy passes it on."""

    name: str
    path: str
    request: bytes
    reference: bytes


def _body(model: str) -> bytes:
    asked = {"model": model, "messages": [{"role": "user", "content": "hello"}], "max_tokens": 16}
    return json.dumps(asked, separators=(",", ":")).encode()


MODEL = "gpt-4o-mini"
PROVIDER = "openai"
OPENAI_PATH = "/v1/chat/completions"
ANTHROPIC_PATH = "/v1/messages"
READY_PATH = "/readyz"

SAME = Ask("OpenAI → OpenAI", OPENAI_PATH, _body(f"{PROVIDER}/{MODEL}"), _body(MODEL))
TRANSLATED = Ask("Anthropic → OpenAI", ANTHROPIC_PATH, _body(f"{PROVIDER}/{MODEL}"), _body(MODEL))
ASKS = (SAME, TRANSLATED)

ANSWERS = {
    OPENAI_PATH: (
        '{"id":"chatcmpl-1","object":"chat.completion","created":1700000000,"model":"gpt-4o-mini","choices":[{"index":0,'
        '"message":{"role":"assistant","content":"hi"},"logprobs":null,"finish_reason":"stop"}],'
        '"usage":{"prompt_tokens":9,"completion_tokens":2,"total_tokens":11}}'
    ),
    ANTHROPIC_PATH: (
        '{"id":"msg_1","type":"message","role":"assistant","model":"claude-haiku-4-5","content":[{"type":"text",'
        '"text":"hi"}],"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":9,"output_tokens":2}}'
    ),
}
"""What the upstream says, by path."""
