"""Calls from their submission to their end: what they need before, what they leave behind, what they stream."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from executor.errors import ExecutorError
from executor.library.failures import pack_own
from executor.library.objects import ERROR, VALUE, Objects, Outcome
from executor.library.plans import STREAMING, Plan
from executor.library.values import Packed, place_of

if TYPE_CHECKING:
    from executor.library.actors import Actor
    from executor.library.workers import Worker


class Submission(NamedTuple):
    """A call as its caller hands it in.

    Its returns are the objects from `number` on. `values` are the objects whose values stand in for references among
    the arguments, `inside` those that are referred to from within them. A task has a `digest`; an actor's call the
    number of the `actor` and a `method`.
    """

    number: int
    plan: Plan
    digest: str | None
    actor: int
    method: str | None
    arguments: Packed
    values: tuple[int, ...]
    inside: tuple[int, ...]


class Stream:
    """What a call has yielded so far."""

    __slots__ = ("ended", "items", "seen", "taken", "unanswered", "waiting")

    def __init__(self) -> None:
        self.items: list[int] = []
        self.taken = 0
        """How many of them a reader has for certain, for it has asked for the next; the others are kept here."""
        self.seen = 0
        """How many values this try of the call has yielded; a later one begins with those that are there already."""
        self.ended = False
        self.unanswered = -1
        self.waiting: list[Callable[[], None]] = []


class Call:
    """One call that has not ended."""

    __slots__ = (
        "actor", "caller", "cancelled", "forced", "is_nested", "number", "parent", "plan", "returns", "stream",
        "submission", "tries_left", "worker",
    )  # fmt: skip

    def __init__(self, submission: Submission, caller: int, parent: int, tries: int) -> None:
        self.submission = submission
        self.number = submission.number
        self.caller = caller
        self.parent = parent
        self.tries_left = tries
        self.actor: Actor | None = None
        self.worker: Worker | None = None
        self.cancelled = False
        self.forced = False
        """Whether its process is to be ended for it, once it runs."""
        self.is_nested = False
        """Whether a task has submitted it."""
        self.plan: Plan = submission.plan
        returns = self.plan.num_returns
        self.stream = Stream() if returns == STREAMING else None
        self.returns = range(self.number, self.number + abs(returns))


class Calls:
    """All calls that have not ended, and the streams that somebody may still read."""

    def __init__(self, objects: Objects) -> None:
        self.objects = objects
        self.open: dict[int, Call] = {}
        self.streams: dict[int, Stream] = {}
        self.on_unread: Callable[[Call], None] = _ignore
        self._children: dict[int, set[int]] = {}
        self._of_return: dict[int, Call] = {}
        """The calls of several returns, by all of these."""

    def begin(self, submission: Submission, caller: int, parent: int, tries: int) -> Call:
        """Take in a call; its returns are needed once, by whoever submitted it."""
        call = Call(submission, caller, parent, tries)
        objects = self.objects
        for number in call.returns:
            objects.add(number)
        for number in submission.values:
            objects.keep(number)
        for number in submission.inside:
            objects.keep(number)
        self.open[call.number] = call
        if len(call.returns) > 1:
            self._of_return.update(dict.fromkeys(call.returns, call))
        if parent:
            submitter = self.open.get(parent)
            is_of_task = submitter is not None and submitter.actor is None
            call.is_nested = is_of_task and call.plan.crew is None  # the calls of a pool run in their order
            self._children.setdefault(parent, set()).add(call.number)
        if call.stream is not None:
            self.streams[call.number] = call.stream
            objects.entries[call.number].on_forgotten = lambda: self._forget_stream(call)
        return call

    def of_return(self, number: int) -> Call | None:
        """The open call that returns an object."""
        return self.open.get(number) or self._of_return.get(number)

    def failed_value(self, call: Call) -> Outcome | None:
        """The outcome of the first of its values that is an error, or is gone."""
        for number in call.submission.values:
            outcome = self.objects.outcome(number)
            if outcome is None:
                return ERROR, pack_own(
                    ExecutorError("an argument is gone: its executor was shut down, or it was freed")
                )
            if outcome[0] == ERROR:
                return outcome
        return None

    def values(self, call: Call) -> list[Packed] | None:
        """The values that stand in for references among the arguments; all are there."""
        outcomes = map(self.objects.outcome, call.submission.values)
        return [outcome[1] for outcome in outcomes if outcome is not None] or None

    def retry(self, call: Call) -> None:
        """Have a call begin anew, with one try less."""
        call.tries_left -= 1
        call.worker = None
        if call.stream is not None:
            call.stream.seen = 0

    def fail(self, call: Call, error: Packed) -> None:
        """End a call by an exception."""
        self.end(call, ERROR, error)

    def end(self, call: Call, kind: int, packed: Packed | Sequence[Packed]) -> None:
        """End a call with what it returned (a list for several returns) or raised."""
        if self.open.pop(call.number, None) is None:
            return
        call.worker = None
        if call.plan.num_returns == 1:
            self.objects.settle(call.number, (kind, packed))  # type: ignore[arg-type]
        else:
            self._settle_all(call, kind, packed)
        self._let_go(call.submission)
        if call.parent:
            siblings = self._children[call.parent]
            siblings.discard(call.number)
            if not siblings:
                del self._children[call.parent]

    def _settle_all(self, call: Call, kind: int, packed: Any) -> None:
        settle = self.objects.settle
        if len(call.returns) > 1:
            for number in call.returns:
                del self._of_return[number]
        if kind == ERROR or call.stream is not None:
            if call.stream is not None:
                self._end_stream(call.stream, call.number, (kind, packed))
            for number in call.returns:
                settle(number, (kind, packed))
        else:
            for number, one in zip(call.returns, packed, strict=True):
                settle(number, (VALUE, one))

    def _let_go(self, submission: Submission) -> None:
        """Let go of what a call needed."""
        for number in submission.values:
            self.objects.drop(number)
        for number in submission.inside:
            self.objects.drop(number)
        if type(submission.arguments) is tuple:
            self.objects.free(submission.arguments)

    def children(self, number: int) -> Iterable[Call]:
        """The calls that a call has submitted and that have not ended."""
        return [self.open[child] for child in self._children.get(number, ())]

    # Streams.

    def yielded(self, call: Call, number: int, outcome: Outcome, *, waits: bool) -> None:
        """A call streams a value, which is the object `number` from now on."""
        stream = call.stream
        is_known = stream is not None and stream.seen < len(stream.items) and not waits
        if stream is not None:
            stream.seen += 1
        if stream is None or is_known or call.number not in self.streams:
            place = place_of(outcome[1])
            if place is not None:
                self.objects.add(number)
                self.objects.settle(number, outcome)
                self.objects.drop(number)
            return
        self.objects.put(number, outcome)
        if waits:
            stream.unanswered = len(stream.items)
        stream.items.append(number)
        stream.seen = len(stream.items)  # what is emitted is asked anew, and with it all that comes after it is new
        _call_back(stream)

    def taken(self, stream: Stream, number: int, count: int) -> None:
        """A reader has so many values of the call `number` for certain: they need not be kept for it."""
        fresh = stream.items[stream.taken : count]
        stream.taken += len(fresh)
        for item in fresh:
            if item != number:  # the call's own error, which is not the stream's
                self.objects.drop(item)

    def _end_stream(self, stream: Stream, number: int, outcome: Outcome) -> None:
        if outcome[0] == ERROR and number in self.objects.entries:
            stream.items.append(number)  # the reader meets it in its turn
        stream.ended = True
        _call_back(stream)

    def _forget_stream(self, call: Call) -> None:
        stream = self.streams.pop(call.number)
        for number in stream.items[stream.taken :]:
            self.objects.drop(number)
        if call.number in self.open:
            self.on_unread(call)


def _ignore(call: Call) -> None:
    """Until somebody wants to know."""


def _call_back(stream: Stream) -> None:
    waiting, stream.waiting = stream.waiting, []
    for callback in waiting:
        callback()
