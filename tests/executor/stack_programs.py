"""Where real worker processes stand in the tests of stacks. Functions here take a channel and an argument."""

from __future__ import annotations

import ctypes
import os
import signal
import threading
import time

from executor.interface import Channel


def stand(channel: Channel, where: str) -> None:
    """Tell who this is, then stand there for ever."""
    channel.tell((os.getpid(), os.getppid()))
    PLACES[where]()


def stand_in_sleep() -> None:
    time.sleep(1000)


def stand_in_a_loop() -> None:
    count = 0
    while True:
        count += 1


def stand_in_c_with_the_lock() -> None:
    libc = ctypes.PyDLL(None)
    while True:
        libc.sleep(1000)


def stand_in_two_threads() -> None:
    threading.Thread(target=wait_beside).start()
    wait_in_front()


def wait_beside() -> None:
    threading.Event().wait()


def wait_in_front() -> None:
    threading.Event().wait()


def stand_deaf() -> None:
    signal.signal(signal.SIGURG, signal.SIG_IGN)
    signal.pause()


def emit(channel: Channel, argument: object) -> object:
    return channel.emit(os.getpid())


PLACES = {
    place.__name__: place
    for place in (stand_in_sleep, stand_in_a_loop, stand_in_c_with_the_lock, stand_in_two_threads, stand_deaf)
}
