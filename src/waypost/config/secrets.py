"""From a reference to a secret's value. Knows `${NAME}`, `file:PATH` and literals; keeps no value and shows none."""

import re
from collections.abc import Mapping
from pathlib import Path

from waypost.config.errors import SecretError
from waypost.config.model import Secret

REFERENCE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_FILE = "file:"
_LARGEST_FILE = 64 * 1024
_SENDABLE = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?")


def resolve(secret: Secret, environ: Mapping[str, str]) -> str:
    """The value behind `secret`, without the line ends that editors and shells leave behind it.

    Raises SecretError if the variable is unset, the file can't be read, or the value is empty or could not travel
    in an HTTP header (RFC 9110 field-value, printable ASCII).
    """
    source = secret.source
    reference = REFERENCE.fullmatch(source)
    if reference is not None:
        return _usable(_from_environment(reference[1], environ), f"environment variable {reference[1]}")
    if source.startswith(_FILE):
        return _usable(_from_file(source.removeprefix(_FILE)), source)
    return _usable(source, "the value")


def is_reference(secret: Secret) -> bool:
    """Whether the secret is only referred to, and may therefore be shown as it is written."""
    return secret.source.startswith(_FILE) or REFERENCE.fullmatch(secret.source) is not None


def digest_of(value: str) -> str:
    """SHA-256 of a key, 64 hex digits: how a key is kept."""
    import hashlib

    return hashlib.sha256(value.encode()).hexdigest()


def _from_environment(name: str, environ: Mapping[str, str]) -> str:
    value = environ.get(name)
    if value is None:
        raise SecretError(f"environment variable {name} is not set")
    return value


def _from_file(path: str) -> str:
    try:
        with Path(path).open("rb") as file:
            content = file.read(_LARGEST_FILE + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else "not a usable path"
        raise SecretError(f"file:{path} can't be read: {reason}") from None
    if len(content) > _LARGEST_FILE:
        raise SecretError(f"file:{path} is larger than {_LARGEST_FILE} bytes: not a key")
    try:
        return content.decode()
    except UnicodeDecodeError:
        raise SecretError(f"file:{path} is not text") from None


def _usable(value: str, name: str) -> str:
    value = value.rstrip("\r\n")
    if not value:
        raise SecretError(f"{name} is empty")
    if _SENDABLE.fullmatch(value) is None:
        raise SecretError(f"{name} holds characters that no header can carry")
    return value
