"""Everything that a call's walk needs, for one configuration. Built by `app.py`; a reload swaps in another.

What must outlive a reload (breakers, allowances, connections, journal, counts) is handed from one to the next.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec
from msgspec import Raw, Struct

from waypost.config.model import Config, Policy
from waypost.conversation.faults import ErrorKind, Refused
from waypost.dialects.dialect import Dialect, Headers
from waypost.dialects.embeddings import EMBEDDERS
from waypost.dialects.embeddings.embedder import Embedder
from waypost.gateway.call import Call, Standing
from waypost.gateway.headers import names_of
from waypost.gateway.interfaces import Clock, Journal, Log, Responses, Upstream
from waypost.gateway.keyring import Caller, Keyring
from waypost.governance.allowances import Budgets
from waypost.governance.pricing import Price, describe
from waypost.ledger.records import Planned
from waypost.routing.candidates import Candidate, Plan, narrowed
from waypost.routing.health import Health, HealthBook
from waypost.routing.tables import Tables
from waypost.telemetry.tally import Tally
from waypost.upstream.lines import Line

if TYPE_CHECKING:
    from waypost.gateway.fast_path import FastCall
    from waypost.gateway.prepared import Prepared

MOST_PLANS = 2048
DEFAULT_OUTPUT = 16_384  # tokens held for a call without a limit, where the provider's entry sets none


@dataclass(frozen=True, slots=True)
class Lane:
    """One candidate of a plan with the running parts behind it.

    `dialect` is spoken with it, at the provider's own paths; `line` dials it for that. `embedder`: how it embeds, where
    that is known; `batch`: how many inputs it then takes at once, in whichever dialect.
    """

    candidate: Candidate
    health: Health
    dialect: Dialect
    line: Line
    names: Headers  # the answer's headers that are the same for every call it serves
    embedder: Embedder | None = None
    batch: int = 1

    @property
    def counts_tokens(self) -> bool:
        """Whether the provider has an endpoint of its own for that."""
        return self.line.provider.count_tokens and self.dialect.count_path is not None


class Service(Struct, frozen=True):
    """What not every provider gives: `able` tells of a lane whether it does.

    `kind` and `missing` are what a caller is told where nobody does; `{name}` in it is what was put into "model".
    """

    able: Callable[[Lane], bool]
    kind: ErrorKind
    missing: str


def embedder_for(line: Line, model: str) -> Embedder | None:
    """How a provider embeds with this model in the dialect of the line; not known of one whose paths are its own."""
    found = EMBEDDERS.get(line.provider.dialect) if line.provider.path is None else None
    return found if found is not None and found.serves(model) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Gateway:
    """`dice` gives 53 random bits. `calls` are those under way, by id.

    `lines` by `provider/credential`, then by dialect, the one that it speaks with those of other dialects first.
    """

    config: Config
    tables: Tables
    keyring: Keyring
    budgets: Budgets
    health: HealthBook
    lines: Mapping[str, Mapping[str, Line]]
    dialects: Mapping[str, Dialect]
    upstream: Upstream
    journal: Journal
    tally: Tally
    clock: Clock
    dice: Callable[[], int]
    log: Log
    calls: "dict[str, Call | FastCall]"
    planned: set[str]  # plans that the journal has; bounded by being emptied
    responses: Responses | None = None  # None: none are kept, whatever a route says
    _lanes: dict[tuple[str, str], tuple[Lane, ...]] = field(default_factory=dict)
    _standings: dict[tuple[str | None, str, str | None, str, Service | None], Standing] = field(default_factory=dict)
    _prepared: "dict[tuple[str | None, str, str, frozenset[str]], Prepared | None]" = field(default_factory=dict)
    _price_json: dict[Price, Raw] = field(default_factory=dict)

    def standing(
        self, caller: Caller, name: str, task: str | None, dialect: str = "", service: Service | None = None
    ) -> Standing:
        """`dialect`: the caller's. With a `service` only those who give it are candidates.

        Raises Refused: UNKNOWN_MODEL, POLICY_DENIED for a name that is not the key's, the service's for nobody.
        """
        key = (caller.name, name, task, dialect, service)
        standing = self._standings.get(key)
        if standing is None:
            standing = self._stand(caller, name, task, dialect, service)
            if len(self._standings) >= MOST_PLANS:
                self._standings.pop(next(iter(self._standings)))
            self._standings[key] = standing
        return standing

    def _stand(self, caller: Caller, name: str, task: str | None, dialect: str, service: Service | None) -> Standing:
        found = self.tables.find(name, task)
        # Where it goes, and not what was asked for: a task type leads away from the name in "model".
        if caller.routes is not None and found.plan.name not in caller.routes:
            raise Refused(ErrorKind.POLICY_DENIED, f"Key {caller.name!r} may not call {found.plan.name!r}.")
        if service is not None:
            found = msgspec.structs.replace(found, plan=self._able(found.plan, dialect, service))
        lanes = self.lanes(found.plan, dialect)
        return Standing(
            found,
            lanes,
            tuple(lane.health for lane in lanes),
            self.budgets.match(caller.name, caller.team),
            None if caller.policy == Policy() else caller.policy,
            max(lane.line.provider.default_max_output or DEFAULT_OUTPUT for lane in lanes),
            len(lanes) == 1 and lanes[0].health.rate is None,
        )

    def _able(self, plan: Plan, dialect: str, service: Service) -> Plan:
        kept = [index for index, lane in enumerate(self.lanes(plan, dialect)) if service.able(lane)]
        if not kept:
            raise Refused(service.kind, service.missing.format(name=plan.name))
        return narrowed(plan, kept, self.config.revision)

    def prepared(
        self, key: tuple[str | None, str, str, frozenset[str]], prepare: "Callable[[], Prepared | None]"
    ) -> "Prepared | None":
        """What is kept for plain calls by caller, name, dialect and needs; `prepare` makes it once."""
        if key not in self._prepared:
            if len(self._prepared) >= MOST_PLANS:
                self._prepared.pop(next(iter(self._prepared)))
            self._prepared[key] = prepare()
        return self._prepared[key]

    def lanes(self, plan: Plan, dialect: str = "") -> tuple[Lane, ...]:
        """The plan's candidates in the plan's order, ready to be called by a caller who speaks `dialect`."""
        lanes = self._lanes.get((plan.id, dialect))
        if lanes is None:
            if len(self._lanes) >= MOST_PLANS:
                self._lanes.pop(next(iter(self._lanes)))
            lanes = tuple(self._lane(plan, candidate, dialect) for candidate in plan.candidates)
            self._lanes[plan.id, dialect] = lanes
        return lanes

    def _lane(self, plan: Plan, candidate: Candidate, dialect: str) -> Lane:
        """The target's own dialect, else the caller's where the provider speaks it, else the provider's first."""
        lines = self.lines[candidate.credential_key]
        line = lines.get(candidate.dialect or dialect) or next(iter(lines.values()))
        spoken, provider = self.dialects[line.provider.dialect], line.provider
        if provider.path is not None:
            spoken = msgspec.structs.replace(spoken, path=provider.path, stream_path=provider.stream_path)
        elif provider.stream_path is not None:
            spoken = msgspec.structs.replace(spoken, stream_path=provider.stream_path)
        health = self.health.of(candidate.provider, candidate.target_key, candidate.credential_key)
        embedder = embedder_for(line, candidate.model)
        embedders = (embedder_for(each, candidate.model) for each in lines.values())
        batch = min((each.largest_batch(candidate.model) for each in embedders if each is not None), default=1)
        return Lane(candidate, health, spoken, line, names_of(plan.route, candidate), embedder, batch)

    def write_plan(self, plan: Plan) -> None:
        """Puts the plan on record: decisions made with it can be explained. `planned` says if it is."""
        if len(self.planned) >= MOST_PLANS:
            self.planned.clear()
        self.journal.plan(Planned(plan.id, self.config.revision, Raw(plan.statics)))
        self.planned.add(plan.id)

    def price_json(self, price: Price) -> Raw:
        """The applied price as the row keeps it. Few prices serve many calls, so the text is kept."""
        text = self._price_json.get(price)
        if text is None:
            if len(self._price_json) >= MOST_PLANS:
                self._price_json.clear()
            text = self._price_json[price] = Raw(msgspec.json.encode(describe(price)))
        return text
