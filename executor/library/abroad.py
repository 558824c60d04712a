"""Actors that outlive their drivers, as these see them: a caretaker beside the head has them, and ours are handles.

Here such an actor is one like any other, in a worker that is already there: what that worker is sent goes to the
caretaker as letters, and what the actor's calls come to is heard from there.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from executor.errors import ClusterError, ObjectLostError, TaskCancelledError
from executor.hosting.fleet import Mail
from executor.hosting.questions import Questions
from executor.library.actors import Actor, State
from executor.library.creation import Creation
from executor.library.creations import Made
from executor.library.failures import pack_exception, pack_own, unpack_exception
from executor.library.letters import ASK, CALL, CANCEL, RESULT, TELL, Gathering, caretaker_of, read, written
from executor.library.messages import CALLS
from executor.library.messages import RESULT as HAS_RESULT
from executor.library.objects import ERROR
from executor.library.plans import ActorPlan, Code, Surrounding
from executor.library.values import Packed
from executor.library.workers import Worker
from executor.messages import DeathCause
from executor.processes.link import link_numbers

if TYPE_CHECKING:
    from executor.library.hub import Hub
    from executor.library.nodes import Nodes

_log = logging.getLogger(__name__)

_BEGIN_S = 60.0
_LET_GO = "nobody here needs it any more"
_GONE = (
    "the process beside the head that kept it is gone; it is started again, and get_actor finds the actor once more if "
    "its max_restarts allow for that"
)


class _GoneError(ClusterError):
    """Who was asked is gone."""


@dataclass(frozen=True, slots=True)
class Found:
    """An actor that a caretaker has: the driver that this is, and the actor's number there."""

    driver: str
    number: int
    plan: ActorPlan
    description: bytes


