"""What is the same for every plain call of one caller by one name, worked out once: the texts of its records and of
its answer's headers, with the few values left open that differ from call to call, and the running parts behind it.

What is not plain (an order that is drawn, a price in tiers, a key's own policy, bodies to be kept …) is not prepared:
`prepare` gives None, and such calls take the whole walk.
"""

from collections.abc import Mapping
from typing import cast

from msgspec import Raw

from waypost.config.model import DroppedParameters
from waypost.conversation.faults import Refused
from waypost.dialects.dialect import Dialect, Edits
from waypost.dialects.json_edit import quote
from waypost.gateway.call import Standing
from waypost.gateway.gateway import Gateway
from waypost.gateway.headers import passed_headers, tells_limits
from waypost.gateway.keyring import Caller
from waypost.gateway.settlement import around
from waypost.gateway.whole import is_json, knows_old_limit_only, request_headers, shape_of, speak_alike
from waypost.ledger.records import Accepted, Attempt, Charge, Ended, Kind, Outcome, line
from waypost.routing.candidates import Candidate
from waypost.routing.decision import decide_with, encode_decision
from waypost.routing.facts import Facts
from waypost.upstream.connection import UpstreamConnection
from waypost.upstream.pool import Pool
from waypost.wire.http1 import header_lines, response_headers

_MARK = "80000000000000000"  # what all marks start with
_MOST_CANDIDATES = 8
NAMED_IN_PATH = "vertex"  # such a provider wants no model in the body


class Marks:
    """Numbers that stand for the values that each call fills in, taken in the order in which the text has them."""

    def __init__(self) -> None:
        self._formats: list[str] = []

    def number(self) -> int:
        """For what is always a whole number."""
        self._formats.append("%d")
        return self._mark(len(self._formats))

    def text(self) -> int:
        """For anything else, as the JSON that it is."""
        self._formats.append("%s")
        return self._mark(len(self._formats))

    def put_into(self, text: bytes) -> str:
        """The text as a %-format. ValueError where some name in it looks like a mark."""
        found = text.decode().replace("%", "%%")
        if found.count(_MARK) != len(self._formats):
            raise ValueError("a name looks like a mark")
        for number, form in enumerate(self._formats, 1):
            before, mark, after = found.partition(str(self._mark(number)))
            if not mark or _MARK in before:
                raise ValueError("a name looks like a mark")
            found = before + form + after
        return found

    def _mark(self, number: int) -> int:
        return int(f"{_MARK}{number:02d}")


