"""From a call in the user's program to a submission, and to the references that stand for what it will return."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from executor.interrupts import uninterrupted
from executor.library.arguments import pack_arguments
from executor.library.calls import Submission
from executor.library.plans import STREAMING, Plan
from executor.library.refs import ObjectRefGenerator
from executor.library.runtime import Runtime

__audition_internal__ = True

_MOST_KNOWN = 1000


@uninterrupted
def hand_in(
    runtime: Runtime,
    plan: Plan,
    digest: str | None,
    actor: int,
    method: str | None,
    positional: tuple[Any, ...],
    named: Mapping[str, Any],
) -> Any:
    """Submit a call; a reference to what it returns, a list of them, a generator of them, or None for no returns.

    Raises:
        TypeError: the arguments cannot be sent.
    """
    packed, values, inside = pack_arguments(runtime, positional, named)
    count = plan.num_returns
    number = runtime.new_numbers(max(1, count))
    # Before it is submitted, so that nothing is held for nobody when an interrupt comes in between.
    refs = [runtime.own(each) for each in range(number, number + abs(count))]
    runtime.submit(Submission(number, plan, digest, actor, method, packed, values, inside))
    if count == 1:
        return refs[0]
    if count == STREAMING:
        return ObjectRefGenerator(refs[0], runtime)
    return refs or None


def check_feasible(runtime: Runtime, plan: Plan) -> None:
    """Raise for what can never run.

    Raises:
        InfeasibleRequestError: it asks for more than there is, or for labels that no node has.
    """
    if plan.spot is not None:
        runtime.ask("check", plan)  # its group may have been removed since
    elif plan.request not in runtime.feasible:
        runtime.ask("check", plan)
        if len(runtime.feasible) >= _MOST_KNOWN:
            runtime.feasible.clear()
        runtime.feasible.add(plan.request)
