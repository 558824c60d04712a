"""The lines in which tasks wait for workers: one for all calls that need the same."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from typing import Any

from executor.library.calls import Call
from executor.library.plans import Plan
from executor.library.workers import Worker

_AHEAD_S = 0.002
_MOST_AHEAD = 64
_MOST_FREE_WORKERS = 32
_MOST_PLANS = 1000
_FEW_LINES = 100


class Line:
    """Calls that need the same, the workers that are leased for them, and how long such calls have taken."""

    __slots__ = ("_nested", "_others", "disbanded", "idle", "most_workers", "plan", "seconds", "workers")

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self._others: OrderedDict[Call, None] = OrderedDict()  # out of which a call may be taken anywhere at no cost
        self._nested: OrderedDict[Call, None] = OrderedDict()
        self.workers: dict[int, Worker] = {}
        self.idle: list[Worker] = []
        self.seconds = 1.0
        self.disbanded = False
        self.most_workers = plan.crew.size if plan.crew else 1 << 30 if plan.resources else _MOST_FREE_WORKERS

    def __len__(self) -> int:
        return len(self._others) + len(self._nested)

    def add(self, call: Call, *, again: bool = False) -> None:
        """Let a call stand in line: behind the others, or in front when it stood there before.

        What a task submits goes before all that, the latest first: its parent will wait for it, and depth first needs
        the fewest workers that do nothing but wait.
        """
        if call.is_nested:
            self._nested[call] = None
            return
        self._others[call] = None
        if again:
            self._others.move_to_end(call, last=False)

    def next(self) -> Call:
        """Take the first call out of the line."""
        call, _ = self._nested.popitem() if self._nested else self._others.popitem(last=False)
        return call

    def remove(self, call: Call) -> None:
        """Take a call out of the line, if it stands there."""
        (self._nested if call.is_nested else self._others).pop(call, None)

    def ahead(self) -> int:
        """How many calls a worker may have at a time."""
        return max(1, min(_MOST_AHEAD, int(_AHEAD_S / self.seconds)))


class Lines:
    """All lines, each to be found by the plan of any call that belongs there.

    Where nobody stands and nobody works a line is forgotten, but not at once: one that is used again knows how long its
    calls take.
    """

    def __init__(self) -> None:
        self._all: dict[tuple[Any, ...], Line] = {}
        self._of_plan: dict[int, tuple[Plan, Line]] = {}
        self._sweep_at = _FEW_LINES

    def __iter__(self) -> Iterator[Line]:
        return iter(self._all.values())

    def __len__(self) -> int:
        return len(self._all)

    def find(self, plan: Plan) -> Line | None:
        """The line of what this plan needs, if there is one."""
        known = self._of_plan.get(id(plan))
        if known is not None and known[0] is plan:
            return known[1]
        line = self._all.get(_needs(plan))
        if line is not None:
            self._remember(plan, line)
        return line

    def add(self, plan: Plan) -> Line:
        """A line for what this plan needs."""
        if len(self._all) >= self._sweep_at:
            self._sweep()
        line = self._all[_needs(plan)] = Line(plan)
        self._remember(plan, line)
        return line

    def _remember(self, plan: Plan, line: Line) -> None:
        if len(self._of_plan) >= _MOST_PLANS:
            self._of_plan.clear()  # each use of `options` makes a plan, and few are met again
        self._of_plan[id(plan)] = plan, line

    def _sweep(self) -> None:
        self._all = {needs: line for needs, line in self._all.items() if line.workers or len(line)}
        self._of_plan.clear()
        self._sweep_at = max(_FEW_LINES, 2 * len(self._all))

    def forget(self, line: Line) -> None:
        """Nobody will stand there again."""
        del self._all[_needs(line.plan)]
        self._of_plan = {number: known for number, known in self._of_plan.items() if known[1] is not line}


def _needs(plan: Plan) -> tuple[Any, ...]:
    return plan.request, plan.surrounding, plan.spot, plan.labels, plan.crew, plan.max_calls
