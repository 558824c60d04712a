"""One machine's worker processes: starts them, and turns what they say and how they end into events."""

from __future__ import annotations

import os
import signal
import threading
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from select import POLLIN, POLLOUT
from typing import Any

from executor.errors import ExecutorClosedError
from executor.framing import Frame, Pieces, pack, unpack
from executor.interrupts import Interrupts, interruptible, uninterrupted
from executor.messages import DeathCause, Died, Emitted, Event, Raised, RemoteError, Returned
from executor.pickling import dump
from executor.platform import here
from executor.processes.launcher import Launcher
from executor.processes.link import Link, RunningCall, link_numbers
from executor.processes.logs import Logs, tail
from executor.processes.protocol import ANSWER, ASKED, EMITTED, RAISED, TOLD, Load, Notice
from executor.processes.servers import Servers, Source, load_here
from executor.spinning import AdaptiveSpin

_LEAVING_S = 1.0
_SERVER_S = 0.5
_SOON_S = 0.01
_TURNS_TO_CHECK = 64

_pools: weakref.WeakSet[Pool] = weakref.WeakSet()


class Pool:
    """Worker processes and the calls they run.

    `turn` is called by one thread at a time, all else by any thread; what several steps need in one piece holds `lock`.
    `scratch` is a folder that goes with the pool, also when this process is killed.
    `on_gone` is told of each worker that has ended, after the event that ended its call. What programs send comes out
    of their frames by `load`; who only passes it on leaves it sealed. `on_asked` is told what they ask this machine's
    host for, with the number of the question.
    """

    def __init__(
        self,
        on_gone: Callable[[Link], None],
        *,
        log_cap_bytes: int,
        scratch: str = "",
        load: Callable[[Frame], Any] = unpack,
        on_asked: Callable[[Link, int, bytes], None] | None = None,
    ) -> None:
        self.lock = threading.RLock()
        self.events: list[Event] = []
        self._on_gone = on_gone
        self._load = load
        self._on_asked = on_asked
        self._logs = Logs(log_cap_bytes)
        self._poller = here.poller()
        self._spin = AdaptiveSpin()
        self._owners: dict[int, Link | Launcher] = {}
        self._servers = Servers(self._poller, self._own, scratch)
        self._links: dict[int, Link] = {}
        self._running: dict[str, Link] = {}
        self._polling = False
        self._turns = 0
        self._closed = False
        self._disowned = False
        _pools.add(self)

    def prepare(self, program: Any, preload: Sequence[str], environment: Mapping[str, str]) -> Source:
        """Have a fork server load `program`; its digest names it as long as the source is held."""
        return self.prepare_load(load_here(dump(program), preload, environment))

    def prepare_load(self, load: Load) -> Source:
        """`prepare` for a program that is pickled already."""
        with self.lock:
            self.check_open()
            source = self._servers.prepare(load)
            for launcher in self._servers.retire({source.digest} | {link.digest for link in self._links.values()}):
                del self._owners[launcher.fd]
                launcher.end(_SERVER_S)
        return source

    def open_link(self, digest: str, *, memory_bytes: int = 0) -> Link:
        """A new worker process of a prepared program; with all that it starts it may use so much memory, or any."""
        link = Link(next(link_numbers), digest, self._servers.launcher(digest), self._poller, memory_bytes)
        self._links[link.number] = link
        self._own(link)
        return link

    def _own(self, owner: Link | Launcher) -> None:
        self._owners[owner.fd] = owner
        self._poller.register(owner.fd)

    def begin(self, link: Link, call: RunningCall, pieces: Sequence[bytes | memoryview], *, last: bool) -> None:
        """Run a call on an idle worker."""
        self._logs.opened(call.log_path)
        self._logs.left(link.log_path)
        self._running[call.call_id] = link
        link.begin(call, pieces, last=last)

    def preload(self, digest: str, modules: Sequence[str]) -> None:
        """Have the workers of a prepared program that start from now on find these modules imported."""
        with self.lock:
            self._servers.preload(digest, modules)

    def is_running(self, call_id: str) -> bool:
        """Whether the call has started and not ended."""
        return call_id in self._running

    def is_silent(self, call_id: str) -> bool:
        """Whether the running call's process has closed its end, so that its death is only still to be told."""
        link = self._running.get(call_id)
        return link is not None and link.fd < 0

    def reply(self, call_id: str, seq: int, answer: Any) -> None:
        """Answer an emission, once."""
        self.answer(call_id, seq, pack(answer, ANSWER, seq))

    def answer(self, call_id: str, seq: int, pieces: Pieces) -> None:
        """Answer an emission with what is packed already."""
        with self.lock:
            link = self._running.get(call_id)
            if link is not None and link.call is not None and link.call.unanswered == seq:
                link.call.unanswered = None
                link.send(pieces)

    def cancel(self, call_id: str) -> None:
        """Tell the program that it should end."""
        with self.lock:
            if link := self._running.get(call_id):
                link.nudge()

    def kill(self, call_id: str, reason: str) -> None:
        """End the call's process; the call's last event is `Died`, whatever it still says."""
        with self.lock:
            link = self._running.get(call_id)
            if link is None or link.call is None or link.call.killed is not None:
                return
            link.call.killed = reason
            if link.launcher.kill(link.number):
                self._bury(link, DeathCause())
                self.wake()

    def stacks(self, call_id: str, timeout_s: float) -> str:
        """Where the call's process stands right now: all its threads; or why that is not to be had."""
        with self.lock:
            link = self._running.get(call_id)
            if link is None:
                return f"call {call_id!r} is not running"
            if link.number in link.launcher.waiting():
                return "the process has not been started yet: the program is still being loaded"
            fd = link.stacks.share()

        def ask() -> bool:
            with self.lock:
                if alive := link.number in self._links:
                    link.launcher.ask_for_stacks(link.number)
                return alive

        try:
            return link.stacks.read(fd, ask, timeout_s)
        finally:
            os.close(fd)

    def wake(self) -> None:
        """Make a waiting `turn` return."""
        if not self._closed:
            self._poller.wake()

    def turn(
        self, timeout_s: float | None, interrupts: Interrupts | None = None, then: Callable[[], None] | None = None
    ) -> None:
        """Wait until something happens, at most `timeout_s`, and take it into `events`; under the lock, do `then`.

        An interrupt comes while it waits, or when all is taken in, if the caller has `interrupts` see to it.
        """
        if timeout_s is None or timeout_s > _SOON_S:
            check_s = self._logs.seconds_to_check()
            if check_s is not None:
                timeout_s = check_s if timeout_s is None else min(timeout_s, check_s)
        if interrupts is not None and interrupts.came:
            interrupts.catch_up()
        ready = self._wait(timeout_s)
        if ready is not None:
            self._take_in(ready, then)
        if interrupts is not None and interrupts.came:
            interrupts.catch_up()

    @interruptible
    def _wait(self, timeout_s: float | None) -> list[tuple[int, int]] | None:
        """What is ready to be read or written; None when the pool was closed meanwhile."""
        self._polling = True
        try:
            return self._spin.wait(self._poller.poll, timeout_s)
        except (ValueError, OSError):
            if not self._closed:  # by another thread, just now
                raise
            return None
        finally:
            self._polling = False

    @uninterrupted
    def _take_in(self, ready: list[tuple[int, int]], then: Callable[[], None] | None) -> None:
        with self.lock:
            if self._closed:
                self._poller.close()
                return
            for fd, mask in ready:
                owner = self._owners.get(fd)
                if mask == POLLIN and type(owner) is Link:
                    self._hear(owner)
                else:
                    self._attend(fd, mask)
            self._turns += 1
            if not ready or self._turns % _TURNS_TO_CHECK == 0:
                self._logs.check()
            if then is not None:
                then()

    def _attend(self, fd: int, mask: int) -> None:
        owner = self._owners.get(fd)
        if owner is None:
            return
        if mask & POLLOUT:
            owner.flush()
        if mask & ~POLLOUT:
            if isinstance(owner, Link):
                self._hear(owner)
            else:
                self._take_notices(owner)

    def _hear(self, link: Link) -> bool:
        """Take in what a worker says; whether there may be more."""
        try:
            frames = link.read()
        except BlockingIOError:
            return False
        except EOFError:
            self._end_of_reading(link)
            if link.call is not None or not link.leaving:
                link.launcher.kill(link.number)  # it lives but cannot speak any more, or it has ended anyway
            return False
        for frame in frames:
            self._take(link, frame)
        return True

    def _take(self, link: Link, frame: Frame) -> None:
        call = link.call
        if call is None or call.killed is not None:
            return
        kind = frame.kind
        if kind == RAISED:
            error = RemoteError.from_json(bytes(frame.parts[0]).decode())
            self._finish(link, Raised(call.call_id, replace(error, log_tail=tail(call.log_path))))
            return
        if kind == ASKED:
            if self._on_asked is not None:
                self._on_asked(link, frame.number, bytes(frame.parts[0]))
            return
        try:
            payload = self._load(frame)
        except Exception as error:  # noqa: BLE001 - whatever the class of a value raises when it is loaded
            text = f"what the program sent cannot be loaded here: {error}"
            self._finish(link, Raised(call.call_id, RemoteError(type(error).__name__, text, text)))
            link.leaving = True
            link.launcher.kill(link.number)
            return
        if kind == EMITTED:
            call.unanswered = frame.number
            self.events.append(Emitted(call.call_id, frame.number, payload))
        elif kind == TOLD:
            if call.listener is not None:
                call.listener(payload)
                return
            self.events.append(Emitted(call.call_id, frame.number, payload, waits=False))
        else:
            self._finish(link, Returned(call.call_id, payload))

    def _finish(self, link: Link, event: Event) -> None:
        """The call's last event."""
        assert link.call is not None
        del self._running[link.call.call_id]
        link.call = None
        self.events.append(event)

    def _take_notices(self, launcher: Launcher) -> None:
        try:
            for notice, number, value in launcher.read():
                link = self._links[number]
                if notice is Notice.REFUSED and link.call is not None:
                    text = f"no worker process could be started: {os.strerror(value)}"
                    self._finish(link, Raised(link.call.call_id, RemoteError("OSError", text, text)))
                cause = _cause(os.waitstatus_to_exitcode(value)) if notice is Notice.ENDED else DeathCause()
                memory = launcher.take_memory_use()
                self._bury(link, replace(cause, memory=memory if link.call and not link.call.killed else None))
        except EOFError:
            self._bury_server(launcher)

    def _bury_server(self, launcher: Launcher) -> None:
        """A fork server ended by itself, and its workers with it."""
        waiting = launcher.waiting()
        del self._owners[launcher.fd]
        self._servers.forget(launcher)
        cause = _cause(launcher.end(_SERVER_S))
        for link in [link for link in self._links.values() if link.launcher is launcher]:
            self._bury(link, cause if link.number in waiting else DeathCause(signal="SIGKILL"))

    def _bury(self, link: Link, cause: DeathCause) -> None:
        """A worker and all that it started are gone: take in its last words and let go of it."""
        while link.fd >= 0 and self._hear(link):
            pass
        if (call := link.call) is not None:
            self._finish(link, Died(call.call_id, replace(cause, killed=call.killed, log_tail=tail(call.log_path))))
        self._end_of_reading(link)
        link.close()
        del self._links[link.number]
        self._logs.closed(link.log_path)
        self._on_gone(link)

    def _end_of_reading(self, link: Link) -> None:
        if link.fd >= 0:
            del self._owners[link.fd]
            link.end_of_reading()

    def check_open(self) -> None:
        """Raise unless the pool is open and belongs to this process.

        Raises:
            ExecutorClosedError: it was closed, or it belongs to the process that this one was forked from.
        """
        if self.is_closed():
            raise ExecutorClosedError("this executor was closed: open a new one")

    def is_closed(self) -> bool:
        """Whether the pool was closed.

        Raises:
            ExecutorClosedError: it belongs to the process that this one was forked from.
        """
        if self._disowned:
            raise ExecutorClosedError(
                "this executor belongs to the process that this one was forked from: open another"
            )
        return self._closed

    def close(self) -> None:
        """End every process: running calls at once, what has returned gets a moment for its exit functions."""
        with self.lock:
            if self._closed:
                return
            for link in list(self._links.values()):
                if link.call is not None:
                    self.kill(link.call.call_id, "the executor was closed")
                elif link.idle:
                    link.leave()
        deadline = time.monotonic() + _LEAVING_S
        while self._links and (left_s := deadline - time.monotonic()) > 0:
            self.turn(left_s)
        with self.lock:
            self._closed = True
            self._servers.close()
            for link in list(self._links.values()):
                self._bury(link, DeathCause(signal="SIGKILL"))
            self._poller.wake()
            if not self._polling:
                self._poller.close()

    def disown(self) -> None:
        """In a forked copy of the driver: let go of what belongs to the original, and refuse to work."""
        self.lock = threading.RLock()
        self._closed = self._disowned = True
        for owner in self._owners.values():
            owner.disown()
        self._poller.close()


def _cause(code: int | None) -> DeathCause:
    if code is None:
        return DeathCause()
    if code >= 0:
        return DeathCause(exit_code=code)
    with suppress(ValueError):
        return DeathCause(signal=signal.Signals(-code).name)
    return DeathCause(signal=f"signal {-code}")


def _disown_all() -> None:
    for pool in list(_pools):
        pool.disown()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_disown_all)
