"""What workers say to the hub, each kind of message in its own way."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from executor.depot.store import Place
from executor.errors import TaskCancelledError
from executor.library.calls import Submission
from executor.library.definitions import Definition
from executor.library.failures import pack_own
from executor.library.lending import Lending
from executor.library.messages import (
    ALLOCATED,
    CREATED,
    DEFINE,
    GAVE_BACK,
    HELD,
    ITEM,
    LEAVING,
    PUT,
    READY,
    REPLY,
    REQUEST,
    RESULT,
    RESULTS,
    SUBMIT,
    UNREADY,
    UNUSED,
)
from executor.library.objects import ERROR, VALUE, Outcome
from executor.library.plans import Plan, Spot, with_spot
from executor.library.values import Packed
from executor.library.workers import Worker

if TYPE_CHECKING:
    from executor.library.hub import Hub

log = logging.getLogger(__name__)

_MOST_PLANS = 1000


class Hearing:
    """Takes in messages, under the hub's lock."""

    def __init__(self, hub: Hub, lending: Lending) -> None:
        self._hub = hub
        self._lending = lending
        self._plans: dict[Plan, Plan] = {}
        self._heard: dict[int, Callable[..., None]] = {
            RESULT: self._take_result,
            RESULTS: self._take_results,
            SUBMIT: self._take_submission,
            REQUEST: self._take_request,
            HELD: self._take_held,
            ITEM: self._take_item,
            PUT: self._take_put,
            DEFINE: self._take_definition,
            GAVE_BACK: self._take_back,
            CREATED: hub.actors.created,
            LEAVING: hub.actors.leave,
            READY: self._take_ready,
            UNREADY: self._take_unready,
            ALLOCATED: self._take_allocated,
            UNUSED: self._take_unused,
        }

    def take(self, worker: Worker, message: tuple[Any, ...]) -> None:
        """Take in what a worker says. One whose word cannot be taken in is ended, and with it its calls."""
        try:
            self._heard[message[0]](worker, *message[1:])
        except Exception as error:
            log.exception("worker %d: %r could not be taken in", worker.number, message[0])
            self._hub.workers.kill(worker, f"what it said could not be taken in: {type(error).__name__}: {error}")

    def _take_ready(self, worker: Worker, pid: int) -> None:
        worker.pid = pid
        self._hub.workers.introduce(worker)

    def _take_unready(self, worker: Worker, why: str) -> None:
        worker.unready = why

    def _take_definition(self, worker: Worker, definition: Definition) -> None:
        self._hub.define(definition)
        worker.known.add(definition.digest)

    def _take_put(self, worker: Worker, number: int, packed: Packed) -> None:
        self._forget_places(worker, (VALUE, packed))
        self._hub.objects.put(number, (VALUE, packed))
        worker.held[number] += 1

    def _take_item(self, worker: Worker, number: int, item: int, outcome: Outcome, waits: bool) -> None:
        self._forget_places(worker, outcome)
        call = self._hub.calls.open.get(number)
        if call is not None:
            self._hub.calls.yielded(call, item, outcome, waits=waits)

    def _take_back(self, worker: Worker, numbers: list[int]) -> None:
        if self._hub.tasks.runs(worker):
            self._hub.tasks.take_back(worker, numbers)

    def _take_results(self, worker: Worker, results: list[tuple[Any, ...]]) -> None:
        for result in results:
            self._take_result(worker, *result[1:])

    def _take_result(self, worker: Worker, number: int, kind: int, packed: Any, seconds: float, again: bool) -> None:
        call = worker.running.pop(number, None)
        for one in packed if type(packed) is list else (packed,):
            self._forget_places(worker, (kind, one))
        if worker.waits.calls:
            self._lending.call_ended(worker, number)
        if call is None or number not in self._hub.calls.open:
            return
        if call.cancelled and kind == ERROR:
            packed, again = pack_own(TaskCancelledError(f"{call.plan.name} was cancelled")), False
        if call.actor is not None:
            if again and call.tries_left:
                self._hub.actors.again(call)
            else:
                self._hub.actors.finish(call, kind, packed)
            return
        if not again or not call.tries_left:
            self._hub.calls.end(call, kind, packed)
        self._hub.tasks.ended(worker, seconds)
        self._lending.look_for_the_owed()
        if again and call.tries_left:
            self._hub.tasks.again(call)

    def _forget_places(self, worker: Worker, outcome: Outcome) -> None:
        """What a worker has allocated and hands over is not the worker's any more."""
        if worker.places and type(outcome[1]) is tuple and type(outcome[1][1]) is Place:
            worker.places.discard(outcome[1][1].segment)

    def _take_unused(self, worker: Worker, segment: int) -> None:
        worker.places.discard(segment)
        self._hub.backend.give_back(Place(segment, "", 0, home=worker.where))

    def _take_allocated(self, worker: Worker, segment: int) -> None:
        worker.places.add(segment)

    def _take_submission(self, worker: Worker, parent: int, submission: Submission) -> None:
        self._forget_places(worker, (VALUE, submission.arguments))
        plan = submission.plan
        if plan.spot is None and plan.inherits_spot and worker.spot is not None and worker.spot.captures:
            plan = with_spot(plan, Spot(worker.spot.group))
        if len(self._plans) >= _MOST_PLANS:
            self._plans.clear()  # each use of `options` makes a plan, and few are met again
        submission = submission._replace(plan=self._plans.setdefault(plan, plan))
        self._hub.hand_on(submission, worker.number, parent)
        for number in range(submission.number, submission.number + abs(submission.plan.num_returns)):
            worker.held[number] += 1

    def _take_request(self, worker: Worker, request: int, call: int, verb: str, arguments: tuple[Any, ...]) -> None:
        if verb == "give_up":
            self._reply(worker, arguments[0], True, None)
            return
        worker.waits.ask(request)
        self._hub.desk.serve(worker.number, call, verb, arguments, partial(self._reply, worker, request))
        if worker.waits.is_open(request) and self._hub.desk.blocks(verb):
            self._lending.stand_still(worker, request, call)

    def _reply(self, worker: Worker, request: int, well: bool, value: Any) -> bool:
        """Send the one reply that each request has, also one that is given up; whether it is this.

        What comes too late stays where it is. What was sent is the worker's, also to let go of.
        """
        if not worker.waits.is_open(request):
            return False
        self._lending.close(worker, request)
        self._hub.workers.post(worker, (REPLY, request, well, value))
        return True

    def _take_held(self, worker: Worker, taken: Sequence[int], dropped: Sequence[int]) -> None:
        for number in taken:
            worker.held[number] += 1
            self._hub.objects.keep(number)
        for number in dropped:
            self._drop_held(worker, number)

    def _drop_held(self, worker: Worker, number: int) -> None:
        if worker.held[number] > 0:
            worker.held[number] -= 1
            self._hub.objects.drop(number)
        if not worker.held[number]:
            del worker.held[number]
