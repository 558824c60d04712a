"""What drivers of a cluster write to each other: a session for each two of them, carried by letters."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from executor.cluster.members import controller_of
from executor.cluster.protos import cluster as pb
from executor.cluster.session import Stretch
from executor.cluster.sessions import Sessions
from executor.errors import ClusterError
from executor.hosting.fleet import Mail, Written

_LOOK_S = 0.1


class ClusterMail(Mail):
    """The mail of `driver`. `post` brings a letter on its way, through the head; `ask` has the head answer a question.

    A driver whose `reads_all` is false reads what those write that it has written to before, and nothing else: what it
    reads may be opened in its process, which belongs to its user. `sessions` and `read` are used under the `lock`.
    """

    def __init__(
        self,
        driver: str,
        post: Callable[[pb.Letter], None],
        ask: Callable[[str, Any, Any], Any],
        lock: threading.RLock,
        *,
        owner: str,
        reads_all: bool,
    ) -> None:
        self._driver = driver
        self._post = post
        self._ask = ask
        self._lock = lock
        self._owner = owner
        self.sessions = Sessions(self._carry, may_begin=reads_all)

    def find(self, controller: str, within_s: float) -> str | None:
        until = time.monotonic() + within_s
        while (found := _driver_of(known := self._status(), controller)) is None:
            state = _state_of(known, controller)
            if state is None or state.state not in ("starting", "running"):
                return None
            if time.monotonic() > until:
                why = state.why or "its log beside the head may say why"
                raise ClusterError(f"{controller!r} did not begin beside the head within {within_s:g} s: {why}")
            time.sleep(_LOOK_S)
        return found

    def have(self, controller: str, within_s: float) -> str:
        until = time.monotonic() + within_s
        while (found := self.find(controller, within_s)) is None:
            refusal = self._start(controller)
            if time.monotonic() > until:
                raise refusal or ClusterError(f"{controller!r} ends beside the head as soon as it begins")
            time.sleep(_LOOK_S)
        return found

    def _start(self, controller: str) -> ClusterError | None:
        """Why it is not started just now, if it is not."""
        request = pb.SubmitRequest(name=controller, owner=self._owner, again=True)
        try:
            self._ask("Submit", request, pb.SubmitReply)
        except ClusterError as error:
            if _state_of(self._status(), controller) is None:
                raise
            return error  # somebody else has just asked for it, or the one before has not quite ended
        return None

    def _status(self) -> pb.StatusReply:
        found: pb.StatusReply = self._ask("Status", pb.StatusRequest(), pb.StatusReply)
        return found

    def write(self, driver: str, content: bytes) -> None:
        with self._lock:
            self.sessions.send(driver, [content])

    def read(self, letter: pb.Letter) -> list[Written]:
        """What is new in a letter."""
        stretch = Stretch(letter.first, letter.seen, tuple(letter.items))
        return [Written(letter.sender, item) for item in self.sessions.take(letter.sender, letter.session, stretch)]

    def _carry(self, reader: str, session: str, stretch: Stretch) -> None:
        self._post(
            pb.Letter(
                sender=self._driver,
                reader=reader,
                session=session,
                first=stretch.first,
                seen=stretch.seen,
                items=stretch.items,
            )
        )


def _driver_of(found: pb.StatusReply, controller: str) -> str | None:
    connected = (one.driver for one in found.drivers if one.connected)
    return next((driver for driver in connected if controller_of(driver) == controller), None)


def _state_of(found: pb.StatusReply, controller: str) -> pb.ControllerStatus | None:
    return next((one for one in found.controllers if one.name == controller), None)
