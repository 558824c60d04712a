"""Frames arrive whole and in order, however they are cut on their way."""

from __future__ import annotations

import random
import socket
import threading
from typing import Any

import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from executor.framing import FrameReader, keep_sealed, opened, pack, pack_bytes, pack_sealed, seal, unpack

VALUES = [
    "small",
    b"y" * 65_524,
    b"z" * 65_536,
    b"x" * 1_000_000,
    numpy.arange(10),
    numpy.arange(0),
    [numpy.arange(300_000), "and", numpy.ones((3, 0))],
    {"end": None},
]


def wire(value: Any) -> bytes:
    return b"".join(map(bytes, pack(value)))


def same(one: Any, other: Any) -> bool:
    return repr(one) == repr(other) and len(wire(one)) == len(wire(other))


@pytest.mark.parametrize("reads", ["receive", "read"])
def test_frames_of_all_sizes_arrive_whole_and_in_order(reads: str) -> None:
    ours, theirs = socket.socketpair()
    sender = threading.Thread(target=theirs.sendall, args=(b"".join(map(wire, VALUES)),))
    with ours, theirs:
        sender.start()
        reader = FrameReader(ours)
        arrived: list[Any] = []
        while len(arrived) < len(VALUES):
            frames = [reader.receive()] if reads == "receive" else reader.read()
            arrived += [unpack(frame) for frame in frames if frame is not None]
        sender.join()
    assert all(same(one, other) for one, other in zip(VALUES, arrived, strict=True))


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(1, 5000), max_size=30), st.randoms(use_true_random=False))
def test_frames_may_be_cut_anywhere(cuts: list[int], chance: random.Random) -> None:
    values = [chance.choice([1, "two", [3] * 2000, numpy.arange(chance.randrange(20_000))]) for _ in range(5)]
    data = b"".join(map(wire, values))
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        reader = FrameReader(ours)
        arrived: list[Any] = []
        while data:
            size = cuts.pop() if cuts else 50_000
            theirs.sendall(data[:size])
            data = data[size:]
            while True:
                try:
                    arrived += [unpack(frame) for frame in reader.read()]
                except BlockingIOError:
                    break
    assert all(same(one, other) for one, other in zip(values, arrived, strict=True))


def test_arrays_are_not_copied_into_the_pickle_and_can_be_written_to() -> None:
    array = numpy.zeros(1_000_000)
    pieces = pack(array)
    assert sum(len(piece) for piece in pieces[:-1]) < 1000
    ours, theirs = socket.socketpair()
    sender = threading.Thread(target=theirs.sendall, args=(b"".join(map(bytes, pieces)),))
    with ours, theirs:
        sender.start()
        frame = FrameReader(ours).receive()
        sender.join()
    assert frame is not None
    received = unpack(frame)
    received[0] = 1
    assert numpy.shares_memory(received, numpy.frombuffer(frame.parts[1]))


def test_a_frame_has_a_kind_and_a_number_and_can_be_passed_on_unopened() -> None:
    sent = {"array": numpy.arange(100_000)}
    ours, theirs = socket.socketpair()
    pieces = [*pack_sealed(seal(sent), 7, 2**60), *pack_bytes(b"no pickle", 8)]
    sender = threading.Thread(target=theirs.sendall, args=(b"".join(map(bytes, pieces)),))
    with ours, theirs:
        sender.start()
        reader = FrameReader(ours)
        first, second = reader.receive(), reader.receive()
        sender.join()
    assert first is not None
    assert second is not None
    assert (first.kind, first.number) == (7, 2**60)
    assert same(opened(keep_sealed(first)), sent)
    assert (second.kind, second.number, bytes(second.parts[0])) == (8, 0, b"no pickle")


def test_the_end_of_the_other_side_is_told() -> None:
    ours, theirs = socket.socketpair()
    with ours:
        theirs.sendall(wire("half of it")[:-3])
        theirs.close()
        assert FrameReader(ours).receive() is None
