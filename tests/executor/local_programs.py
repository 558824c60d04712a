"""What real worker processes run in the tests of the local executor. Functions here take a channel and an argument."""

from __future__ import annotations

import atexit
import ctypes
import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from executor.interface import Channel, Program, Step


@dataclass(frozen=True)
class Run(Program):
    """Runs a function that takes a channel and an argument."""

    function: Callable[[Channel, Any], Any]
    modules: Sequence[str] = ()

    def preload(self) -> Sequence[str]:
        return self.modules

    def steps(self, argument: Any) -> Generator[Step, Any, Any]:
        raise NotImplementedError

    def run(self, channel: Channel, argument: Any) -> Any:
        return self.function(channel, argument)


def end_as_told(channel: Channel, argument: Any) -> Any:
    """End as the answer says."""
    how = channel.emit(os.getpid())
    match how:
        case "raise":
            raise ValueError("as told")
        case "segfault":
            ctypes.string_at(0)
        case "_exit":
            os._exit(3)
        case "terminate":
            os.kill(os.getpid(), signal.SIGTERM)
        case "abandon":
            os.closerange(3, 256)
            signal.pause()
    return how


def say(channel: Channel, lines: Sequence[str]) -> None:
    """Print lines, then tell that it has, then leave."""
    for line in lines:
        print(line)
    channel.emit(None)
    sys.exit(4)


def say_and_return(channel: Channel, line: str) -> None:
    print(line, end="")


def flood(channel: Channel, size: int) -> None:
    """Print a lot, then go on until told to stop."""
    os.write(1, b"x" * size + b"\nthe end\n")
    channel.emit(None)


def write_at_exit(channel: Channel, path: str) -> None:
    atexit.register(Path(path).write_text, "written")


def crash_at_exit(channel: Channel, argument: Any) -> str:
    atexit.register(os.abort)
    return "returned"


def hang_at_exit(channel: Channel, argument: Any) -> int:
    threading.Thread(target=signal.sigwait, args=([signal.SIGUSR2],)).start()
    return os.getpid()


def start_grandchild(how: str) -> int:
    """Start a process that nobody will end by itself; its process id."""
    if how == "setsid":
        return subprocess.Popen(["sleep", "1000"], start_new_session=True, stdout=subprocess.DEVNULL).pid
    reading, writing = os.pipe()
    if os.fork() == 0:
        os.setsid()
        if (pid := os.fork()) != 0:
            os.write(writing, str(pid).encode())
            os._exit(0)
        os.execvp("sleep", ["sleep", "1000"])
    os.wait()
    return int(os.read(reading, 100))


def leave_grandchild(channel: Channel, how: str) -> Any:
    """Start a grandchild, tell (this process, its parent, the grandchild), then end as told."""
    answer = channel.emit((os.getpid(), os.getppid(), start_grandchild(how)))
    if answer == "raise":
        raise ValueError("as told")
    return answer


def emit_from_a_fork(channel: Channel, argument: Any) -> int:
    if os.fork() == 0:
        try:
            channel.emit("I am not the worker")
        except RuntimeError:
            os._exit(7)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.wait()[1])


def emit_a_lock(channel: Channel, argument: Any) -> None:
    channel.emit({"loss": 0.5, "guard": threading.Lock()})


def see_cancellation(channel: Channel, argument: Any) -> tuple[bool, bool]:
    before = channel.cancelled
    channel.emit(None)
    return before, channel.cancelled


def see_cancellation_at_once(channel: Channel, argument: Any) -> bool:
    return channel.cancelled


def see_cancellation_if_told(channel: Channel, argument: Any) -> bool:
    return bool(channel.emit(None)) and channel.cancelled


class InterruptionError(Exception):
    """What a signal handler of the user's own raises."""


def interrupt(*_: Any) -> None:
    raise InterruptionError


def emit_interrupted(channel: Channel, argument: tuple[str, bool]) -> Any:
    """Emit until a signal interrupts it, say so in a pipe, then perhaps emit again; the last answer."""
    pipe, again = argument
    signal.signal(signal.SIGUSR2, interrupt)
    try:
        return channel.emit(os.getpid())
    except InterruptionError:
        Path(pipe).write_text("interrupted")
    return channel.emit("again") if again else "interrupted"


def draw(channel: Channel, argument: Any) -> tuple[float, float]:
    import numpy

    return random.random(), float(numpy.random.random())


def was_numpy_loaded_and_draw(channel: Channel, argument: Any) -> tuple[bool, float]:
    loaded = "numpy.random" in sys.modules
    return loaded, draw(channel, argument)[1]


def threads(channel: Channel, argument: Any) -> tuple[set[int], str, str | None]:
    """The thread counts of the loaded BLAS libraries, and what the variables say."""
    import numpy  # noqa: F401
    import threadpoolctl

    counts = {library["num_threads"] for library in threadpoolctl.threadpool_info()}
    return counts, os.environ["OMP_NUM_THREADS"], os.environ.get("CUDA_VISIBLE_DEVICES")


def environment(channel: Channel, names: Sequence[str]) -> dict[str, str | None]:
    return {name: os.environ.get(name) for name in names}


def describe_process(channel: Channel, argument: Any) -> dict[str, Any]:
    return {
        "stdin": sys.stdin.read(),
        "folder": str(Path.cwd()),
        "arguments": sys.argv,
        "leads": os.getpid() == os.getsid(0) == os.getpgid(0),
        "interrupt": signal.getsignal(signal.SIGINT),
        "terminate": signal.getsignal(signal.SIGTERM),
        "pid": os.getpid(),
        "parent": os.getppid(),
    }


def tell_pids(channel: Channel, argument: Any) -> Any:
    return channel.emit((os.getpid(), os.getppid()))
