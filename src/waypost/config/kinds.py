"""The kinds of words that a configuration is made of: numbers, names, addresses, rates, money. Each knows its own
grammar only.

Text is taken as it was written, so that YAML's guesses (`off`, `no`, `012`, `1:30`) do no harm. A message never repeats
text that could be a secret or could come from the environment.
"""

import re
from collections.abc import Callable, Mapping
from decimal import Decimal

from waypost.config.fields import Kind, Reading, list_of, map_of, nearest, what_is
from waypost.config.model import Address, Rate, Secret
from waypost.config.secrets import REFERENCE, resolve
from waypost.config.yaml_source import Node, Scalar, Sequence
from waypost.conversation.faults import WaypostError

NANO_PER_DOLLAR = 10**9
LARGEST_WHOLE = 2**62  # what a ledger's integer column holds, with room to add
_WHOLE = re.compile(r"0|[1-9][0-9]{0,18}")
_NUMBER = re.compile(r"(?:0|[1-9][0-9]{0,18})(?:\.[0-9]{1,18})?")
_NEGATIVE = re.compile(r"-\s*[0-9.].*")
_SIZE = re.compile(r"(0|[1-9][0-9]{0,15}) ?(B|KiB|MiB|GiB|kB|MB|GB)?")
_SIZE_UNITS = {None: 1, "B": 1, "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3, "kB": 1000, "MB": 1000**2, "GB": 1000**3}
_RATE = re.compile(r"([1-9][0-9]{0,11}) ?/ ?([a-z]+)")
_RATE_UNITS = {"s": 1, "sec": 1, "second": 1, "min": 60, "minute": 60, "hour": 3600, "day": 86400}
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:@+-]{0,127}")
_WORDS = re.compile(r"[^\x00-\x1f\x7f-\x9f\u2028\u2029]{1,128}")
_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,251}[A-Za-z0-9])?")
_REGION = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?")
_DIGEST = re.compile(r"sha256:([0-9a-fA-F]{64})")
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}")
# Given twice, each of them could be read in two ways by whoever is between here and the provider.
_WRITTEN_BY_US = frozenset(
    ("connection", "content-length", "expect", "host", "trailer", "transfer-encoding", "upgrade")
)
_URL_PATH = re.compile(r"/(?:[\x21-\x22\x24-\x3e\x40-\x7a\x7c\x7e]|\{model\}){0,1024}")
_HEADER_VALUE = re.compile(r"[\x20-\x7e]{0,4096}")


def word(reading: Reading, node: Node, path: str, expected: str) -> Scalar | None:
    """The node as one word that is there."""
    if not isinstance(node, Scalar):
        reading.report(path, f"must be {expected}, not {what_is(node)}")
        return None
    if node.is_null:
        reading.report(path, f"has no value: must be {expected}")
        return None
    return node


def read_text(reading: Reading, node: Node, path: str, expected: str = "text") -> str | None:
    """The word's text with each `${NAME}` filled in; how it was written is kept for those who show it."""
    found = word(reading, node, path, expected)
    if found is None:
        return None
    if "${" not in found.text:
        return found.text
    missing = [name for name in REFERENCE.findall(found.text) if not reading.environ.get(name)]
    for name in dict.fromkeys(missing):
        reading.report(path, f"environment variable {name} is not set")
    if "${" in REFERENCE.sub("", found.text):
        reading.report(path, "a reference is written ${NAME}: letters, digits and underscores")
        return None
    if missing:
        return None
    reading.written[path] = found.text
    return REFERENCE.sub(lambda match: reading.environ[match[1]], found.text)


def matching(pattern: re.Pattern[str], expected: str) -> Callable[[Reading, Node, str], str | None]:
    def read(reading: Reading, node: Node, path: str) -> str | None:
        text = read_text(reading, node, path, expected)
        if text is None or pattern.fullmatch(text) is not None:
            return text
        reading.report(path, f"must be {expected}")
        return None

    return read


def text_kind(label: str = "text") -> Kind:
    return Kind(label, matching(_WORDS, "text of at most 128 characters, without control characters"))


def name_kind(label: str) -> Kind:
    return Kind(label, matching(_NAME, f"{label}: letters, digits and . _ : @ + -"))


def check_name(reading: Reading, name: str, path: str) -> bool:
    """Whether `name` can name something; reports if not. No slash: `a/b` is a provider's model."""
    if "/" in name:
        reading.report(path, "a name has no slash: a/b is model b of provider a")
    elif _NAME.fullmatch(name) is None:
        reading.report(path, "a name is made of letters, digits and . _ : @ + -, and begins with a letter or digit")
    else:
        return True
    return False


