"""Embeddings: OpenAI's form on the way in, four protocols on the way out. Pure, as the dialects are."""

from collections.abc import Mapping
from types import MappingProxyType

import msgspec

from waypost.dialects.dialect import Dialect, Door, Glance
from waypost.dialects.embeddings import bedrock, cohere, form, gemini, openai
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


def asked_for_in(chat: Dialect) -> Dialect:
    """What callers of embeddings speak: errors as in OpenAI's chat, requests and answers as in `form`."""
    return msgspec.structs.replace(
        chat,
        doors=(Door(form.PATH, embeds=True),),
        path=openai.PATH,
        glance=_glance,
        edit=form.edit,
        glance_reply=openai.glance_reply,
    )


def _glance(body: bytes) -> Glance:
    return form.glance(body).call
