"""Every limit is an allowance: an amount per window, reserved before it is used and settled after.

Amounts are whole numbers of any unit (budgets: nano-dollars). This module knows windows and arithmetic, not what an
amount buys, and reads no clock: times are seconds since 1970, as arguments.

The invariant: nothing is reserved unless spent + reserved + amount <= limit. A reservation belongs to the window
that it was made in; settled after that window's end, it leaves the next window's amounts alone.
"""

from collections.abc import Collection, Sequence

import msgspec
from msgspec import Struct

from waypost.config.model import Budget, Window
from waypost.governance.windows import window_at

_MOST_CALLERS = 4096


class AllowanceView(Struct, frozen=True):
    """An allowance at one moment. `resets_at` is seconds since 1970, None for a window that never ends."""

    name: str
    limit: int
    window: Window
    spent: int
    reserved: int
    resets_at: int | None


class Denied(Struct, frozen=True):
    """The first allowance in which an amount did not fit, as it was then."""

    name: str
    limit: int
    spent: int
    reserved: int
    resets_at: int | None


class Allowance:
    """One limit. For one thread: every operation is a few integer steps without a point to be interrupted at."""

    __slots__ = ("_ends", "_starts", "limit", "name", "quoted_name", "reserved", "since", "spent", "window")

    def __init__(self, name: str, limit: int, window: Window) -> None:
        self.name = name
        self.quoted_name = msgspec.json.encode(name).decode()
        self.limit = limit
        self.window = window
        self.spent = 0
        self.reserved = 0
        self.since = 0  # the current window's start in seconds since 1970, as records name it; 0 where it never ends
        self._starts: float = float("-inf")
        self._ends: float = float("-inf")  # so that the first look opens the first window

    def roll(self, now_s: float) -> None:
        """Opens the window of `now_s` if the current one is over. A clock set back changes nothing."""
        if now_s >= self._ends:
            self._starts, self._ends = window_at(self.window, now_s)
            self.since = _whole(self._starts) or 0
            self.spent = self.reserved = 0

    def room(self, now_s: float) -> int:
        """The most that could be reserved now; never negative."""
        if now_s >= self._ends:
            self.roll(now_s)
        return max(0, self.limit - self.spent - self.reserved)

    @property
    def started(self) -> bool:
        """Whether it has counted anything, or been restored, since it was built."""
        return self._ends != float("-inf")

    def restore(self, spent: int, now_s: float) -> None:
        """Sets what the window of `now_s` has spent so far, as the ledger tells at start."""
        self.roll(now_s)
        self.spent = spent

    def starts_at(self, now_s: float) -> float:
        """When the window of `now_s` began: from here on the ledger's rows count. -inf for a window that never ends."""
        self.roll(now_s)
        return self._starts

    def view(self, now_s: float) -> AllowanceView:
        self.roll(now_s)
        return AllowanceView(self.name, self.limit, self.window, self.spent, self.reserved, _whole(self._ends))

    def denied(self) -> Denied:
        return Denied(self.name, self.limit, self.spent, self.reserved, _whole(self._ends))


class Reservation(Struct, eq=False, gc=False):
    """An amount held in some allowances until it is settled or released, exactly once; a second time does nothing.

    `held` names each allowance's window by its start, as records do.
    """

    amount: int
    held: Sequence[tuple[Allowance, int]]

    @property
    def is_open(self) -> bool:
        return bool(self.held)

    def settle(self, actual: int, now_s: float) -> int:
        """Spends `actual` in place of the reserved amount. Returns by how much it went over that, normally 0.

        What a provider charged is recorded even where it is more than was reserved: the spend is real.
        """
        held, amount = self.held, self.amount
        for allowance, since in held:
            if now_s >= allowance._ends:
                allowance.roll(now_s)
            if allowance.since == since:
                allowance.reserved -= amount
                allowance.spent += actual
        self.held = ()
        return actual - amount if held and actual > amount else 0

    def room(self, now_s: float) -> int:
        """How much more than `amount` would fit every limit; 0 once a window that it was made in is over."""
        rooms = [
            allowance.room(now_s) if now_s < allowance._ends and allowance.since == since else 0
            for allowance, since in self.held
        ]
        return min(rooms, default=0)

    def extend(self, amount: int, now_s: float) -> Denied | None:
        """Holds so much more in every allowance whose window goes on, or in none: then tells the first that is full."""
        for allowance, _ in self.held:
            if now_s >= allowance._ends:
                allowance.roll(now_s)
        going_on = [allowance for allowance, since in self.held if allowance.since == since]
        for allowance in going_on:
            if allowance.spent + allowance.reserved + amount > allowance.limit:
                return allowance.denied()
        for allowance in going_on:
            allowance.reserved += amount
        self.amount += amount
        return None

    def charges(self, amount: int) -> tuple[tuple[str, int, int], ...]:
        """(allowance, start of the window that it was made in, `amount`), for the record."""
        return tuple([(allowance.name, since, amount) for allowance, since in self.held])

    def charges_json(self, amount: int) -> str:
        """The same as JSON."""
        if len(self.held) == 1:  # the usual case, at a third of the cost
            allowance, since = self.held[0]
            return f"[[{allowance.quoted_name},{since},{amount}]]"
        return f"[{','.join([f'[{allowance.quoted_name},{since},{amount}]' for allowance, since in self.held])}]"

    def release(self, now_s: float) -> None:
        """Gives the whole amount back: nothing was spent."""
        self.settle(0, now_s)


