"""What fuzzing found once stays mended; every recording passes through what is fuzzed."""

from pathlib import Path

import pytest

from fuzz.targets import TARGETS, recorded

CASES = sorted((Path(__file__).parent / "cases").glob("*.*.*"))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_finding_stays_mended(case: Path) -> None:
    TARGETS[case.name.partition(".")[0]](case.read_bytes())


def test_every_recording_passes() -> None:
    seen = {name for name, body in recorded() if TARGETS[name](body) is None}
    assert seen >= {f"{dialect}-{what}" for dialect in ("openai_chat", "anthropic") for what in ("request", "reply")}
