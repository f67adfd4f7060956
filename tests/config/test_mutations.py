"""Whatever the bytes: a configuration, or ConfigError with places that exist."""

import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from config.examples import ENVIRON, EXAMPLE
from waypost.config.errors import ConfigError
from waypost.config.model import Config
from waypost.config.reader import load_config, read_config

BROKEN = sorted((Path(__file__).parent / "broken").glob("*.yaml"))
SEEDS = [EXAMPLE.encode(), *(file.read_bytes() for file in BROKEN)]
TOKENS = [
    b"{", b"}", b"[", b"]", b":", b": ", b"- ", b"\n", b"\t", b"  ", b"&a ", b"*a", b"!!x ", b"<<", b"${", b"}", b"'",
    b'"', b"|", b">", b"%", b"---", b"...", b"? ", b"#", b"\x00", b"\xff", b"\xe2\x80\xa8", b"~", b"null", b"-1",
    b"1e999", b"@", "\ue000".encode(), b"\r", b"@", b"`", b",", b"0x", b"%YAML 1.1\n", b"providers:", b"keys: ",
    b"999999999999999999999",
]  # fmt: skip


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    content = bytearray(draw(st.sampled_from(SEEDS)))
    for _ in range(draw(st.integers(1, 6))):
        start = draw(st.integers(0, len(content)))
        length = draw(st.sampled_from([0, 0, 1, 2, 7, 40]))
        put = draw(st.one_of(st.sampled_from(TOKENS), st.binary(max_size=6), st.just(bytes(content[:30]))))
        content[start : start + length] = put
    return bytes(content)


def judge(read: Config | ConfigError, lines: int) -> None:
    if isinstance(read, ConfigError):
        assert read.problems
        assert all(1 <= one.line <= lines and one.message for one in read.problems)
        assert "planted" not in str(read)
    else:
        assert len(read.revision) == 16


@settings(max_examples=400, deadline=None)
@given(mutated())
def test_mutated_files(content: bytes) -> None:
    with tempfile.NamedTemporaryFile(suffix=".yaml") as file:
        file.write(content)
        file.flush()
        try:
            read: Config | ConfigError = load_config(file.name, ENVIRON)
        except ConfigError as error:
            read = error
    judge(read, len(content.decode("utf-8", "replace").splitlines()) + 1)


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=200))
def test_any_text(text: str) -> None:
    try:
        read: Config | ConfigError = read_config(text, "any.yaml", ENVIRON)
    except ConfigError as error:
        read = error
    judge(read, len(text.splitlines()) + 1)
