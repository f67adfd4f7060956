from pathlib import Path

import pytest

from waypost.conversation.faults import FaultKind
from waypost.routing.faults import CONSEQUENCES, Consequence, worth_trying_after_overflow

PAGE = Path(__file__).parents[2] / "docs" / "routing.md"


def test_every_fault_has_a_consequence() -> None:
    assert set(CONSEQUENCES) == set(FaultKind)


@pytest.mark.parametrize("kind", [FaultKind.BAD_REQUEST, FaultKind.CONTENT_BLOCKED, FaultKind.CONTEXT_OVERFLOW])
def test_a_callers_own_fault_blames_nobody(kind: FaultKind) -> None:
    then = CONSEQUENCES[kind]
    assert not then.blame_target
    assert not then.blame_credential


@pytest.mark.parametrize("kind", [FaultKind.UNAUTHORIZED, FaultKind.FORBIDDEN, FaultKind.QUOTA_EXHAUSTED])
def test_a_refused_credential_is_blamed_and_the_model_is_not(kind: FaultKind) -> None:
    then = CONSEQUENCES[kind]
    assert (then.try_next, then.blame_target, then.blame_credential) == (True, False, True)


@pytest.mark.parametrize(
    ("window", "overflowed", "worth"),
    [(200, 100, True), (100, 100, False), (50, 100, False), (None, 100, True), (50, None, True), (None, None, True)],
)
def test_an_overflow_goes_on_to_larger_windows_only(window: int | None, overflowed: int | None, worth: bool) -> None:
    assert worth_trying_after_overflow(window, overflowed) is worth


def told(then: Consequence) -> list[str]:
    blamed = ["target"] * then.blame_target + ["credential"] * then.blame_credential
    following = "larger windows" if then.larger_window else "yes" if then.try_next else "no"
    return [
        following,
        ", ".join(blamed) or "nobody",
        "if nobody else is left" if then.retry_here else "no",
        then.rest.value,
    ]


def test_the_page_shows_the_table() -> None:
    rows = [f"| `{kind}` | {' | '.join(told(CONSEQUENCES[kind]))} |" for kind in FaultKind]
    header = "| fault | try the next | blamed | once more here | rests for |\n|---|---|---|---|---|\n"
    assert header + "\n".join(rows) + "\n" in PAGE.read_text(encoding="utf-8")