def check_any_text(reading: Reading, name: str, path: str) -> bool:
    if _WORDS.fullmatch(name) is not None:
        return True
    reading.report(path, "a name has 1 to 128 characters, none of them control characters")
    return False


def check_header_name(reading: Reading, name: str, path: str) -> bool:
    if _HEADER_NAME.fullmatch(name) is None:
        reading.report(path, "not a header's name")
    elif name.lower() in _WRITTEN_BY_US:
        reading.report(path, "says where a request goes or ends, which Waypost writes itself")
    else:
        return True
    return False


def _yes_or_no(reading: Reading, node: Node, path: str) -> bool | None:
    found = word(reading, node, path, "true or false")
    if found is None:
        return None
    if found.plain and found.text in ("true", "false"):
        return found.text == "true"
    reading.report(path, "must be true or false")
    return None


def whole(minimum: int = 0, maximum: int = LARGEST_WHOLE, label: str = "whole number") -> Kind:
    def read(reading: Reading, node: Node, path: str) -> int | None:
        found = word(reading, node, path, "a whole number")
        if found is None:
            return None
        if not found.plain or _WHOLE.fullmatch(found.text) is None:
            negative = found.plain and _NEGATIVE.fullmatch(found.text) is not None
            reading.report(path, "must not be negative" if negative else "must be a whole number")
            return None
        return within(reading, path, int(found.text), minimum, maximum)

    return Kind(label, read)


def within(reading: Reading, path: str, value: int, minimum: int, maximum: int) -> int | None:
    if value < minimum:
        reading.report(path, f"must be at least {minimum}")
    elif value > maximum:
        reading.report(path, f"must be at most {maximum}")
    else:
        return value
    return None


def _decimal(reading: Reading, node: Node, path: str, expected: str) -> Decimal | None:
    found = word(reading, node, path, expected)
    if found is None:
        return None
    if found.plain and _NUMBER.fullmatch(found.text) is not None:
        return Decimal(found.text)
    negative = found.plain and _NEGATIVE.fullmatch(found.text) is not None
    reading.report(path, "must not be negative" if negative else f"must be {expected}")
    return None


def number(*, above: float | None = None, maximum: float = 1e9, label: str = "number") -> Kind:
    """A finite number that is not negative; `above` excludes its own value."""

    def read(reading: Reading, node: Node, path: str) -> float | None:
        value = _decimal(reading, node, path, label_of(label))
        if value is None:
            return None
        if above is not None and value <= Decimal(str(above)):
            reading.report(path, f"must be more than {above:g}")
        elif value > Decimal(str(maximum)):
            reading.report(path, f"must be at most {maximum:g}")
        else:
            return float(value)
        return None

    return Kind(label, read)


def label_of(label: str) -> str:
    return "a number of seconds, without a unit" if label == "seconds" else f"a {label}"


def money(label: str, largest_dollars: int) -> Kind:
    """Dollars, exact → nano-dollars. Anything finer is an error, not a rounding."""

    def read(reading: Reading, node: Node, path: str) -> int | None:
        dollars = _decimal(reading, node, path, f"a number: {label}")
        if dollars is None:
            return None
        nano = dollars * NANO_PER_DOLLAR
        if dollars > largest_dollars:
            reading.report(path, f"must be at most {largest_dollars} dollars")
        elif nano != nano.to_integral_value():
            reading.report(path, "is finer than a nano-dollar (9 decimals)")
        else:
            return int(nano)
        return None

    return Kind(label, read)


def _size(reading: Reading, node: Node, path: str) -> int | None:
    expected = "a size: bytes, or 32KiB, 64MiB, 1GiB"
    found = word(reading, node, path, expected)
    if found is None:
        return None
    match = _SIZE.fullmatch(found.text)
    if match is None:
        reading.report(path, "must not be negative" if _NEGATIVE.fullmatch(found.text) else f"must be {expected}")
        return None
    return within(reading, path, int(match[1]) * _SIZE_UNITS[match[2]], 1024, 2**40)


def _rate(reading: Reading, node: Node, path: str) -> Rate | None:
    expected = "a rate: 1200/min (s, sec, min, minute, hour, day)"
    text = read_text(reading, node, path, expected)
    if text is None:
        return None
    match = _RATE.fullmatch(text)
    if match is None or match[2] not in _RATE_UNITS:
        reading.report(path, f"must be {expected}")
        return None
    return Rate(int(match[1]), _RATE_UNITS[match[2]])


