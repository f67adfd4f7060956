"""Which dialects are spoken here: one line each."""

from collections.abc import Mapping
from types import MappingProxyType

from waypost.dialects import anthropic, bedrock, cohere, gemini, openai_chat, openai_responses
from waypost.dialects.dialect import Dialect

DIALECTS: Mapping[str, Dialect] = MappingProxyType(
    {
        dialect.name: dialect
        for dialect in (
            openai_chat.DIALECT,
            openai_responses.DIALECT,
            anthropic.DIALECT,
            gemini.DIALECT,
            cohere.DIALECT,
            bedrock.DIALECT,
        )
    }
)
