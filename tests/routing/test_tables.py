import pytest

from routing.building import PRICES, config_of, provider, targets
from waypost.config.model import Route
from waypost.conversation.faults import ErrorKind, Refused
from waypost.routing.tables import Tables, compile_tables

PROVIDERS = (
    provider("acme", "a", source="acme"),
    provider("home", models=("qwen3", "vendor/deep")),
    provider("shop", "s", models=("qwen3-max", "both")),
    provider("mart", "m", models=("both",)),
    provider("other", "o", source="other"),
)
ROUTES = (
    Route(name="fast", targets=targets("acme/small"), fallbacks=targets("home/qwen3")),
    Route(name="strong", targets=targets("acme/large")),
)


def tables(*tasks: tuple[str, str]) -> Tables:
    return compile_tables(config_of(PROVIDERS, ROUTES, tasks=tasks), PRICES)


@pytest.mark.parametrize(
    ("model", "route", "target"),
    [
        ("fast", "fast", "acme/small"),
        ("acme/large", None, "acme/large"),
        ("acme/anything/at-all", None, "acme/anything/at-all"),
        ("home/qwen3", None, "home/qwen3"),
        ("qwen3", None, "home/qwen3"),
        ("vendor/deep", None, "home/vendor/deep"),
        ("large", None, "acme/large"),
        ("only", None, "other/only"),
        ("large-20260102", None, "acme/large-20260102"),
        ("large-2026-01-02", None, "acme/large-2026-01-02"),
        ("only-latest", None, "other/only-latest"),
    ],
)
def test_a_name_is_a_route_a_target_or_what_one_provider_lists(model: str, route: str | None, target: str) -> None:
    mine = tables()
    for _ in range(2):  # the second time from memory
        found = mine.find(model)
        assert (found.route, found.plan.route, found.plan.candidates[0].target_key) == (route, route, target)
        assert found.plan.name == model
    assert mine.find(model) is found


@pytest.mark.parametrize(
    ("model", "hint"),
    [
        ("fats", "'fast'"),
        ("qwen3-maxi", "qwen3-max"),
        ("both", "shop/both, mart/both"),
        ("small", "acme/small, other/small"),
        ("home/qwen4", "home/qwen3"),
        ("nobody/qwen3", ""),
        ("small-20260102", "acme/small-20260102"),
        ("large-2026", ""),
        ("qwen3-latest", "qwen3"),
        ("", ""),
        ("auto", ""),
        ("x" * 100_000, ""),
        ("acme/", ""),
        ("acme/..", "no part of one"),
        ("acme/.", "no part of one"),
        ("acme/a/../b", "no part of one"),
    ],
)
def test_an_unknown_name_is_refused_with_what_comes_near(model: str, hint: str) -> None:
    with pytest.raises(Refused) as refused:
        tables().find(model)
    assert refused.value.error.kind is ErrorKind.UNKNOWN_MODEL
    assert refused.value.error.status == 404
    assert hint in refused.value.error.message
    assert len(refused.value.error.message) < 500


@pytest.mark.parametrize(
    ("model", "task", "route", "misfit"),
    [
        ("fast", "code", "strong", False),
        ("acme/small", "code", "strong", False),
        ("fast", "poetry", "fast", True),
        ("strong", "poetry", "fast", True),
        ("strong", None, "strong", False),
        ("auto", None, "fast", False),
        ("", None, "fast", False),
    ],
)
def test_a_task_type_decides_and_an_unknown_one_takes_the_default(
    model: str, task: str | None, route: str, misfit: bool
) -> None:
    found = tables(("code", "strong"), ("default", "fast")).find(model, task)
    assert (found.route, found.misfit) == (route, misfit)
    assert found.task == (task or (None if model == "strong" else "default"))


def test_without_a_tasks_table_the_model_name_decides_and_the_task_is_a_label() -> None:
    found = tables().find("fast", "code")
    assert (found.route, found.task, found.misfit) == ("fast", "code", False)


def test_without_a_default_a_misfit_goes_by_its_model_name() -> None:
    found = tables(("code", "strong")).find("fast", "poetry")
    assert (found.route, found.task, found.misfit) == ("fast", "poetry", True)


def test_plans_of_named_targets_are_kept_within_bounds() -> None:
    mine = tables()
    for number in range(3000):
        mine.find(f"acme/x{number}")
    assert len(mine._direct) <= 1024


def test_what_can_be_asked_for_is_listed_once() -> None:
    assert tables().names() == (
        "fast", "strong", "acme/small", "home/qwen3", "acme/large", "home/vendor/deep", "shop/qwen3-max", "shop/both",
        "mart/both",
    )  # fmt: skip


def test_a_plan_knows_its_candidates_and_its_id_is_its_content() -> None:
    first, second = tables().plans()[0], tables().plans()[0]
    assert first.id == second.id
    assert first.id != tables().plans()[1].id
    small, home = first.candidates
    assert (small.tier, small.credential, small.credential_key, small.context_window) == (0, "a", "acme/a", 8000)
    assert (home.tier, home.credential, home.credential_key, home.context_window) == (
        1,
        "default",
        "home/default",
        None,
    )
    assert small.price_at(0) is not None
    assert home.price_at(0) is None