def reserve_all(allowances: Sequence[Allowance], amount: int, now_s: float) -> Reservation | Denied:
    """Holds `amount` in every allowance, or in none of them and tells the first in which it did not fit."""
    held: list[tuple[Allowance, int]] = []
    for allowance in allowances:
        if now_s >= allowance._ends:
            allowance.roll(now_s)
        if allowance.spent + allowance.reserved + amount > allowance.limit:
            denied = allowance.denied()
            Reservation(amount, held).release(now_s)
            return denied
        allowance.reserved += amount
        held.append((allowance, allowance.since))
    return Reservation(amount, held)


def affordable(allowances: Sequence[Allowance], now_s: float) -> int | None:
    """The most that `reserve_all` would grant now; None without an allowance: any amount."""
    return min((allowance.room(now_s) for allowance in allowances), default=None)


class Budgets:
    """The configured budgets as allowances, and which of them count a call.

    Who calls decides by one dictionary look-up; tags are compared only where some budget matches on tags.
    """

    __slots__ = ("_budgets", "_by_caller", "_known", "allowances")

    def __init__(self, budgets: Sequence[Budget], previous: "Budgets | None" = None) -> None:
        """`previous` is what a reload replaces: a budget of the same name and window goes on counting.

        That is how the ledger tells budgets apart. One that a reload takes away is kept in mind: calls under way are
        still charged to it, and it may come back.
        """
        self._known: dict[tuple[str, Window], Allowance] = {} if previous is None else dict(previous._known)
        self._budgets: tuple[tuple[Budget, Allowance], ...] = tuple(
            (budget, _continued(budget, self._known)) for budget in budgets
        )
        self.allowances = tuple(allowance for _, allowance in self._budgets)
        self._by_caller: dict[
            tuple[str | None, str | None], tuple[tuple[Allowance, ...], tuple[tuple[Budget, Allowance], ...]]
        ] = {}

    def match(self, key: str | None, team: str | None, tags: Collection[tuple[str, str]] = ()) -> tuple[Allowance, ...]:
        """The allowances that count a call by this key and team with these (name, value) tags, in configured order."""
        try:
            fixed, by_tags = self._by_caller[key, team]
        except KeyError:
            fixed, by_tags = self._learn(key, team)
        if not by_tags:
            return fixed
        return tuple(a for budget, a in by_tags if all(pair in tags for pair in budget.match.tags))

    def view(self, now_s: float) -> tuple[AllowanceView, ...]:
        return tuple(allowance.view(now_s) for allowance in self.allowances)

    def _learn(
        self, key: str | None, team: str | None
    ) -> tuple[tuple[Allowance, ...], tuple[tuple[Budget, Allowance], ...]]:
        if len(self._by_caller) >= _MOST_CALLERS:
            self._by_caller.pop(next(iter(self._by_caller)))
        mine = tuple((budget, allowance) for budget, allowance in self._budgets if _counts(budget, key, team))
        tagged = any(budget.match.tags for budget, _ in mine)
        learned = tuple(allowance for _, allowance in mine), mine if tagged else ()
        self._by_caller[key, team] = learned
        return learned


def _counts(budget: Budget, key: str | None, team: str | None) -> bool:
    match = budget.match
    return match.key in (None, key) and match.team in (None, team)


def _continued(budget: Budget, known: dict[tuple[str, Window], Allowance]) -> Allowance:
    allowance = known.get((budget.name, budget.window))
    if allowance is None:
        allowance = known[budget.name, budget.window] = Allowance(budget.name, budget.limit, budget.window)
    allowance.limit = budget.limit
    return allowance


def _whole(moment: float) -> int | None:
    return int(moment) if abs(moment) != float("inf") else None
