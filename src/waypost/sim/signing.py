"""Signatures and seals that only the protocol that made them knows: what comes back forged, or from another one, shows.

A signature is of a thought that comes with it; a seal says by itself that it is genuine.
"""

import base64
import binascii
import hmac
from enum import IntEnum
from hashlib import blake2b

_KEY = b"waypost sim"
_SIZE = 32


class Signer(IntEnum):
    """Each protocol's own; the first byte that differs."""

    ANTHROPIC = 1
    BEDROCK = 2
    GEMINI = 3
    RESPONSES = 4


def sign(signer: Signer, text: str) -> str:
    """A signature of `text`, in base64."""
    return base64.b64encode(_prefix(signer) + _digest(signer, text.encode("utf-8", "surrogatepass"))).decode()


def is_signed(signer: Signer, text: str, signature: str) -> bool:
    return hmac.compare_digest(signature.encode("utf-8", "surrogatepass"), sign(signer, text).encode())


def seal(signer: Signer, content: str) -> str:
    """`content` and its signature in one piece of base64."""
    data = content.encode("utf-8", "surrogatepass")
    return base64.b64encode(_prefix(signer) + _digest(signer, data) + data).decode()


def is_sealed(signer: Signer, sealed: str) -> bool:
    """Whether `seal` made it, for this signer."""
    try:
        data = base64.b64decode(sealed, validate=True)
    except (binascii.Error, ValueError):
        return False
    prefix = _prefix(signer)
    digest, content = data[len(prefix) : len(prefix) + _SIZE], data[len(prefix) + _SIZE :]
    return data.startswith(prefix) and hmac.compare_digest(digest, _digest(signer, content))


def _prefix(signer: Signer) -> bytes:
    return b"sim" + bytes([signer])


def _digest(signer: Signer, data: bytes) -> bytes:
    key = _KEY if signer is Signer.ANTHROPIC else _KEY + bytes([signer])
    return blake2b(data, digest_size=_SIZE, key=key).digest()
