"""The driver's end of one fork server: starts it, sends it commands, reads its notices."""

from __future__ import annotations

import logging
import os
import pickle
import secrets
import signal
import socket
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from struct import pack
from typing import NamedTuple

from executor.messages import MemoryUse
from executor.platform import Poller, here
from executor.processes.interpreter import command_line
from executor.processes.protocol import COMMAND, MEMORY_USE, NOTICE, THREAD_VARIABLES, Command, Load, Notice

_log = logging.getLogger(__name__)

_MARK = "AUDITION_FORK_SERVER"
_SWEEP_S = 1.0


class _Command(NamedTuple):
    command: Command
    number: int
    fds: tuple[int, ...] = ()
    value: int = 0


class Launcher:
    """One fork server. Commands given before it has loaded its program wait here, so that they can be taken back."""

    def __init__(self, poller: Poller) -> None:
        self._poller = poller
        self._mark = f"{_MARK}={secrets.token_hex(8)}"
        self._socket, theirs = socket.socketpair()
        self._socket.setblocking(False)
        self.fd = self._socket.fileno()
        self._ready = False
        self._full = False
        self._commands: deque[_Command] = deque()
        self._notices = b""
        self._memory_use: MemoryUse | None = None
        with theirs:
            self.pid = self._execute(theirs.fileno())

    def _execute(self, fd: int) -> int:
        arguments = command_line("main", fd)
        environment = {**os.environ, **self._environment()}
        return os.posix_spawn(
            arguments[0],
            arguments,
            environment,
            file_actions=[(os.POSIX_SPAWN_DUP2, fd, fd)],  # onto itself: that lets the new process keep it
            setsid=True,
            setsigmask=[],
            setsigdef=[signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGCHLD, signal.SIGPIPE],
        )

    def _environment(self) -> dict[str, str]:
        """One thread while loading, so that the server stays fit for forking; and our mark on all that it starts."""
        mark, _, token = self._mark.partition("=")
        return {mark: token, **dict.fromkeys(THREAD_VARIABLES, "1")}

    def load(self, load: Load) -> None:
        """Have it load a program; a file carries it, so that nobody waits for anybody."""
        load = load._replace(environment={**load.environment, **self._environment()})
        fd = _file_of(pickle.dumps(tuple(load), 5))
        try:
            self._send(COMMAND.pack(Command.LOAD, 0, 0), (fd,))
        finally:
            os.close(fd)

    def preload(self, modules: Sequence[str]) -> None:
        """Have it import more modules, before the workers that are started after this."""
        self._commands.append(_Command(Command.IMPORT, 0, (_file_of("\n".join(modules).encode()),)))
        self.flush()

    def start(self, number: int, memory_bytes: int, *fds: int) -> None:
        """Have it start a worker, which may use so much memory, or any with 0; the descriptors for it are ours now."""
        self._commands.append(_Command(Command.START, number, fds, memory_bytes))
        self.flush()

    def kill(self, number: int) -> bool:
        """Kill a worker; whether that took back a start that had not happened yet."""
        for waiting in self._commands:
            if waiting.number == number and waiting.command is Command.START:
                self._commands.remove(waiting)
                _close(waiting.fds)
                return True
        self._commands.append(_Command(Command.KILL, number))
        self.flush()
        return False

    def ask_for_stacks(self, number: int) -> None:
        """Have a worker write where it stands."""
        self._commands.append(_Command(Command.STACKS, number))
        self.flush()

    def waiting(self) -> set[int]:
        """The workers whose start has not been sent yet."""
        return {command.number for command in self._commands if command.command is Command.START}

    def flush(self) -> None:
        """Send what waits, as far as there is room."""
        if not self._ready:
            return
        while self._commands:
            command, number, fds, value = self._commands[0]
            if not self._send(COMMAND.pack(command, number, value), fds):
                self._watch_writes(True)
                return
            _close(fds)
            del self._commands[0]
        self._watch_writes(False)

    def _watch_writes(self, wanted: bool) -> None:
        if wanted != self._full:
            self._full = wanted
            self._poller.watch_writes(self.fd, wanted)

    def _send(self, record: bytes, fds: tuple[int, ...]) -> bool:
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, pack(f"{len(fds)}i", *fds))] if fds else []
        try:
            self._socket.sendmsg([record], rights)
        except BlockingIOError:
            return False
        except OSError:
            pass  # it has ended, which the next read tells
        return True

    def read(self) -> Iterator[tuple[Notice, int, int]]:
        """What it tells of its workers.

        Raises:
            EOFError: it has ended.
        """
        try:
            data = self._socket.recv(1 << 16)
        except BlockingIOError:
            return
        except ConnectionResetError:
            data = b""
        if not data:
            raise EOFError
        self._notices += data
        while len(self._notices) >= NOTICE.size:
            notice, number, value = NOTICE.unpack_from(self._notices)
            size = NOTICE.size + (value if notice in (Notice.READY, Notice.MEMORY) else 0)
            if len(self._notices) < size:
                return
            more, self._notices = self._notices[NOTICE.size : size], self._notices[size:]
            if notice == Notice.READY:
                self._become_ready(more.decode())
            elif notice == Notice.MEMORY:
                used, allowed, free = MEMORY_USE.unpack(more)
                self._memory_use = MemoryUse(used, allowed or None, free)
            else:
                yield Notice(notice), number, value

    def take_memory_use(self) -> MemoryUse | None:
        """Of the worker whose ending was read just now, when memory ran out."""
        use, self._memory_use = self._memory_use, None
        return use

    def _become_ready(self, reason: str) -> None:
        if reason:
            _log.warning("workers start as fresh interpreters, which takes longer than forking: %s", reason)
        self._ready = True
        self.flush()

    def ask_to_end(self) -> None:
        """Have it end all its workers and itself, without waiting for it."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)

    def end(self, patience_s: float) -> int | None:
        """Have it end all its workers and itself; its exit code if known. Waits until it has, or kills it."""
        self._poller.unregister(self.fd)
        for command in self._commands:
            _close(command.fds)
        self._commands.clear()
        self.ask_to_end()
        self._socket.settimeout(patience_s)
        with suppress(OSError):
            while self._socket.recv(1 << 16):
                pass
        self._socket.close()
        return self._bury()

    def _bury(self) -> int | None:
        try:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid == 0:
                os.kill(self.pid, signal.SIGKILL)
                _, status = os.waitpid(self.pid, 0)
            code = os.waitstatus_to_exitcode(status)
        except ChildProcessError:
            code = None  # somebody else in this process waits for all children
        if code != 0:
            self._sweep()
        return code

    def _sweep(self) -> None:
        """End what a server that ended by force has left behind; its workers are ending already."""
        deadline = time.monotonic() + _SWEEP_S
        while (strays := here.marked(self._mark)) and time.monotonic() < deadline:
            for pid in strays:
                with suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL)

    def disown(self) -> None:
        """In a forked copy of the driver: let go of what belongs to the original."""
        self._socket.close()
        for command in self._commands:
            _close(command.fds)


def _file_of(content: bytes) -> int:
    fd = here.anonymous_file()
    left = memoryview(content)
    while left:
        left = left[os.write(fd, left) :]
    return fd


def _close(fds: tuple[int, ...]) -> None:
    for fd in fds:
        os.close(fd)
