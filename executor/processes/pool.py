"""One machine's worker processes: starts fork servers and workers, and turns what they say into events."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from hashlib import blake2b
from select import POLLOUT
from typing import Any

from executor.errors import ExecutorClosedError
from executor.framing import Frame, pack, unpack
from executor.messages import DeathCause, Died, Emitted, Event, Raised, RemoteError, Returned
from executor.pickling import dump
from executor.platform import here
from executor.processes import logs
from executor.processes.launcher import Launcher
from executor.processes.link import Link, RunningCall
from executor.processes.protocol import EMITTED, RAISED, RETURNED, Load, Notice

_IDLE_SERVERS = 4
_LEAVING_S = 1.0
_SERVER_S = 0.5
_LOG_CHECK_S = 1.0

_pools: weakref.WeakSet[Pool] = weakref.WeakSet()


class Pool:
    """Worker processes and the calls they run.

    `turn` is called by one thread at a time; all else by any thread. `on_gone` is told of each worker that has ended,
    after the event that ended its call.
    """

    def __init__(self, on_gone: Callable[[Link], None], *, log_cap_bytes: int) -> None:
        self.lock = threading.RLock()
        self.events: list[Event] = []
        self._on_gone = on_gone
        self._log_cap_bytes = log_cap_bytes
        self._next_log_check = 0.0
        self._poller = here.poller()
        self._loads: dict[str, Load] = {}
        self._launchers: dict[str, Launcher] = {}
        self._links: dict[int, Link] = {}
        self._running: dict[str, Link] = {}
        self._owners: dict[int, Link | Launcher] = {}
        self._count = 0
        self._closed = False
        self._disowned = False
        self._polling = False
        self._spare: Launcher | None = self._launch()
        _pools.add(self)

    # Programs

    def prepare(self, program: Any, preload: Sequence[str], environment: Mapping[str, str]) -> str:
        """Have a fork server load `program`; the digest that names it from now on."""
        pickled = dump(program)
        digest = _digest(pickled, preload, environment)
        with self.lock:
            self.check_open()
            self._loads[digest] = Load(
                path=[entry or os.getcwd() for entry in sys.path],
                arguments=list(sys.argv),
                folder=os.getcwd(),
                environment={**os.environ, **environment},
                overrides=dict(environment),
                preload=tuple(preload),
                program=pickled,
                can_fork=here.CAN_FORK,
            )
            self._launcher(digest)
        return digest

    def _launcher(self, digest: str) -> Launcher:
        """The program's fork server, a new one if there is none."""
        launcher = self._launchers.get(digest)
        if launcher is None:
            launcher, self._spare = self._spare or self._launch(), None
            launcher.load(self._loads[digest])
            self._launchers[digest] = launcher
            self._retire_servers()
        return launcher

    def _launch(self) -> Launcher:
        launcher = Launcher(self._poller)
        self._owners[launcher.fd] = launcher
        return launcher

    def _retire_servers(self) -> None:
        """End the longest unused servers: a notebook's every edit of a cell makes a new one."""
        busy = {link.digest for link in self._links.values()}
        idle = [digest for digest in self._launchers if digest not in busy]
        for digest in idle[: -_IDLE_SERVERS - 1]:
            launcher = self._launchers.pop(digest)
            del self._owners[launcher.fd]
            launcher.end(_SERVER_S)

    # Calls

    def open_link(self, digest: str) -> Link:
        """A new worker process of the program."""
        self._count += 1
        link = Link(self._count, digest, self._launcher(digest), self._poller)
        self._links[link.number] = link
        self._owners[link.fd] = link
        self._poller.register(link.fd)
        return link

    def begin(self, link: Link, call: RunningCall, pieces: Sequence[bytes | memoryview], *, last: bool) -> None:
        """Run a call on an idle worker."""
        if link.log_path is not None and link.log_path != call.log_path:
            self._drop_empty_log(link)
        self._running[call.call_id] = link
        link.begin(call, pieces, last=last)

    def is_running(self, call_id: str) -> bool:
        """Whether the call has started and not ended."""
        return call_id in self._running

    def reply(self, call_id: str, seq: int, answer: Any) -> None:
        """Answer an emission, once."""
        pieces = pack(answer)
        with self.lock:
            link = self._running.get(call_id)
            if link is None or link.call is None or not link.call.answered < seq <= link.call.emitted:
                return
            link.call.answered = seq
            link.send(pieces)

    def cancel(self, call_id: str) -> None:
        """Tell the program that it should end."""
        with self.lock:
            if link := self._running.get(call_id):
                link.cancel()

    def kill(self, call_id: str, reason: str) -> None:
        """End the call's process; the call's last event is `Died`, whatever it still says."""
        with self.lock:
            link = self._running.get(call_id)
            if link is None or link.call is None or link.call.killed is not None:
                return
            link.call.killed = reason
            if link.launcher.kill(link.number):
                self._bury(link, DeathCause(killed=reason))
                self._poller.wake()

    def leave(self, link: Link) -> None:
        """Ask an idle worker to end."""
        link.leave()

    # Events

    def wake(self) -> None:
        """Make a waiting `turn` return."""
        if not self._closed:
            self._poller.wake()

    def turn(self, timeout_s: float | None) -> None:
        """Wait until something happens, at most `timeout_s`, and take it into `events`."""
        self._polling = True
        try:
            ready = self._poller.poll(self._until_log_check(timeout_s))
        finally:
            self._polling = False
        with self.lock:
            if self._closed:
                return
            for fd, mask in ready:
                self._attend(fd, mask)
            self._check_logs()

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
            if not link.leaving:
                link.launcher.kill(link.number)  # it lives but cannot speak any more, or it has ended anyway
            return False
        for frame in frames:
            self._take(link, frame)
        return True

    def _take(self, link: Link, frame: Frame) -> None:
        call = link.call
        if call is None or call.killed is not None:
            return
        try:
            message = unpack(frame)
        except Exception as error:
            call.killed = "what it sent could not be read"
            text = f"what the program sent cannot be loaded here: {error}"
            self._finish(link, Raised(call.call_id, RemoteError(type(error).__name__, text, text)))
            link.launcher.kill(link.number)
            return
        match message[0]:
            case int(kind) if kind == EMITTED:
                call.emitted = message[1]
                self.events.append(Emitted(call.call_id, message[1], message[2]))
            case int(kind) if kind == RETURNED:
                self._finish(link, Returned(call.call_id, message[1]))
            case int(kind) if kind == RAISED:
                self._finish(link, Raised(call.call_id, _with_log(message[1], call.log_path)))

    def _finish(self, link: Link, event: Event) -> None:
        """The call's last event."""
        assert link.call is not None
        del self._running[link.call.call_id]
        link.call = None
        self.events.append(event)

    def _take_notices(self, launcher: Launcher) -> None:
        try:
            for notice, number, value in launcher.read():
                self._take_notice(notice, self._links[number], value)
        except EOFError:
            self._bury_server(launcher)

    def _take_notice(self, notice: Notice, link: Link, value: int) -> None:
        if notice is Notice.REFUSED:
            text = f"no worker process could be started: {os.strerror(value)}"
            if link.call is not None:
                self._finish(link, Raised(link.call.call_id, RemoteError("OSError", text, text)))
            self._bury(link, DeathCause())
        else:
            code = os.waitstatus_to_exitcode(value)
            self._bury(link, _cause(code))

    def _bury_server(self, launcher: Launcher) -> None:
        """A fork server ended by itself, and its workers with it."""
        waiting = launcher.waiting()
        del self._owners[launcher.fd]
        cause = _cause(launcher.end(_SERVER_S))
        self._launchers = {digest: other for digest, other in self._launchers.items() if other is not launcher}
        if launcher is self._spare:
            self._spare = None
        for link in [link for link in self._links.values() if link.launcher is launcher]:
            self._bury(link, cause if link.number in waiting else DeathCause(signal="SIGKILL"))

    def _bury(self, link: Link, cause: DeathCause) -> None:
        """A worker and all that it started are gone: take in its last words and let go of it."""
        while link.fd >= 0 and self._hear(link):
            pass
        if (call := link.call) is not None:
            if call.killed is not None:
                cause = DeathCause(cause.exit_code, cause.signal, call.killed)
            tail = logs.tail(call.log_path)
            cause = DeathCause(cause.exit_code, cause.signal, cause.killed, tail)
            self._finish(link, Died(call.call_id, cause))
        self._end_of_reading(link)
        link.close()
        del self._links[link.number]
        self._drop_empty_log(link)
        self._on_gone(link)

    def _end_of_reading(self, link: Link) -> None:
        if link.fd >= 0:
            del self._owners[link.fd]
            link.end_of_reading()

    # Logs

    def _drop_empty_log(self, link: Link) -> None:
        """Remove the log that nothing was printed into, unless another process has it open as well."""
        path, link.log_path = link.log_path, None
        if path is not None and all(other.log_path != path for other in self._links.values()):
            logs.remove_if_empty(path)

    def _until_log_check(self, timeout_s: float | None) -> float | None:
        if not any(link.log_path for link in list(self._links.values())):
            return timeout_s
        wait_s = max(0.0, self._next_log_check - time.monotonic())
        return wait_s if timeout_s is None else min(timeout_s, wait_s)

    def _check_logs(self) -> None:
        now = time.monotonic()
        if now >= self._next_log_check:
            self._next_log_check = now + _LOG_CHECK_S
            for path in {link.log_path for link in self._links.values() if link.log_path}:
                logs.cut(path, self._log_cap_bytes)

    # The end

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
        while self._links and (left := deadline - time.monotonic()) > 0:
            self.turn(left)
        with self.lock:
            self._closed = True
            for launcher in [*self._launchers.values(), *([self._spare] if self._spare else [])]:
                launcher.end(_SERVER_S)
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
            owner.close() if isinstance(owner, Link) else owner.disown()
        self._poller.close()


def _digest(pickled: bytes, preload: Sequence[str], environment: Mapping[str, str]) -> str:
    code = blake2b(pickled, digest_size=16)
    code.update(repr((tuple(preload), sorted(environment.items()))).encode())
    return code.hexdigest()


def _cause(code: int | None) -> DeathCause:
    if code is None:
        return DeathCause()
    if code >= 0:
        return DeathCause(exit_code=code)
    with suppress(ValueError):
        return DeathCause(signal=signal.Signals(-code).name)
    return DeathCause(signal=f"signal {-code}")


def _with_log(error: RemoteError, log_path: str | None) -> RemoteError:
    return RemoteError(error.type_name, error.message, error.traceback, error.where, logs.tail(log_path))


def _disown_all() -> None:
    for pool in list(_pools):
        pool.disown()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_disown_all)