class Prepared:
    """For one caller, name, protocol and set of needs, under one configuration.

    `accepted` and `ended` are %-formats of the journal's lines, for the values that `_accepted` and `_ended` mark.
    `names`: header lines of the answer. `units`: for each candidate the dearest input and output token in nano-dollars
    a million, and a call.
    """

    __slots__ = (
        "accepted",
        "allowances",
        "around",
        "caller",
        "ceiling",
        "dialect",
        "dice",
        "edits",
        "ended",
        "health",
        "healths",
        "journal",
        "lane",
        "moves_limit",
        "names",
        "now",
        "plan_id",
        "prefix",
        "price",
        "relayed",
        "rename",
        "renames",
        "series",
        "shape",
        "standing",
        "tells_drops",
        "timeouts",
        "units",
        "upstream",
        "wall_ns",
    )

    def __init__(
        self,
        gateway: Gateway,
        pool: Pool,
        caller: Caller,
        model: str,
        standing: Standing,
        dialect: Dialect,
        needs: frozenset[str],
    ) -> None:
        """`model`: the name that they call it by."""
        plan = standing.found.plan
        lane = self.lane = standing.lanes[0]
        provider = lane.line.provider
        self.caller = caller
        self.standing = standing
        self.dialect = dialect
        self.relayed = speak_alike(lane.dialect, dialect)
        self.healths = standing.healths
        self.health = standing.healths[0]
        self.plan_id = plan.id
        self.now, self.wall_ns = gateway.clock.now, gateway.clock.wall_ns
        self.dice = gateway.dice
        self.journal = gateway.journal
        self.timeouts = plan.settings.timeouts
        self.ceiling = plan.settings.max_output_tokens
        self.around = around(needs)
        self.allowances = gateway.budgets.match(caller.name, caller.team, caller.tags)
        self.units = [cast("tuple[int, int, int]", each.candidate.units) for each in standing.lanes]
        price = lane.candidate.price_at(0.0)
        if price is None:
            raise ValueError("a price that is not known")
        self.price = price
        self.prefix = lane.line.prefix(lane.dialect.path, lane.candidate.model)
        self.upstream = pool.lane(lane.line.peer)
        self.edits = Edits(
            model=lane.candidate.model, max_output_field=provider.max_output_field, quirks=provider.quirks
        )
        self.moves_limit = bool(self.allowances) and knows_old_limit_only(lane)
        # Where nothing but the model's name changes: from and to, as JSON.
        plainly = (
            self.relayed
            and not self.moves_limit
            and model != lane.candidate.model
            and NAMED_IN_PATH not in provider.quirks
        )
        self.renames = (quote(model), quote(lane.candidate.model)) if plainly else None
        self.rename = dialect.rename
        self.shape = shape_of(lane, None)
        self.tells_drops = plan.settings.dropped_parameters is DroppedParameters.WARN
        self.series = gateway.tally.series(plan.route, lane.candidate.provider, lane.candidate.model)
        self.accepted = self._accepted(gateway)
        self.ended = self._ended(gateway, needs)
        self.names = response_headers((*lane.names, ("x-waypost-attempts", "1")))

    def lines_from(self, headers: Mapping[str, str]) -> bytes:
        """The header lines that a caller with these headers has the provider see, beside the fixed ones."""
        return header_lines(request_headers(headers, self.lane, self.relayed))

    def _accepted(self, gateway: Gateway) -> str:
        caller, found, mark = self.caller, self.standing.found, Marks()
        entry = Accepted(
            id=str(mark.text()),
            started_ns=mark.number(),
            key=caller.name,
            team=caller.team,
            tags=dict(caller.tags),
            task=found.task,
            route=found.plan.route,
            revision=gateway.config.revision,
            dialect=self.dialect.name,
            reserved=cast("tuple[Charge, ...]", Raw(b"%d" % mark.text())),
        )
        return mark.put_into(line(entry))

    def _ended(self, gateway: Gateway, needs: frozenset[str]) -> str:
        caller, found, candidate, mark = self.caller, self.standing.found, self.lane.candidate, Marks()
        entry = Ended(
            id=str(mark.text()),
            started_ns=mark.number(),
            input=mark.number(),
            cache_read=mark.text(),
            cache_write=mark.text(),
            output=mark.number(),
            reasoning=mark.text(),
            cost_nano=mark.number(),
            first_byte_us=mark.number(),
            total_us=mark.number(),
            overhead_us=mark.number(),
            tags=dict(caller.tags),
            decision=Raw(self._decision(needs, mark)),
            attempts=(_attempt(candidate, mark.number(), mark.number()),),
            charges=cast("tuple[Charge, ...]", Raw(b"%d" % mark.text())),
            kind=Kind(
                key=caller.name,
                team=caller.team,
                task=found.task,
                route=found.route,
                revision=gateway.config.revision,
                dialect=self.dialect.name,
                provider=candidate.provider,
                model=candidate.model,
                profile=candidate.credential,
                outcome=Outcome.OK,
                status=200,
                price=gateway.price_json(self.price),
                dropped=cast("tuple[str, ...]", Raw(b"%d" % mark.text())),
            ),
        )
        return mark.put_into(line(entry))

    def _decision(self, needs: frozenset[str], mark: Marks) -> bytes:
        """The decision that `decide` makes of a call about which nothing stands out."""
        plan, seed = self.standing.found.plan, mark.number()
        facts = Facts(mark.text(), mark.number(), mark.number(), False, bool(self.allowances), needs)
        bounds = tuple([mark.number() for _ in self.units]) if self.allowances else ()
        return encode_decision(decide_with(plan, facts, (), seed, bounds))


def passed(connection: UpstreamConnection) -> tuple[str | None, bool]:
    """The header lines of a provider's answer that its caller sees, and whether they tell limits.

    None where its body is not JSON.

    A connection hears the same head many times, so this is kept.
    """
    headers = connection.parser.headers
    known, lines, limited = connection.shown
    if headers is not known:
        lines = response_headers(passed_headers(headers)) if is_json(headers) else None
        limited = tells_limits(headers)
        connection.shown = headers, lines, limited
    return lines, limited


def prepare(
    gateway: Gateway, pool: Pool, caller: Caller, model: str, dialect: Dialect, needs: frozenset[str]
) -> Prepared | None:
    """None where such a call is not plain, or would be refused."""
    try:
        standing = gateway.standing(caller, model, None, dialect.name)
        return (
            Prepared(gateway, pool, caller, model, standing, dialect, needs)
            if _is_plain(standing, dialect, needs)
            else None
        )
    except (Refused, ValueError):
        return None


def _is_plain(standing: Standing, dialect: Dialect, needs: frozenset[str]) -> bool:
    plan, lane = standing.found.plan, standing.lanes[0]
    settings = plan.settings
    return (
        not standing.found.misfit
        and plan.single_order is not None
        and len(standing.lanes) <= _MOST_CANDIDATES
        and not plan.any_denied
        and standing.key_policy is None
        and (not needs or plan.capabilities is None or needs <= plan.capabilities)
        and all(each.candidate.units is not None for each in standing.lanes)
        and all(health.rate is None for health in standing.healths)
        and not settings.store_bodies
        and (settings.store_responses is None or dialect.memory is None)
        and lane.line.is_fixed
        and (speak_alike(lane.dialect, dialect) or settings.dropped_parameters is not DroppedParameters.REJECT)
    )


def _attempt(candidate: Candidate, first_byte_us: int, total_us: int) -> Attempt:
    names = (candidate.provider, candidate.model, candidate.credential)
    return Attempt(*names, outcome=Outcome.OK, error=None, status=200, first_byte_us=first_byte_us, total_us=total_us)
