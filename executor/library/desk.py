"""What can be asked of the hub, from the driver and from workers alike: a verb, its arguments, and one answer."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from executor.errors import ExecutorError
from executor.library.actors import Actor, State
from executor.library.calls import Call, Stream
from executor.library.creation import Creation
from executor.library.failures import pack_own
from executor.library.messages import ANSWER, PROCEED
from executor.library.objects import ERROR, Outcome
from executor.library.plans import ActorPlan, Code, Plan, Spot, with_spot
from executor.library.status import available, status_of
from executor.library.values import place_of
from executor.library.workers import Worker
from executor.resources import Request, Resources

if TYPE_CHECKING:
    from executor.library.abroad import Found
    from executor.library.hub import Hub

T = TypeVar("T")

Answer = Callable[[bool, Any], bool]
"""Takes ``True`` and the value, or ``False`` and the exception; whether anybody still wanted it."""

_NAMESPACES = "there are some only for the drivers of a cluster, and not for its detached actors. Leave it out"

_BLOCKING = frozenset({"outcomes", "outcomes_awaited", "wait", "next_item", "stand_still"})


class Desk:
    """Serves verbs. Each is a method here; the first two arguments say which worker asks, in which call."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    @staticmethod
    def blocks(verb: str) -> bool:
        """Whether the asker stands still for as long as others need."""
        return verb in _BLOCKING

    def serve(self, caller: int, call: int, verb: str, arguments: tuple[Any, ...], answer: Answer) -> None:
        """Do what is asked, and answer now or later."""
        try:
            getattr(self, f"_{verb}")(caller, call, answer, *arguments)
        except Exception as error:  # noqa: BLE001 - it is the asker's
            answer(False, error)

    # Objects.

    def _outcomes(self, caller: int, call: int, answer: Answer, numbers: Sequence[int]) -> None:
        objects = self._hub.objects
        found: list[Outcome | None] = [objects.outcome(number) for number in numbers]
        if None not in found:
            answer(True, found)
            return
        lost = pack_own(ExecutorError("the object is gone: nobody had a reference to it any more"))

        def all_there() -> None:
            answer(True, [objects.outcome(number) or (ERROR, lost) for number in numbers])

        objects.when_all_settled(numbers, all_there)

    _outcomes_awaited = _outcomes  # by a coroutine
    _outcomes_later = _outcomes  # by somebody who does not stand still for it

    def _stand_still(self, caller: int, call: int, answer: Answer) -> None:
        """A thread waits for what it has asked for before. It is not answered, but given up when it goes on."""

    def _wait(self, caller: int, call: int, answer: Answer, numbers: Sequence[int], count: int) -> None:
        objects = self._hub.objects
        there = self._which_are_there(numbers)
        left = count - len(there)
        if left <= 0:
            answer(True, there)
            return
        awaited = set(numbers).difference(there)

        def one_less() -> None:
            nonlocal left
            left -= 1
            if left == 0:
                objects.not_any_more(awaited, one_less)
                answer(True, self._which_are_there(numbers))

        for number in awaited:
            objects.when_settled(number, one_less)

    def _which_are_there(self, numbers: Sequence[int]) -> list[int]:
        entries = self._hub.objects.entries
        return [n for n in numbers if (e := entries.get(n)) is None or e.outcome is not None]

    def _there(self, caller: int, call: int, answer: Answer, numbers: Sequence[int]) -> None:
        """Those that are there just now."""
        answer(True, self._which_are_there(numbers))

    def _when_there(self, caller: int, call: int, answer: Answer, number: int) -> None:
        def there() -> None:
            answer(True, None)

        self._hub.objects.when_settled(number, there)

    def _pin(self, caller: int, call: int, answer: Answer, number: int) -> None:
        self._hub.objects.keep(number)
        answer(True, None)

    def _allocate(self, caller: int, call: int, answer: Answer, size: int) -> None:
        place = self._hub.store.allocate(size)
        if (worker := self._hub.workers.all.get(caller)) is not None:
            worker.places.add(place.segment)
        answer(True, place)

    # Streams.

    def _next_item(self, caller: int, call: int, answer: Answer, number: int, taken: int, reply: int | None) -> None:
        hub = self._hub
        stream = hub.calls.streams.get(number)
        if stream is None:
            answer(True, None)
            return
        hub.calls.taken(stream, number, taken)
        self._tell_yielder(stream, number, taken, reply)

        def look() -> None:
            worker = hub.workers.all.get(caller)
            if caller and worker is None:
                return  # it has ended while it waited
            if len(stream.items) > taken:
                item = stream.items[taken]
                if not answer(True, item):
                    return  # it was cancelled as it waited
                hub.objects.keep(item)
                if worker is not None:
                    worker.held[item] += 1
            elif stream.ended:
                answer(True, None)
            else:
                stream.waiting.append(look)

        look()

    def _tell_yielder(self, stream: Stream, number: int, taken: int, reply: int | None) -> None:
        """Answer what was taken last, and have the call go on."""
        running = self._hub.calls.open.get(number)
        if running is not None and running.worker is not None:
            if stream.unanswered == taken - 1 and taken > 0:
                stream.unanswered = -1
                self._answer(running.worker, number, reply)
            if running.plan.window:
                self._hub.workers.post(running.worker, (PROCEED, number, taken))

    def _answer(self, worker: Worker, number: int, reply: int | None) -> None:
        """Answer what a call has emitted; its worker holds the answer until it has read it."""
        objects = self._hub.objects
        outcome = None if reply is None else objects.outcome(reply)
        if reply is None or outcome is None:
            self._hub.workers.post(worker, (ANSWER, number, None, None))
            return
        objects.keep(reply)
        worker.held[reply] += 1
        self._hub.workers.post(worker, (ANSWER, number, reply, outcome[1]))

    # Actors.

    def _create_actor(
        self, caller: int, call: int, answer: Answer, number: int, plan: ActorPlan, creation: Creation
    ) -> None:
        """Answers with the number of the actor to use, which may be an older one's, and with its description."""
        hub = self._hub
        worker, place = hub.workers.all.get(caller), place_of(creation.arguments)
        if worker is not None and place is not None:
            worker.places.discard(place.segment)  # it is the actor's now, which may outlive the worker
        if plan.is_detached and hub.backend.is_here:
            raise ValueError(
                f"actor {plan.plan.name}: lifetime='detached' is for a cluster's nodes, which outlive their drivers. "
                f"Leave it out, or open the executor by init('grpc://HOST:PORT')"
            )
        if plan.is_detached and hub.abroad is not None:
            self._adopt(caller, answer, number, partial(hub.abroad.create, plan, creation))
            return
        if plan.namespace is not None:
            raise ValueError(f"namespace={plan.namespace!r}: {_NAMESPACES}")
        name = plan.registered_name
        if name is not None and name in hub.actors.named:
            hub.objects.free(creation.arguments)
            if not plan.get_if_exists:
                raise ValueError(
                    f"there is an actor of the name {name!r} already: use get_actor, or get_if_exists=True"
                )
            self._get_actor(caller, call, answer, name)
            return
        worker = hub.workers.all.get(caller)
        inherits = plan.plan.spot is None and plan.plan.inherits_spot
        if inherits and worker is not None and worker.spot is not None and worker.spot.captures:
            spot = Spot(worker.spot.group)
            hub.groups.check(spot.group, spot.bundle, plan.plan.request)
            plan = replace(plan, plan=with_spot(plan.plan, spot))
        hub.actors.create(number, plan, creation)
        if worker is not None:
            worker.held[number] += 1
        answer(True, (number, creation.description))

    def _get_actor(self, caller: int, call: int, answer: Answer, name: str, namespace: str | None = None) -> None:
        hub = self._hub
        number = hub.actors.named.get(name) if namespace is None else None
        if number is None and hub.abroad is not None:
            self._adopt(caller, answer, hub.new_numbers(1), partial(hub.abroad.find, name, namespace))
            return
        if namespace is not None:
            raise ValueError(f"namespace={namespace!r}: {_NAMESPACES}")
        if number is None:
            known = ", ".join(map(repr, sorted(hub.actors.named))) or "none"
            raise ValueError(f"there is no actor of the name {name!r}; there are: {known}")
        hub.objects.keep(number)
        if caller:
            hub.workers.all[caller].held[number] += 1
        answer(True, (number, hub.actors.all[number].creation.description))

    def _adopt(self, caller: int, answer: Answer, number: int, find: Callable[[], Found]) -> None:
        """Answer with the actor of another driver's that is found, aside, known here as `number` if it is new."""

        def adopt(found: Found) -> tuple[int, bytes]:
            hub = self._hub
            assert hub.abroad is not None
            adopted = hub.abroad.adopt(found, number)
            if (worker := hub.workers.all.get(caller)) is not None:
                worker.held[adopted] += 1
            elif caller:
                hub.objects.drop(adopted)  # it has ended while it waited
            return adopted, found.description

        self._aside(answer, find, adopt)

    def _actor_names(self, caller: int, call: int, answer: Answer) -> None:
        hub = self._hub
        if hub.abroad is None:
            answer(True, sorted(hub.actors.named))
        else:
            self._aside(answer, hub.abroad.names, lambda others: sorted({*hub.actors.named, *others}))

    def _kill_actor(self, caller: int, call: int, answer: Answer, number: int, restart: bool) -> None:
        actor, abroad = self._hub.actors.all.get(number), self._hub.abroad
        if actor is not None and abroad is not None and abroad.has(actor):
            self._aside(answer, partial(abroad.kill, actor, restart=restart), lambda _: None)
            return
        if actor is not None:
            self._hub.actors.kill(actor, "it was killed by executor.kill", restart=restart)
        answer(True, None)

    def _actor_state(self, caller: int, call: int, answer: Answer, number: int) -> None:
        actor = self._hub.actors.all.get(number)
        answer(True, (State.DEAD if actor is None else actor.state).value)

    # Crews.

    def _disband(self, caller: int, call: int, answer: Answer, number: int) -> None:
        self._hub.tasks.disband(number)
        answer(True, None)

    # Cancelling.

    def _cancel(
        self, caller: int, call: int, answer: Answer, number: int, force: bool, recursive: bool, grace_s: float | None
    ) -> None:
        target = self._hub.calls.of_return(number)
        if target is not None:
            if force and target.actor is not None:
                raise ValueError("force is not for the calls of an actor: use kill, which ends the actor")
            self.cancel(target, force=force, recursive=recursive)
            if grace_s is not None:
                self._hub.after(grace_s, lambda: self._cancel_by_force(target))
        answer(True, None)

    def _cancel_by_force(self, call: Call) -> None:
        if call.number in self._hub.calls.open:
            if call.actor is not None:
                self._hub.actors.kill(call.actor, "a call of it did not end when it was cancelled", restart=True)
            else:
                self.cancel(call, force=True, recursive=False)

    def _runs(self, caller: int, call: int, answer: Answer, number: int) -> None:
        """Whether the worker that asks still has a call to run, or to tell of."""
        worker = self._hub.workers.all.get(caller)
        answer(True, worker is not None and number in worker.running)

    def cancel(self, call: Call, *, force: bool, recursive: bool) -> None:
        """End a call: at once when it has not begun, else by asking, or with `force` by ending its process."""
        hub = self._hub
        call.cancelled = True
        call.tries_left = 0
        if recursive:
            for child in hub.calls.children(call.number):
                self.cancel(child, force=force and child.actor is None, recursive=True)
        if call.number not in hub.calls.open:
            return
        worker = call.worker
        if worker is None:
            (hub.actors if call.actor is not None else hub.tasks).cancel(call)
        elif force:
            hub.tasks.end_by_force(worker, call)
        else:
            worker.link.nudge(call.number)

    # Placement groups.

    def _create_group(self, caller: int, call: int, answer: Answer, number: int, request: Request, name: str) -> None:
        self._hub.groups.create(number, request, name, self._hub.tasks.release_idle)
        if caller:
            self._hub.workers.all[caller].held[number] += 1
        answer(True, None)

    def _remove_group(self, caller: int, call: int, answer: Answer, number: int) -> None:
        hub = self._hub
        group = hub.groups.all.get(number)
        error = pack_own(ExecutorError("the placement group was removed"))
        hub.tasks.fail_spot(number, error)
        for actor in list(hub.actors.all.values()):
            spot = actor.plan.plan.spot
            if spot is not None and spot.group == number:
                hub.actors.kill(actor, "its placement group was removed")
        inside = [w for w in hub.workers.all.values() if w.lease and w.lease.area in hub.ledger.areas(number)]
        for worker in inside:
            for running in worker.running.values():
                running.tries_left = 0
            hub.workers.kill(worker, "its placement group was removed")
        if group is not None:
            hub.groups.remove(number)
            hub.room_freed()
        answer(True, None)

    def _check(self, caller: int, call: int, answer: Answer, plan: Plan) -> None:
        """Whether such a plan can ever run."""
        if plan.spot is None:
            self._hub.ledger.check(plan)
        else:
            self._hub.groups.check(plan.spot.group, plan.spot.bundle, plan.request)
        answer(True, None)

    def _groups(self, caller: int, call: int, answer: Answer) -> None:
        groups = self._hub.groups.all.values()
        answer(True, [(g.number, g.name, g.state, g.request) for g in groups])

    # Code.

    def _carry(self, caller: int, call: int, answer: Answer, code: Code) -> None:
        """Have code of the driver's machine where calls run that need it."""
        self._aside(answer, partial(self._hub.backend.carry, code), lambda _: None)

    # Seeing.

    def _total(self, caller: int, call: int, answer: Answer) -> None:
        answer(True, self._hub.ledger.total())

    def _available(self, caller: int, call: int, answer: Answer) -> None:
        self._once_it_is_known(answer, available)

    def _nodes(self, caller: int, call: int, answer: Answer) -> None:
        answer(True, list(self._hub.ledger.nodes()))

    def _status(self, caller: int, call: int, answer: Answer) -> None:
        self._once_it_is_known(answer, status_of)

    def _once_it_is_known(self, answer: Answer, tell: Callable[[Hub, Resources], Any]) -> None:
        """Answer with what can be told once it is known what is free; a head is asked aside: it may take its time."""
        hub = self._hub
        if hub.ledger.is_shared:
            self._aside(answer, hub.ledger.free, lambda free: tell(hub, free))
        else:
            answer(True, tell(hub, hub.ledger.free()))

    def _aside(self, answer: Answer, find: Callable[[], T], tell: Callable[[T], Any]) -> None:
        """Answer with what is told of that which is found without the lock, while all else goes on."""
        hub = self._hub

        def serve() -> None:
            try:
                found = find()
                with hub.lock:
                    answer(True, tell(found))
            except Exception as error:  # noqa: BLE001 - it is the asker's
                with hub.lock:
                    answer(False, error)
            hub.backend.wake()

        threading.Thread(target=serve, daemon=True).start()

    def _worker_of(self, caller: int, call: int, answer: Answer, number: int) -> None:
        """The worker that an actor, or a call, runs in, and the names of its calls in the order they were sent."""
        actor: Actor | None = self._hub.actors.all.get(number)
        if actor is not None and self._hub.abroad is not None and self._hub.abroad.has(actor):
            raise ExecutorError(f"actor {actor.name}: stacks of a detached actor are not to be had from other drivers")
        running = self._hub.calls.open.get(number)
        worker = actor.worker if actor is not None else running.worker if running is not None else None
        answer(True, None if worker is None else (worker.number, [one.plan.name for one in worker.running.values()]))
