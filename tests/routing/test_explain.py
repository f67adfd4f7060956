import msgspec
import pytest

from routing.building import FACTS, plan_of, provider, targets
from waypost.config.model import Policy, Strategy
from waypost.conversation.options import Constraints
from waypost.governance.policy import Author
from waypost.routing.breaker import BreakerState
from waypost.routing.decision import Verdict, decide, encode_decision
from waypost.routing.explain import _AUTHORS, _WORDS, explain_text, verify
from waypost.routing.health import View

PROVIDERS = (
    provider("acme", "work", "home", source="acme", region="us"),
    provider("dark", source="other"),
)
PLAN = plan_of(PROVIDERS, targets("acme/large*80", "dark/small*20"), targets("acme/small"), Strategy.WEIGHTED)
LARGE = {"provider": "acme", "model": "large"}
ROW = {
    "id": "01ABC", "revision": "r1", "route": "fast", "task": "code", "outcome": "ok",
    "attempts": [
        LARGE | {"profile": "work", "outcome": "failed", "error": "overloaded", "total_ms": 12.5},
        LARGE | {"profile": "home", "outcome": "ok", "error": None, "total_ms": 800.0},
    ],
}  # fmt: skip


def test_every_verdict_and_author_has_words() -> None:
    assert set(_WORDS) == set(Verdict)
    assert set(_AUTHORS) == set(Author)


def test_a_person_reads_everything_that_made_the_decision() -> None:
    told = msgspec.structs.replace(FACTS, constraints=Constraints(regions=("us",), max_cost_usd="0.01"), stream=True)
    health = (View(), View(target=BreakerState.OPEN, wait_s=12.34), View(), View(), View())
    decision = decide(PLAN, told, health, 42)
    assert explain_text(PLAN.statics, encode_decision(decision), ROW).splitlines() == [
        "call      01ABC",
        "went to   route fast (task code)",
        "revision  r1",
        "strategy  weighted, seed 42",
        "facts     input at most 1000 tokens; output at most 100; streamed; max_cost_usd 0.01; regions us",
        "",
        "candidates, in the order they were to be tried:",
        "  1. acme/large [work] weight 80: viable, first with probability 1, at most $0.0039",
        *[
            f"{place:>3}. acme/small [{PLAN.candidates[index].credential}] (fallback 1): viable, "
            "first with probability 0, at most $0.0012"
            for place, index in enumerate(decision.order[1:], 2)
        ],
        "  -  acme/large [home] weight 80: breaker_open - its breaker is open (target) for another 12.3 s, "
        "at most $0.0039",
        "  -  dark/small [default] weight 20: policy_region - its region is not allowed by the call's own constraints "
        "(region unknown), at most $0.0012",
        "",
        "attempts:",
        "  acme/large [work]: failed (overloaded) in 12.5 ms",
        "  acme/large [home]: ok in 800.0 ms",
        "outcome   ok",
    ]


def test_a_call_that_went_nowhere_says_so() -> None:
    denied = plan_of(PROVIDERS, targets("dark/small"), policy=Policy(classes=frozenset({"local"})))
    text = explain_text(denied.statics, encode_decision(decide(denied, FACTS, (), 1)), {"id": "x"})
    assert "policy_class - its class is not allowed by the policy (hosted)" in text
    assert "nobody could serve this call, and nothing was sent." in text
    assert "no provider was called." in text


@pytest.mark.parametrize(
    ("change", "difference"),
    [
        ({"order": (2, 0, 1, 3, 4)}, "order"),
        ({"seed": 43}, ""),
        ({"plan": "0" * 16}, "plan"),
        ({"last_resort": True}, "last resort"),
    ],
)
def test_a_record_that_was_changed_does_not_verify(change: dict[str, object], difference: str) -> None:
    decision = decide(PLAN, FACTS, (), 42)
    forged = msgspec.structs.replace(decision, **change)
    if "order" in change:
        assert forged.order != decision.order
    verified = verify(PLAN.statics, encode_decision(forged))
    if difference:
        assert not verified.ok
        assert difference in " ".join(verified.differences)
    assert verified.recomputed.order == decide(PLAN, FACTS, (), forged.seed).order


def test_a_plan_that_was_changed_does_not_verify() -> None:
    decision = encode_decision(decide(PLAN, FACTS, (), 42))
    forged = PLAN.statics.replace(b'"weight":80.0', b'"weight":1.0')
    assert forged != PLAN.statics
    assert not verify(forged, decision).ok
