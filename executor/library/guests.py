"""What a caretaker does for drivers: has actors that outlive them, finds them by their names, and runs their calls."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from executor.errors import ObjectLostError
from executor.hosting.fleet import Mail
from executor.library.actors import Actor
from executor.library.calls import Submission
from executor.library.creations import Creations, Made
from executor.library.failures import pack_exception
from executor.library.letters import ASK, CALL, CANCEL, RESULT, TELL, Gathering, read, written
from executor.library.objects import ERROR, VALUE, Outcome
from executor.library.plans import STREAMING, Plan
from executor.library.values import Packed, numbers_in
from executor.resources import Resources

if TYPE_CHECKING:
    from executor.library.hub import Hub
    from executor.library.nodes import Nodes

_log = logging.getLogger(__name__)

_MOST_REMEMBERED = 1000

_REFERENCES = "{}: references and handles mean nothing to a detached actor, nor its own to others: pass values"
_STREAMS = "{}: a detached actor cannot stream to other drivers: have it return its values, or keep them until asked"


class Guests:
    """The drivers that ask. All is called under the hub's lock.

    A guest holds nothing: an actor lives until somebody kills it, or its process dies and may not be restarted.
    """

    def __init__(self, hub: Hub, nodes: Nodes, mail: Mail, creations: Creations) -> None:
        """The actors that may be restarted are created again from `creations`, which those before us have left."""
        self._hub = hub
        self._creations = creations
        self._nodes = nodes
        self._mail = mail
        self._gathering = Gathering(nodes)
        self._calls: dict[str, dict[int, int]] = {}
        """Of each guest, the calls that have not ended, by its numbers and ours."""
        self._died_of: dict[int, Packed] = {}
        """What the last actors died of, for those who still have handles of them."""
        self._verbs: dict[str, Callable[..., Any]] = {
            "create": self._create,
            "find": self._find,
            "names": self._names,
            "kill": self._kill,
        }
        self.asked_at = time.monotonic()
        """When anything was last asked."""
        nodes.on_written, nodes.on_driver_gone = self._take, self._leave
        hub.actors.on_nameless, hub.actors.on_dead = creations.drop, self._note_dead
        for made in list(creations.all()):
            self._create_again(made)

    def keep_creations(self) -> None:
        """From now on an actor that dies does so because nobody serves us: who comes after us creates it again."""
        self._hub.actors.on_nameless = lambda _: None

    def _take(self, driver: str, content: bytes) -> None:
        self.asked_at = time.monotonic()
        try:
            self._take_letter(driver, read(content))
        except Exception:  # noqa: BLE001 - whatever it is, others are to be heard
            _log.exception("a letter of driver %s makes no sense here", driver)

    def _take_letter(self, driver: str, letter: tuple[Any, ...]) -> None:
        match letter:
            case (int(kind), number, verb, bytes(arguments)) if kind == ASK:
                self._answer(driver, number, verb, arguments)
            case (int(kind), actor, calls) if kind == CALL:
                for call in calls:
                    self._take_call(driver, actor, call)
            case (int(kind), number) if kind == CANCEL:
                self._cancel(driver, number)
            case _:
                _log.warning("driver %s: a letter that makes no sense here", driver)

    def _leave(self, driver: str) -> None:
        """What it has called goes on, and nobody is told what comes of it."""
        self._calls.pop(driver, None)

    # Actors.

    def _answer(self, driver: str, number: int, verb: str, arguments: bytes) -> None:
        try:
            told = TELL, number, True, written(self._verbs[verb](*read(arguments)))
        except Exception as error:  # noqa: BLE001 - it is the asker's
            told = TELL, number, False, written(pack_exception(error))
        self._mail.write(driver, written(*told))

    def _create_again(self, made: Made) -> None:
        try:
            self._create(made)
        except Exception:  # noqa: BLE001 - whatever it is, the others are to be there
            _log.exception("actor %s cannot be created again, and is gone", made.name)
            self._creations.drop(made.name)

    def _create(self, made: Made) -> tuple[Any, ...]:
        hub = self._hub
        hub.define(made.definition)
        around = replace(made.plan.plan.surrounding, code=self._nodes.take_over(made.shipped))
        plan = replace(made.plan, plan=replace(made.plan.plan, surrounding=around), namespace=None)  # which is ours
        self._ask("check", plan.plan)
        number, _ = self._ask("create_actor", hub.new_numbers(1), plan, made.creation)
        if plan.max_restarts and hub.actors.all[number].creation is made.creation:  # and not one of before
            self._creations.keep(made)
        return self._described(number)

    def _find(self, name: str) -> tuple[Any, ...]:
        number, _ = self._ask("get_actor", name)
        return self._described(number)

    def _described(self, number: int) -> tuple[Any, ...]:
        """What a guest needs to know of an actor, which it does not hold."""
        actor = self._hub.actors.all[number]
        self._hub.objects.drop(number)
        return number, actor.plan, actor.creation.description

    def _names(self) -> list[str]:
        return list(self._ask("actor_names"))

    def _kill(self, number: int, restart: bool) -> None:
        self._ask("kill_actor", number, restart)

    def _note_dead(self, actor: Actor) -> None:
        assert actor.error is not None, "who has died has died of something"
        self._died_of[actor.number] = actor.error
        if len(self._died_of) > _MOST_REMEMBERED:
            del self._died_of[next(iter(self._died_of))]

    def _ask(self, verb: str, *arguments: Any) -> Any:
        """The answer to what is answered at once."""
        answers: list[tuple[bool, Any]] = []

        def answer(well: bool, value: Any) -> bool:
            answers.append((well, value))
            return True

        self._hub.desk.serve(0, 0, verb, arguments, answer)
        ((well, value),) = answers
        if not well:
            raise value
        return value

    # Calls.

    def _take_call(self, driver: str, actor: int, call: tuple[Any, ...]) -> None:
        try:
            self._run(driver, actor, *call[:8])
        except Exception as error:  # noqa: BLE001 - it is the caller's
            self._tell(driver, call[0], ERROR, pack_exception(error))

    def _run(
        self,
        driver: str,
        number: int,
        its: int,
        method: str,
        _digest: None,
        arguments: Packed,
        values: Sequence[Packed] | None,
        returns: int,
        _window: int,
        retry_exceptions: bool | bytes,
    ) -> None:
        """Run a call of a guest's, which knows it by the number `its`."""
        hub = self._hub
        actor = hub.actors.all.get(number)
        name = f"{actor.name if actor is not None else 'a detached actor'}.{method}"
        if refusal := _refusal(name, [arguments, *(values or ())], returns):
            raise refusal
        if actor is None and (error := self._died_of.get(number)) is not None:
            self._tell(driver, its, *self._told(name, returns, [(ERROR, error)]))
            return
        count = max(1, returns)
        ours = hub.new_numbers(count)
        taken = [hub.new_numbers(1) for _ in values or ()]
        for one, value in zip(taken, values or (), strict=True):
            hub.objects.put(one, (VALUE, value))
        plan = Plan(name, Resources(), num_returns=count, max_retries=-1, retry_exceptions=retry_exceptions)
        hub.hand_on(Submission(ours, plan, None, number, method, arguments, tuple(taken), ()), 0, 0)
        for one in taken:
            hub.objects.drop(one)
        self._calls.setdefault(driver, {})[its] = ours
        numbers = range(ours, ours + count)
        hub.objects.when_all_settled(numbers, partial(self._ended, driver, its, name, numbers, returns))

    def _ended(self, driver: str, its: int, name: str, numbers: range, returns: int) -> None:
        outcomes = [outcome for outcome in map(self._hub.objects.outcome, numbers) if outcome is not None]
        values = [packed for _, packed in outcomes]
        self._gathering.bring(values, partial(self._send, driver, its, name, numbers, returns, outcomes))

    def _send(
        self, driver: str, its: int, name: str, numbers: range, returns: int, outcomes: list[Outcome], why_not: str
    ) -> None:
        """Tell a guest what came of its call, if it is still there."""
        try:
            if why_not:
                raise ObjectLostError(why_not)
            told = self._told(name, returns, outcomes)
        except Exception as error:  # noqa: BLE001 - it is the caller's
            told = ERROR, pack_exception(error)
        self._tell(driver, its, *told)
        for number in numbers:
            self._hub.objects.drop(number)

    def _told(self, name: str, returns: int, outcomes: list[Outcome]) -> tuple[int, Packed | list[Packed]]:
        """What came of a call, with all that belongs to it."""
        kind, packed = outcomes[0]
        if refusal := _refusal(name, [packed for _, packed in outcomes], 1):
            raise refusal
        if kind == ERROR:
            return ERROR, packed
        values = [self._gathering.inlined(packed) for _, packed in outcomes]
        return VALUE, values[0] if returns == 1 else values[:returns]

    def _tell(self, driver: str, its: int, kind: int, packed: Packed | list[Packed]) -> None:
        self._calls.get(driver, {}).pop(its, None)
        self._mail.write(driver, written(RESULT, its, kind, packed))

    def _cancel(self, driver: str, its: int) -> None:
        ours = self._calls.get(driver, {}).get(its)
        call = None if ours is None else self._hub.calls.open.get(ours)
        if call is not None:
            self._hub.desk.cancel(call, force=False, recursive=True)


def _refusal(name: str, values: Sequence[Packed], returns: int) -> TypeError | None:
    """Why values cannot go from one driver to another, or a call cannot return so."""
    if returns == STREAMING:
        return TypeError(_STREAMS.format(name))
    if any(map(numbers_in, values)):
        return TypeError(_REFERENCES.format(name))
    return None
