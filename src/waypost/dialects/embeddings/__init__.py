"""Embeddings: OpenAI's form on the way in, four protocols on the way out. Pure, as the dialects are."""

from collections.abc import Mapping
from types import MappingProxyType

from waypost.dialects.embeddings import bedrock, cohere, gemini, openai
from waypost.dialects.embeddings.embedder import Embedder

# By the dialect that a target speaks; Anthropic has no embeddings.
EMBEDDERS: Mapping[str, Embedder] = MappingProxyType(
    {
        "openai_chat": openai.EMBEDDER,
        "openai_responses": openai.EMBEDDER,
        "gemini": gemini.EMBEDDER,
        "cohere": cohere.EMBEDDER,
        "bedrock": bedrock.EMBEDDER,
    }
)
