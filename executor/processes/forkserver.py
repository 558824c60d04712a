"""A process that has loaded the program once and forks a worker for each call.

It is started by exec with one socket to the driver, takes over what the driver sends, and then only forks, reaps and
kills. As the subreaper of its workers it becomes the parent of all that a worker leaves behind, and ends that too.
"""

from __future__ import annotations

import faulthandler
import gc
import importlib
import linecache
import os
import pickle
import resource
import signal
import socket
import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from functools import cache
from typing import NoReturn

from executor.messages import MemoryUse
from executor.platform import here
from executor.platform.memory import gauge
from executor.processes.interpreter import command_line
from executor.processes.memory import MemoryWatch
from executor.processes.protocol import COMMAND, MEMORY_USE, NOTICE, Command, Load, Notice
from executor.processes.stacks import SIGNAL, write_stacks_into
from executor.processes.worker import Loaded, work
from executor.tracebacks import describe

__audition_internal__ = True

_STRAY_PATIENCE_S = 2.0
_LAST_SWEEP_S = 1.5
_REMOVING_S = 10.0
_ABSENT_TIMES = 4


def main(fd: int) -> NoReturn:
    """Be the fork server of the driver at the other end of the socket `fd`."""
    code = 1
    try:
        prepare_process()
        here.adopt_orphans()
        code = ForkServer(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, 0, fd)).run()
    finally:
        os._exit(code)


def main_spawned(
    parent: int, load_fd: int, data_fd: int, control_fd: int, stacks_fd: int, group_fd: int = -1
) -> NoReturn:
    """Be a worker in an interpreter of its own, started by the fork server `parent`."""
    prepare_process()
    load = read_load(load_fd)
    enter(load)
    become_worker(parent, stacks_fd, group_fd)
    work(cache(lambda: load_program(load)), load.overrides, data_fd, control_fd)


def prepare_process() -> None:
    """What every process of ours has, also the workers forked from it: stdin, streams, fault reports, signals."""
    null = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    os.dup2(null, 0)
    os.close(null)
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.reconfigure(line_buffering=True, encoding="utf-8", errors="backslashreplace")  # type: ignore[union-attr]
    faulthandler.enable(2)
    faulthandler.register(signal.SIGUSR1, 2, all_threads=True)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # A trial's memory may be larger than the disk has room for, and would be written while everybody waits.
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))


def become_worker(parent: int, stacks_fd: int, group_fd: int) -> None:
    """Lead a session of our own, end with `parent`, answer for our stacks, and join the group of memory if any."""
    os.setsid()
    here.die_with_parent(parent)
    here.adopt_orphans()
    if group_fd >= 0:
        with suppress(OSError):  # which the server notices
            os.write(group_fd, b"0")
        os.close(group_fd)
    write_stacks_into(stacks_fd)


def read_load(fd: int) -> Load:
    """The `Load` in the file `fd`, which others may read at the same time."""
    return Load(*pickle.loads(os.pread(fd, os.fstat(fd).st_size, 0)))  # noqa: S301 - written by our driver


def enter(load: Load) -> None:
    """Stand where the driver stood."""
    os.environ.clear()
    os.environ.update(load.environment)
    sys.path[:] = load.path
    sys.argv[:] = load.arguments
    linecache.cache.update({name: (0, None, lines, name) for name, lines in load.sources.items()})
    with suppress(OSError):
        os.chdir(load.folder)


def load_program(load: Load) -> Loaded:
    """Unpickle the program; what goes wrong is told by each call of it."""
    try:
        return Loaded(pickle.loads(load.program), None)  # noqa: S301 - it is the program that we are to run
    except BaseException as error:  # noqa: BLE001 - also what the user's modules raise past `Exception`
        return Loaded(None, replace(describe(error), unloaded=True))