def _address(reading: Reading, node: Node, path: str) -> Address | None:
    expected = "an address: HOST:PORT, such as 127.0.0.1:8080 or [::1]:8080"
    text = read_text(reading, node, path, expected)
    if text is None:
        return None
    host, _, port = text.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    good_host = _is_ipv6(host[1:-1]) if bracketed else _HOST.fullmatch(host) is not None
    if not good_host or _WHOLE.fullmatch(port) is None or int(port) > 65535:
        reading.report(path, f"must be {expected}")
        return None
    return Address(host[1:-1] if bracketed else host, int(port))


def _is_ipv6(host: str) -> bool:
    from ipaddress import AddressValueError, IPv6Address

    try:
        IPv6Address(host)
    except AddressValueError:
        return False
    return True


def _region(reading: Reading, node: Node, path: str) -> str | None:
    text = read_text(reading, node, path, "a region: us, eu, eu-west-1")
    if text is None:
        return None
    if _REGION.fullmatch(text.lower()) is None:
        reading.report(path, "must be a region: us, eu, eu-west-1")
        return None
    return text.lower()


def _digest(reading: Reading, node: Node, path: str) -> str | None:
    text = read_text(reading, node, path, "sha256: and 64 hex digits")
    if text is None:
        return None
    match = _DIGEST.fullmatch(text)
    if match is None:
        reading.report(path, "must be sha256: and 64 hex digits, the digest of the key")
        return None
    return match[1].lower()


def _secret(reading: Reading, node: Node, path: str) -> Secret | None:
    found = word(reading, node, path, "${NAME}, file:PATH or a key")
    if found is None:
        return None
    if "${" in found.text and REFERENCE.fullmatch(found.text) is None:
        reading.report(path, "a secret is one whole ${NAME} or file:PATH, or a key without references")
        return None
    secret = Secret(found.text)
    if not reading.with_secrets:
        return secret
    try:
        resolve(secret, reading.environ)
    except WaypostError as error:
        reading.report(path, str(error))
        return None
    return secret


def choice(options: tuple[str, ...], later: Mapping[str, str] | None = None, label: str | None = None) -> Kind:
    """One of `options`; `later` says why a word that will be known is not yet."""

    def read(reading: Reading, node: Node, path: str) -> str | None:
        text = read_text(reading, node, path, f"one of {', '.join(options)}")
        if text is None:
            return None
        if text in options:
            return options[options.index(text)]
        why = later.get(text) if later is not None else None
        reading.report(path, why or f"must be one of {', '.join(options)}{nearest(text, options)}")
        return None

    return Kind(label or " or ".join(f"`{option}`" for option in options), read)


def _tags(reading: Reading, node: Node, path: str) -> tuple[tuple[str, str], ...] | None:
    if isinstance(node, Sequence):
        return tuple(split_tag(label) for label in _LABELS.read(reading, node, path))
    pairs: tuple[tuple[str, str], ...] = _TAG_TABLE.read(reading, node, path)
    return pairs


def split_tag(label: str) -> tuple[str, str]:
    """`name=value`, or a bare label, whose value is empty."""
    name, _, value = label.partition("=")
    return name.strip(), value.strip()


def _one_tag(reading: Reading, node: Node, path: str) -> tuple[tuple[str, str], ...] | None:
    label = TEXT.read(reading, node, path)
    return None if label is None else (split_tag(label),)


TEXT = text_kind()
FLAG = Kind("`true` or `false`", _yes_or_no)
SECONDS = number(above=0, label="seconds")
SIZE = Kind("size", _size)
RATE = Kind("rate", _rate)
ADDRESS = Kind("address", _address)
REGION = Kind("region", _region)
DIGEST = Kind("`sha256:` and 64 hex digits", _digest)
SECRET = Kind("secret", _secret)
PATH = Kind("path", matching(re.compile(r"[^\x00-\x1f\x7f]{1,4096}"), "a path"))
URL_PATH = Kind("URL path", matching(_URL_PATH, "a URL's path: /PATH, without ? and #, {model} at most in braces"))
MODEL_NAME = Kind("model name", matching(re.compile(r"[\x21-\x7e]{1,256}"), "a model name: printable, without spaces"))
HEADER_NAME = Kind("header name", matching(_HEADER_NAME, "a header's name"))
HEADER_VALUE = Kind("text", matching(_HEADER_VALUE, "printable ASCII text"))
_LABELS = list_of(TEXT, unique=True)
_TAG_TABLE = map_of(TEXT, check_any_text, "tags")
TAGS = Kind("mapping of tags, or list of `name=value`", _tags)
ONE_TAG = Kind("`name=value`", _one_tag)
