"""The inside of a worker process: takes orders from the driver, runs the program, sends up what becomes of it."""

from __future__ import annotations

import atexit
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from executor.framing import Frame, FrameReader, Pieces, pack, pack_bytes, pack_plain, unpack
from executor.gang import refusal
from executor.interface import Channel, Program
from executor.interrupts import uninterrupted
from executor.messages import RemoteError
from executor.platform import here
from executor.processes.protocol import ASKED, CANCEL, EMITTED, NUDGE, ORDER, POSTED, RAISED, RETURNED, TOLD, Order
from executor.processes.surroundings import Surroundings
from executor.tracebacks import describe

__audition_internal__ = True

_EXIT_GRACE_S = 5.0


@dataclass(frozen=True, slots=True)
class Loaded:
    """The program, or why there is none."""

    program: Program | None
    error: RemoteError | None


def work(load: Callable[[], Loaded], overrides: Mapping[str, str], data_fd: int, control_fd: int) -> NoReturn:
    """Run orders until the last one, or until the driver closes the data socket; then end the process.

    `load` is called once the process is set up for its first order, so that what it imports sees the right devices.
    """
    code = 1
    try:
        # Kept until the very end: its socket closes with the process, and the driver kills what closes it before.
        worker = _Worker(load, overrides, data_fd, control_fd)
        code = worker.serve()
    except BaseException as error:  # noqa: BLE001 - told as well as it still can be
        sys.stderr.write(describe(error).traceback)
    finally:
        _end(code)


class _Worker:
    def __init__(self, load: Callable[[], Loaded], overrides: Mapping[str, str], data_fd: int, control_fd: int) -> None:
        self._load = load
        self._surroundings = Surroundings(overrides)
        self._data = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, 0, data_fd)
        self._control = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, 0, control_fd)
        self._reader = FrameReader(self._data)
        self._begun = 0

    def serve(self) -> int:
        """Run one order after another; the process's exit code."""
        while (head := self._reader.receive()) is not None:
            if head.kind != ORDER:
                continue  # the answer to an emission that an exception ended, and then the call has ended too
            argument = self._reader.receive()
            if argument is None:
                break
            order = Order(*unpack(head))
            self._begun += 1
            channel = SocketChannel(self._data, self._control, self._reader, self._begun)
            channel.rank = order.rank or channel.rank
            try:
                last_words = self._run(order, channel, argument)
            except SystemExit as leaving:
                return _exit_code(leaving)
            finally:
                channel.close()
            _flush()
            send(self._data, last_words)
            if order.last:
                break
        return 0

    def _run(self, order: Order, channel: Channel, argument: Frame) -> Pieces:
        """The frame that ends the call."""
        try:
            self._surroundings.enter(order)
            loaded = self._load()
            if loaded.program is None:
                return _pack_error(loaded.error)
            value = loaded.program.run(channel, unpack(argument))
        except SystemExit:
            raise
        except BaseException as error:  # noqa: BLE001 - whatever it is, it ended the program
            return _pack_error(describe(error))
        return _pack_value(value)


def _pack_value(value: Any) -> Pieces:
    try:
        return pack(value, RETURNED)
    except TypeError as error:
        return _pack_error(describe(TypeError(f"the returned value cannot be sent back: {error}")))


def _pack_error(error: RemoteError | None) -> Pieces:
    assert error is not None
    return pack_bytes(error.as_json().encode(), RAISED)


