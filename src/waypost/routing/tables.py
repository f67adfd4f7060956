"""From what a caller put into "model" to a plan: routes, tasks, `provider/model`, bare model names.

Compiled once for each configuration. Plans of targets that callers name directly are compiled on demand and kept,
bounded. Knows names; decides nothing between candidates.
"""

import re
from collections.abc import Iterable

from msgspec import Struct

from waypost.config.model import Config, Provider, Route, TargetRef
from waypost.conversation.faults import ErrorKind, Refused
from waypost.governance.pricing import PriceTable
from waypost.routing.candidates import Plan, compile_plan

ANY = frozenset({"", "auto"})  # model names that leave the choice to the tasks table
DEFAULT_TASK = "default"
_MOST_DIRECT = 1024
_LONGEST_NAME = 256
_WALKS = frozenset((".", ".."))
_MOST_NAMES = 200  # comparing is slow, and a caller may err often
_SHARED_START = 3
_DATED = re.compile(r"-(20\d{6}|20\d{2}-\d{2}-\d{2}|latest)$")


class Found(Struct, frozen=True):
    """Where a call goes. `route` None: to a target named directly. `misfit`: the task type is not in the table."""

    plan: Plan
    route: str | None
    task: str | None = None
    misfit: bool = False


class Tables:
    """The routing tables of one configuration."""

    __slots__ = ("_config", "_direct", "_prices", "_providers", "_routes", "_tasks")

    def __init__(self, config: Config, prices: PriceTable) -> None:
        self._config = config
        self._prices = prices
        self._providers = {provider.name: provider for provider in config.providers}
        self._routes = {route.name: self._compile(route, route.name) for route in config.routes}
        self._direct: dict[str, Found] = {}
        self._tasks = {task: self._of_task(task, name) for task, name in config.tasks}

    def find(self, model: str, task: str | None = None) -> Found:
        """The plan for a call. With a tasks table, a task type decides, whatever the model name says.

        A task type that is not in the table takes `default` and is marked as a misfit; where there is no default, the
        model name decides. Raises Refused(UNKNOWN_MODEL), with near names or the providers among which it is ambiguous.
        """
        if len(model) > _LONGEST_NAME:  # also where a task decides: what was found is kept by this name
            raise _unknown(model[:_LONGEST_NAME], "")
        misfit = False
        if task is not None and self._tasks:
            found = self._tasks.get(task)
            if found is not None:
                return found
            fallback = self._tasks.get(DEFAULT_TASK)
            if fallback is not None:
                return Found(fallback.plan, fallback.route, task, True)
            misfit = True
        found = self._routes.get(model) or self._direct.get(model) or self._by_name(model)
        return found if task is None else Found(found.plan, found.route, task, misfit)

    def _of_task(self, task: str, name: str) -> Found:
        """A task may go to a route or to a target; the configuration has been checked for names that are neither."""
        found = self._routes.get(name) or self._compile(Route(name=name, targets=(self._reference(name),)), None)
        return Found(found.plan, found.route, task)

    def plans(self) -> tuple[Plan, ...]:
        """The plans of all routes, in configured order."""
        return tuple(found.plan for found in self._routes.values())

    def names(self) -> tuple[str, ...]:
        """What may be put into "model": routes, their targets, and models that providers are configured to list."""
        targets = (str(reference) for route in self._config.routes for reference in (*route.targets, *route.fallbacks))
        listed = (f"{each.name}/{model}" for each in self._config.providers for model in each.models or ())
        return tuple(dict.fromkeys((*self._routes, *targets, *listed)))

    def _by_name(self, model: str) -> Found:
        if model in ANY and DEFAULT_TASK in self._tasks:
            return self._tasks[DEFAULT_TASK]
        if not model:
            raise _unknown(model, "")
        reference = self._reference(model)
        settings = Route(name=model, targets=(reference,))
        if len(self._direct) >= _MOST_DIRECT:
            self._direct.pop(next(iter(self._direct)))
        found = self._direct[model] = self._compile(settings, None)
        return found

    def _reference(self, model: str) -> TargetRef:
        """The target that a name means: `provider/model`, else a bare name that exactly one provider lists."""
        name, slash, rest = model.partition("/")
        provider = self._providers.get(name)
        if slash and rest and provider is not None:
            if not _WALKS.isdisjoint(rest.split("/")):
                raise _unknown(model, " A name may stand in a request's path: . and .. are no part of one.")
            if provider.models is not None and rest not in provider.models:
                raise _unknown(model, self._near(model, (f"{name}/{listed}" for listed in provider.models)))
            return TargetRef(name, rest)
        listing = self._listing(model)
        if len(listing) == 1:
            return TargetRef(listing[0], model)
        if listing:
            choices = ", ".join(f"{provider}/{model}" for provider in listing)
            raise _unknown(model, f" More than one provider has a model of that name: say which, as one of {choices}.")
        raise _unknown(model, self._near(model, self._all_names(model)))

    def _listing(self, model: str) -> list[str]:
        """Who lists a bare name: providers configured to; only where none is, those known to by the price table.

        The table seldom names dated releases of a model, so such a name is also looked for without its date.
        """
        configured = [each.name for each in self._config.providers if each.models and model in each.models]
        return configured or self._knowing(model) or self._knowing(_DATED.sub("", model))

    def _knowing(self, model: str) -> list[str]:
        return [each.name for each in self._config.providers if model in self._known(each)]

    def _known(self, provider: Provider) -> frozenset[str]:
        return self._prices.names(provider.price_source) if provider.models is None else frozenset()

    def _all_names(self, model: str) -> Iterable[str]:
        yield from self.names()
        start = model[:_SHARED_START].lower()
        for provider in self._config.providers:
            yield from sorted(name for name in self._known(provider) if name.startswith(start))

    def _near(self, model: str, names: Iterable[str]) -> str:
        from difflib import get_close_matches

        pool = [name for _, name in zip(range(_MOST_NAMES), names, strict=False)]
        near = get_close_matches(model, pool, n=3, cutoff=0.6)
        return f" Did you mean {' or '.join(repr(name) for name in near)}?" if near else ""

    def _compile(self, settings: Route, route: str | None) -> Found:
        config = self._config
        plan = compile_plan(settings, route, self._providers, config.policy, self._prices, config.revision)
        return Found(plan, route)


def compile_tables(config: Config, prices: PriceTable) -> Tables:
    """Every route compiled, with the prices its targets have in the table or in the configuration."""
    return Tables(config, prices)


def _unknown(model: str, hint: str) -> Refused:
    return Refused(ErrorKind.UNKNOWN_MODEL, f"No route and no model is named {model!r} here.{hint}")
