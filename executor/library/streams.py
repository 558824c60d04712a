"""What the calls of a worker stream up, value by value, and what their readers say to that."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from executor.interrupts import uninterrupted
from executor.library.account import Account
from executor.library.messages import ITEM
from executor.library.objects import VALUE
from executor.library.refs import ObjectRef
from executor.library.uplink import Uplink
from executor.library.values import Packed, pack_value, unpack_value

if TYPE_CHECKING:
    from executor.library.client import Client

__audition_internal__ = True


class Streams:
    """The streams of the calls that run here, each by its call's number."""

    def __init__(self, uplink: Uplink, account: Account, client: Client) -> None:
        self._uplink = uplink
        self._account = account
        self._client = client
        self._open: set[int] = set()
        self._sent: Counter[int] = Counter()
        self._taken: dict[int, int] = {}
        """How many values the reader has: of a call that is tried again, it may be known before that begins."""
        self._answers: dict[int, tuple[ObjectRef[Any], Packed] | None] = {}

    def __contains__(self, call: int) -> bool:
        """Whether a call that runs here was asked to stream."""
        return call in self._open

    def begin(self, call: int) -> None:
        """A call that streams begins."""
        self._open.add(call)

    def end(self, call: int) -> None:
        """Forget what was kept for a call's stream."""
        self._open.discard(call)
        self._sent.pop(call, None)
        self._taken.pop(call, None)
        self._answers.pop(call, None)

    def send(self, call: int, value: Any, *, window: int = 0) -> None:
        """Send up a value that a call yields; waits while the reader is `window` values behind."""
        index = self._sent[call]
        if window:
            self._uplink.until(lambda: index - self._taken.get(call, 0) < window)
        self._send_up(call, value, waits=False)

    def emit(self, call: int, value: Any) -> Any:
        """Send up a value and wait for the reader's answer to it."""
        self._answers.pop(call, None)
        self._uplink.before_waiting()
        self._send_up(call, value, waits=True)
        self._uplink.until(lambda: call in self._answers)
        answer = self._answers.pop(call)
        return None if answer is None else unpack_value(answer[1], self._client)

    @uninterrupted
    def _send_up(self, call: int, value: Any, *, waits: bool) -> None:
        packed = pack_value(value, self._client)
        self._sent[call] += 1
        self._account.flush()
        self._uplink.say((ITEM, call, self._account.new_numbers(1), (VALUE, packed), waits))

    def answered(self, call: int, number: int | None, packed: Packed) -> None:
        """The reader answers, by an object that we are given a reference to, or by nothing."""
        answer = None if number is None else (self._client.own(number), packed)
        if call in self._open:  # else nobody waits for it any more, and the reference is let go of
            self._answers[call] = answer

    def taken(self, call: int, count: int) -> None:
        """The reader has so many values."""
        self._taken[call] = max(self._taken.get(call, 0), count)