class SocketChannel(Channel):
    """The program's end of its call. Beside what every channel has it takes what the caller posts, and its words.

    A program that takes posts neither emits nor asks whether it is cancelled: each of the two sockets has one reader.
    """

    def __init__(self, data: socket.socket, control: socket.socket, reader: FrameReader, number: int) -> None:
        self._data, self._control, self._reader, self._number = data, control, reader, number
        self.lock = threading.Lock()
        """Held while something is sent."""
        self._pid = os.getpid()
        self._seq = 0
        self._open = True
        self._cancelled = False
        self._look()  # takes what earlier calls never looked for, so that there is always room for more

    def emit(self, payload: Any) -> Any:
        with self.lock:
            self._send(EMITTED, payload)
            while (frame := self._reader.receive()) is not None:
                if frame.number == self._seq:  # and not that of an emission whose wait an exception ended
                    return unpack(frame)
        os._exit(1)  # the driver is gone, and nobody is left to tell

    def tell(self, payload: Any) -> None:
        with self.lock:
            self._send(TOLD, payload)

    def _send(self, kind: int, payload: Any) -> None:
        if os.getpid() != self._pid:
            raise RuntimeError("emit was called in a process forked from the worker: only the worker itself can")
        if self.rank.number:
            raise RuntimeError(refusal(self.rank))
        if not self._open:
            raise RuntimeError("emit was called after the program had ended")
        frame = pack(payload, kind, self._seq + 1)
        self._seq += 1
        send(self._data, frame)

    @property
    def cancelled(self) -> bool:
        self._look()
        return self._cancelled

    def _look(self) -> None:
        while not self._cancelled and (record := _next_record(self._control)) is not None:
            # Those of the calls before this one came too late for them.
            self._cancelled = not record or NUDGE.unpack(record) == (self._number, CANCEL)

    def fileno(self) -> int:
        """The descriptor that becomes readable when something was posted, or the caller is gone."""
        return self._data.fileno()

    def read_posted(self) -> list[Any]:
        """What one read of the socket brings of what was posted, waiting for it when there is nothing.

        Raises:
            EOFError: the caller is gone, or wants nothing more.
        """
        try:
            frames = self._reader.left_over() or self._reader.read()
        except ConnectionResetError:
            raise EOFError from None
        return [unpack(frame) for frame in frames if frame.kind == POSTED]

    @uninterrupted
    def say(self, payload: Any) -> None:
        """Tell plain values: numbers, bytes, and tuples and lists of these, which need no care in pickling."""
        # Packed before: it may set the garbage collector off, and with it a user's `__del__` that says something too.
        pieces = pack_plain(payload, TOLD)
        with self.lock:
            if len(pieces) == 1:
                send_piece(self._data, pieces[0])
            else:
                send(self._data, pieces)

    def ask_host(self, number: int, question: str) -> None:
        """Ask the host on this machine, by JSON; the answer is posted."""
        with self.lock:
            send(self._data, pack_bytes(question.encode(), ASKED, number))

    def next_word(self) -> int | None:
        """Wait for the next word that the caller says about this call past what it posts; None when it is gone."""
        while True:
            try:
                record = self._control.recv(NUDGE.size, socket.MSG_WAITALL)
            except OSError:
                return None
            if len(record) < NUDGE.size:
                return None
            number, word = NUDGE.unpack(record)
            if number == self._number:
                return int(word)

    def close(self) -> None:
        """Refuse whatever a thread that outlives the program still wants to say."""
        self._open = False


def _next_record(control: socket.socket) -> bytes | None:
    """The next cancellation that has arrived, if one has; empty when the driver is gone."""
    try:
        return control.recv(NUDGE.size, socket.MSG_DONTWAIT)
    except BlockingIOError:
        return None
    except OSError:
        return b""


def send(sock: socket.socket, pieces: Pieces) -> None:
    """Send all `pieces`; ends the process when the driver is gone."""
    for piece in pieces:
        send_piece(sock, piece)


def send_piece(sock: socket.socket, piece: bytes | memoryview) -> None:
    """Send one piece; ends the process when the driver is gone."""
    try:
        sock.sendall(piece)
    except (BrokenPipeError, ConnectionResetError):
        os._exit(1)


def _exit_code(leaving: SystemExit) -> int:
    if leaving.code is None or isinstance(leaving.code, int):
        return (leaving.code or 0) & 0xFF
    sys.stderr.write(f"{leaving.code}\n")
    return 1


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError, AttributeError):
            pass  # the program closed or replaced it, or the disk is full: no reason to lose its value
    here.flush_c_streams()


def _end(code: int) -> NoReturn:
    """Leave as the interpreter does, without tearing it down; a hanging exit function is ended by the alarm."""
    try:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_REAL, _EXIT_GRACE_S)
        # The interpreter's own two steps, of which there is no public form; multiprocessing does the same.
        threading._shutdown()  # type: ignore[attr-defined]  # noqa: SLF001 - waits for threads that are no daemons
        atexit._run_exitfuncs()  # noqa: SLF001
        _flush()
    finally:
        os._exit(code)