class Abroad:
    """See the module. Names without a namespace are looked for in `namespace`.

    What asks a caretaker waits for its answer, and is called without the hub's lock; all else is called under it.
    """

    def __init__(self, hub: Hub, nodes: Nodes, mail: Mail, namespace: str) -> None:
        self._hub = hub
        self._nodes = nodes
        self._mail = mail
        self._namespace = namespace
        self._asked: dict[str, Questions[tuple[bool, bytes]]] = {}
        self._links: dict[tuple[str, int], _Link] = {}
        self._gathering = Gathering(nodes)
        self._why_gone = _GONE
        nodes.on_written, nodes.on_driver_gone, nodes.on_dismissed = self._take, self._lose, self._note_dismissed

    # Asking.

    def create(self, plan: ActorPlan, creation: Creation) -> Found:
        """Have a caretaker create an actor, or find it where one of this name will do.

        Raises:
            TypeError: there are references among its arguments.
            ValueError: there is one of its name; or it cannot be created elsewhere.
            ClusterError: there is no caretaker, and none can be started.
        """
        try:
            made = self._made(plan, creation)
        finally:
            with self._hub.lock:
                self._hub.objects.free(creation.arguments)
        while True:
            driver = self._mail.have(caretaker_of(plan.namespace or self._namespace), _BEGIN_S)
            with suppress(_GoneError):  # then the next one is asked
                return Found(driver, *self._ask(driver, "create", made))

    def _made(self, plan: ActorPlan, creation: Creation) -> Made:
        if creation.values or creation.inside:
            raise TypeError(
                f"actor {plan.plan.name}: references among the arguments of a detached actor mean nothing to others "
                f"once this driver has left: pass the values"
            )
        if plan.plan.spot is not None:
            raise ValueError(
                f"actor {plan.plan.name}: a detached actor cannot be in a placement group, which ends with its driver"
            )
        variables, shipped = self._nodes.shipped(plan.plan.surrounding.code)
        around = plan.plan.surrounding
        environment = tuple(sorted({**variables, **dict(around.environment)}.items()))
        around = replace(around, environment=environment, code=Code())
        arguments = self._gathering.inlined(creation.arguments)
        return Made(
            replace(plan, plan=replace(plan.plan, surrounding=around)),
            replace(creation, arguments=arguments),
            self._hub.workers.definitions[creation.digest],
            shipped,
        )

    def find(self, name: str, namespace: str | None) -> Found:
        """The actor that has this name.

        Raises:
            ValueError: there is none.
            ClusterError: nobody can tell.
        """
        namespace = namespace or self._namespace
        while (driver := self._mail.find(caretaker_of(namespace), _BEGIN_S)) is not None:
            with suppress(_GoneError):
                return Found(driver, *self._ask(driver, "find", name))
        known = ", ".join(map(repr, sorted(self._hub.actors.named))) or "none"
        raise ValueError(
            f"there is no actor of the name {name!r}; there are: {known}, and in namespace {namespace!r} none"
        )

    def names(self) -> list[str]:
        """The names of those in our namespace.

        Raises:
            ClusterError: nobody can tell.
        """
        driver = self._mail.find(caretaker_of(self._namespace), _BEGIN_S)
        return [] if driver is None else list(self._ask(driver, "names"))

    def kill(self, actor: Actor, *, restart: bool) -> None:
        """End an actor, for all who have a handle of it.

        Raises:
            ClusterError: its caretaker is gone.
        """
        link = _link_of(actor)
        if link is not None:
            self._ask(link.driver, "kill", link.actor, restart)

    def _ask(self, driver: str, verb: str, *arguments: Any) -> Any:
        with self._hub.lock:
            questions = self._asked.setdefault(driver, Questions())
            question = questions.open()
            self._mail.write(driver, written(ASK, question.number, verb, written(*arguments)))
        answer = questions.wait(question, None)
        if answer is None:
            raise _GoneError(self._why_gone)
        well, told = answer
        (value,) = read(told)
        if not well:
            raise unpack_exception(value)
        return value

    # What is here of them.

    def has(self, actor: Actor) -> bool:
        """Whether an actor that is known here is one of them."""
        return _link_of(actor) is not None

    def adopt(self, found: Found, number: int) -> int:
        """Have an actor here, as `number` if it is not here yet; the number by which it is. It is needed once more."""
        link = self._links.get((found.driver, found.number))
        if link is not None:
            self._hub.objects.keep(link.local)
            return link.local
        link = self._links[found.driver, found.number] = _Link(self, found.driver, found.number, number)
        worker = Worker(Surrounding(), None, "")
        worker.link, worker.number = link, link.number
        self._hub.workers.all[worker.number] = worker
        creation = Creation("", b"", (), (), found.description)
        self._hub.actors.adopt(number, replace(found.plan, is_detached=False), creation, worker)  # here it is a handle
        return number

    def send(self, link: _Link, calls: Sequence[tuple[Any, ...]]) -> None:
        """Send calls to an actor, in their order, each once the values that it takes are here."""
        for call in calls:
            link.waiting.append(waiting := _Waiting(call))
            _, _, _, arguments, values, *_ = call
            self._gathering.bring([arguments, *(values or ())], partial(self._is_here, link, waiting))

    def _is_here(self, link: _Link, waiting: _Waiting, why_not: str) -> None:
        waiting.is_here = True
        if why_not and waiting in link.waiting:
            link.waiting.remove(waiting)
            self._settle(waiting.call[0], ERROR, pack_own(ObjectLostError(why_not)))
        self._send_ready(link)

    def _send_ready(self, link: _Link) -> None:
        ready, failed = [], []
        while link.waiting and link.waiting[0].is_here:
            call = link.waiting.popleft().call
            try:
                ready.append(self._whole(call))
            except Exception as error:  # noqa: BLE001 - it is the caller's
                failed.append((call[0], pack_exception(error)))
        if ready:
            self._mail.write(link.driver, written(CALL, link.actor, ready))
        for number, why in failed:  # which has the next calls sent, after these
            self._settle(number, ERROR, why)

    def _whole(self, call: tuple[Any, ...]) -> tuple[Any, ...]:
        """A call with all that belongs to its values."""
        number, method, digest, arguments, values, *more = call
        inlined = self._gathering.inlined
        return number, method, digest, inlined(arguments), values and list(map(inlined, values)), *more

    def cancel(self, link: _Link, call: int) -> None:
        """Have a call end before its time: at once, if it still waits for its values."""
        waiting = next((one for one in link.waiting if one.call[0] == call), None)
        if waiting is None:
            self._mail.write(link.driver, written(CANCEL, call))
            return
        link.waiting.remove(waiting)
        self._settle(call, ERROR, pack_own(TaskCancelledError("it was cancelled before it began")))
        self._send_ready(link)  # those behind it

    def let_go(self, link: _Link) -> None:
        """Nobody here has a handle of it any more; it lives on."""
        del self._links[link.driver, link.actor]
        self._hub.bury(link, DeathCause(killed=_LET_GO))

    # Hearing.

    def _take(self, driver: str, content: bytes) -> None:
        try:
            self._take_letter(driver, read(content))
        except Exception:  # noqa: BLE001 - whatever it is, others are to be heard
            _log.exception("a letter of driver %s makes no sense here", driver)

    def _take_letter(self, driver: str, letter: tuple[Any, ...]) -> None:
        match letter:
            case (int(kind), number, well, bytes(told)) if kind == TELL:
                if (questions := self._asked.get(driver)) is not None:
                    questions.answer(number, (well, told))
            case (int(kind), number, outcome, packed) if kind == RESULT:
                self._settle(number, outcome, packed)
            case _:
                _log.warning("driver %s: a letter that makes no sense here", driver)

    def _settle(self, number: int, kind: int, packed: Packed | list[Packed]) -> None:
        call = self._hub.calls.open.get(number)
        if call is not None and call.worker is not None:
            self._hub.workers.take(call.worker, (HAS_RESULT, number, kind, packed, 0.0, False))

    def _lose(self, driver: str) -> None:
        if (questions := self._asked.pop(driver, None)) is not None:
            questions.give_up()
        for key, link in list(self._links.items()):
            if link.driver == driver:
                del self._links[key]
                link.waiting.clear()
                self._hub.bury(link, DeathCause(lost=self._why_gone))

    def _note_dismissed(self, why: str, stopped: bool) -> None:
        self._why_gone = f"this driver cannot reach it any more, for the head of the cluster refuses it: {why}"


class _Waiting:
    """A call that is to be sent once the values that it takes are here."""

    __slots__ = ("call", "is_here")

    def __init__(self, call: tuple[Any, ...]) -> None:
        self.call = call
        self.is_here = False


class _Link:
    """The way to one actor, as if it were its worker: `actor` is its number over there, `local` the one here."""

    def __init__(self, abroad: Abroad, driver: str, actor: int, local: int) -> None:
        self.number = next(link_numbers)
        self.driver = driver
        self.actor = actor
        self.local = local
        self.waiting: deque[_Waiting] = deque()
        self._abroad = abroad

    def post(self, message: tuple[Any, ...]) -> None:
        """Send calls; there is nothing else to be sent, for they do not stream."""
        if message[0] == CALLS:
            self._abroad.send(self, message[1])

    def nudge(self, word: int) -> None:
        """Have a call cancelled."""
        self._abroad.cancel(self, word)

    def leave(self) -> None:
        """Nobody needs it here."""
        self._abroad.let_go(self)


def _link_of(actor: Actor) -> _Link | None:
    link = None if actor.worker is None else actor.worker.link
    return link if isinstance(link, _Link) and actor.state is not State.DEAD else None