class ForkServer:
    """Takes commands from the driver and reaps; single-threaded, and it never waits for anything else."""

    def __init__(self, driver: socket.socket) -> None:
        self._driver = driver
        self._workers: dict[int, int] = {}
        self._ended: list[tuple[int, int, MemoryUse | None]] = []
        self._memory = MemoryWatch()
        self._patience = 0.0
        self._bystanders: set[int] = set()
        self._load_fd = -1
        self._overrides: dict[str, str] = {}
        self._loaded: Loaded | None = None
        self._scratch = ""
        self._poller = here.poller()

    def run(self) -> int:
        """Serve until the driver is gone; the exit code."""
        # Loaded while the driver is still pickling what it will send.
        importlib.import_module("cloudpickle")
        gc.disable()
        self._poller.register(self._driver.fileno())
        while self._obey_all():
            self._reap()
            self._memory.check()
            self._poller.poll(0.05 if self._ended else self._memory.seconds_to_check())
        self._end_everything()
        if self._scratch:
            self._remove_scratch()
        return 0

    def _remove_scratch(self) -> None:
        """Remove the driver's folder; who is just being killed may still put something into it."""
        import shutil  # a dozen modules, needed only now

        deadline = time.monotonic() + _REMOVING_S
        absent = 0
        while absent < _ABSENT_TIMES and time.monotonic() < deadline:
            if os.path.exists(self._scratch):
                absent = 0
                shutil.rmtree(self._scratch, ignore_errors=True)
            else:
                absent += 1  # a worker that was just opening its log makes the folder again
            self._poller.poll(0.05)

    def _obey_all(self) -> bool:
        """Obey what has been said; False when the driver is gone."""
        while True:
            try:
                record, fds = _receive(self._driver)
            except BlockingIOError:
                return True
            except (EOFError, ConnectionResetError):
                return False
            self._obey(record, fds)

    def _obey(self, record: bytes, fds: list[int]) -> None:
        command, number, value = COMMAND.unpack(record)
        match Command(command):
            case Command.LOAD:
                self._load(fds[0])
            case Command.START:
                self._start(number, value, *fds)
            case Command.IMPORT:
                self._import(fds[0])
            case Command.KILL:
                self._signal(number, signal.SIGKILL)
            case Command.STACKS:
                self._signal(number, SIGNAL)

    def _signal(self, number: int, wanted: signal.Signals) -> None:
        for pid, worker in self._workers.items():
            if worker == number:
                os.kill(pid, wanted)

    def _load(self, fd: int) -> None:
        self._load_fd = fd
        load = read_load(fd)
        self._overrides = load.overrides
        self._scratch = load.scratch
        reason = "this system is not known to fork safely" if not load.can_fork else self._load_program(load)
        if reason:
            self._loaded = None
        # After loading, so that no module that does the same gets in the way; there was nothing to reap before.
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self._poller.wake_on_signals()
        self._tell_ready(reason)

    def _tell_ready(self, reason: str) -> None:
        text = reason.encode()
        self._tell(Notice.READY, 0, len(text), text)

    def _import(self, fd: int) -> None:
        """Import more modules for the workers to come."""
        names = os.pread(fd, os.fstat(fd).st_size, 0).decode().split("\n")
        os.close(fd)
        if self._loaded is None:
            return
        # Without `die_on_hangup`: that takes whatever the driver says in the meantime for its end.
        before = here.children()
        _import_all(names)
        self._settle(before)
        if reason := self._why_not_to_fork():
            self._loaded = None
            self._tell_ready(reason)

    def _load_program(self, load: Load) -> str:
        """Load all that workers share; why they must not be forked, or nothing."""
        here.die_on_hangup(self._driver.fileno(), True)
        enter(load)
        _import_all(load.preload)
        self._loaded = load_program(load)
        here.die_on_hangup(self._driver.fileno(), False)
        self._settle(set())
        return self._why_not_to_fork()

    def _settle(self, before: set[int]) -> None:
        """Take what was loaded for granted: workers share its memory, and own none of the processes it started."""
        self._bystanders |= here.children() - before
        gc.collect()
        gc.freeze()

    @staticmethod
    def _why_not_to_fork() -> str:
        threads = here.thread_count()
        return f"loading it started {threads - 1} thread(s)" if threads > 1 else ""

    def _start(self, number: int, memory_bytes: int, *given_fds: int) -> None:
        group = gauge.make_group(memory_bytes) if memory_bytes else None
        fds = list(given_fds)
        try:
            if group:
                fds.append(group.open())
            pid = self._fork(*fds) if self._loaded else self._spawn(*fds)
        except OSError as error:
            self._tell(Notice.REFUSED, number, error.errno or 0)
            if group:
                self._memory.discard(group)
        else:
            self._workers[pid] = number
            self._memory.started(pid, memory_bytes, group)
        for fd in fds:
            os.close(fd)

    def _fork(self, data_fd: int, control_fd: int, stacks_fd: int, group_fd: int = -1) -> int:
        server, loaded = os.getpid(), self._loaded
        assert loaded is not None
        pid = os.fork()
        if pid == 0:
            try:
                signal.set_wakeup_fd(-1)
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                become_worker(server, stacks_fd, group_fd)
                self._driver.close()
                self._poller.close()
                os.close(self._load_fd)
                gc.enable()
            except BaseException:  # noqa: BLE001 - nothing may come back into the server's loop
                os._exit(1)
            work(lambda: loaded, self._overrides, data_fd, control_fd)
        return pid

    def _spawn(self, *worker_fds: int) -> int:
        fds = (self._load_fd, *worker_fds)
        arguments = command_line("main_spawned", os.getpid(), *fds)
        inherited = [(os.POSIX_SPAWN_DUP2, fd, fd) for fd in fds]
        return os.posix_spawn(
            arguments[0], arguments, os.environ, file_actions=inherited, setsigmask=[], setsigdef=[signal.SIGCHLD]
        )

    def _reap(self) -> None:
        """Reap what has ended; tell of ended workers once all that they started is gone too."""
        with suppress(ChildProcessError):
            while ended := here.reap(self._kill_group_of_worker):
                pid, status, peak_bytes = ended
                number = self._workers.pop(pid, None)
                if number is not None:
                    self._ended.append((number, status, self._memory.ended(pid, status, peak_bytes)))
                    self._patience = time.monotonic() + _STRAY_PATIENCE_S
        if self._ended and (not self._kill_left_behind() or time.monotonic() > self._patience):
            for number, status, memory in self._ended:
                if memory:
                    use = MEMORY_USE.pack(memory.used_bytes, memory.allowed_bytes or 0, memory.free_bytes)
                    self._tell(Notice.MEMORY, number, len(use), use)
                self._tell(Notice.ENDED, number, status)
            self._ended.clear()

    def _kill_group_of_worker(self, pid: int) -> None:
        if pid in self._workers:
            _kill_group(pid)

    def _kill_left_behind(self) -> bool:
        """Kill what ended workers have left behind; whether there was anything."""
        in_groups = self._memory.clear()
        return self._kill_strays() or in_groups

    def _kill_strays(self) -> bool:
        """Kill what has become ours; whether there was anything."""
        strays = here.children() - self._workers.keys() - self._bystanders
        for pid in strays:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return bool(strays)

    def _tell(self, notice: Notice, number: int, value: int, text: bytes = b"") -> None:
        with suppress(BrokenPipeError, ConnectionResetError):  # gone: the next read will say so
            self._driver.sendall(NOTICE.pack(notice, number, value) + text)

    def _end_everything(self) -> None:
        self._bystanders.clear()
        deadline = time.monotonic() + _LAST_SWEEP_S
        for pid in self._workers:
            _kill_group(pid)
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)  # it may not lead its group yet
        while time.monotonic() < deadline:
            self._reap()
            if not self._workers and not self._kill_left_behind():
                return
            self._poller.poll(0.02)


def _import_all(names: Iterable[str]) -> None:
    for name in names:
        with suppress(BaseException):  # the worker meets it again, in the user's own frames
            importlib.import_module(name)
    if "numpy" in sys.modules:
        with suppress(ImportError):
            importlib.import_module("threadpoolctl")  # workers use it to hold numpy to their cpus


def _kill_group(pid: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def _receive(sock: socket.socket) -> tuple[bytes, list[int]]:
    """One record and its descriptors, without waiting.

    Raises:
        EOFError: the driver is gone.
        BlockingIOError: nothing has come.
    """
    flags = socket.MSG_DONTWAIT | getattr(socket, "MSG_CMSG_CLOEXEC", 0)
    data, ancillary, _, _ = sock.recvmsg(COMMAND.size, socket.CMSG_LEN(3 * 4), flags)
    if not data:
        raise EOFError
    fds: list[int] = []
    for level, kind, content in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            fds.extend(memoryview(content[: len(content) // 4 * 4]).cast("i"))
    for fd in fds:
        os.set_inheritable(fd, False)
    return data, fds
