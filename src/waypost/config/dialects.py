"""The protocols that are spoken here: one line each, which is all that a new one needs outside its folder.

Knows their names and the vendor who invented each, in the catalogue's terms. The folder `dialects/NAME` has the rest.
"""

from collections.abc import Mapping
from types import MappingProxyType

from msgspec import Struct


class Spoken(Struct, frozen=True):
    """`vendor`: the catalogue's kind whose auth it brings; `version`: what its SDK has at the end of a base URL."""

    vendor: str
    version: str = ""


DIALECTS: Mapping[str, Spoken] = MappingProxyType(
    {
        "openai_chat": Spoken("openai", "/v1"),
        "openai_responses": Spoken("openai", "/v1"),
        "anthropic": Spoken("anthropic"),
        "gemini": Spoken("gemini"),
        "cohere": Spoken("cohere"),
        "bedrock": Spoken("bedrock"),
    }
)
