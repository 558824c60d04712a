"""A program that creates, calls and ends actors at random, makes objects large and small, and says what all that left.

``python -m tests.executor.library.soak ACTORS CALLS OBJECTS SEED`` prints one line of JSON: what there was after a
small first round, and what there is when everything has been let go of.
"""

from __future__ import annotations

import gc
import json
import os
import random
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil

import executor
from executor.errors import ActorDiedError, TaskCancelledError
from executor.library.runtime import existing
from tests.executor.library.events import holds

CPUS = 2
ALIVE = 6
KEPT = 40
SMALL, LARGE = 100, 400_000
FIRST_ROUND = 40, 1_000, 300


class Member:
    """An actor that answers what it is asked, until something happens to it."""

    def __init__(self, *, breaks: bool = False) -> None:
        if breaks:
            raise ValueError("this one was to break")
        self.refs: list[Any] = []

    def echo(self, number: int) -> int:
        return number

    def size(self, value: bytes) -> int:
        return len(value)

    def keep(self, refs: list[Any]) -> int:
        self.refs = refs
        return len(executor.get(refs[0]))

    def make(self, size: int) -> bytes:
        return bytes(size)

    def count(self, upto: int) -> Iterator[int]:
        yield from range(upto)

    def pid(self) -> int:
        return os.getpid()

    def leave(self) -> None:
        executor.exit_actor()


def echo(number: int) -> int:
    return number


@dataclass
class Levels:
    """What there is just now. Processes are the fork servers and the workers; memory is what is resident."""

    files: int
    threads: int
    processes: int
    server_files: int
    server_threads: int
    temporary: int
    shared: int
    objects: int
    actors: int
    driver_bytes: int
    server_bytes: int


def levels() -> Levels:
    gc.collect()
    me = psutil.Process()
    servers = me.children()
    there = executor.status()
    return Levels(
        files=me.num_fds(),
        threads=threading.active_count(),
        processes=len(me.children(recursive=True)),
        server_files=sum(server.num_fds() for server in servers),
        server_threads=sum(server.num_threads() for server in servers),
        temporary=sum(1 for _ in Path(tempfile.gettempdir()).rglob("*")),
        shared=sum(1 for entry in Path("/dev/shm").iterdir() if entry.name.startswith("audition")),
        objects=there.objects + there.awaited_objects,
        actors=len(there.actors),
        driver_bytes=me.memory_info().rss,
        server_bytes=sum(server.memory_info().rss for server in servers),
    )


class Soak:
    """What lives at the moment, and what is to be expected of it."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.kind = executor.remote(num_cpus=0)(Member)
        self.restarting = self.kind.options(max_restarts=1)
        self.task = executor.remote(echo)
        self.members: list[Any] = []
        self.kept: list[tuple[Any, int]] = []
        self.asked: list[tuple[Any, int]] = []
        self.failed = 0

    def run(self, actors: int, calls: int, objects: int) -> None:
        """So many of each, mixed evenly."""
        called = made = 0
        for number in range(actors):
            self.create()
            while made * actors < objects * (number + 1):
                self.put()
                made += 1
            while called * actors < calls * (number + 1):
                self.call(called)
                called += 1
            if number % 4 == 3:
                self.hear()
            while len(self.members) > ALIVE:
                self.end()
        while self.members:
            self.end()
        self.hear()
        self.kept.clear()

    def create(self) -> None:
        if self.chance.random() < 0.02:
            self.asked.append((self.kind.remote(breaks=True).echo.remote(0), 0))
            return
        kind = self.restarting if self.chance.random() < 0.1 else self.kind
        self.members.append(kind.remote())

    def put(self) -> None:
        size = SMALL if self.chance.random() < 0.5 else self.chance.randint(LARGE // 2, LARGE)
        self.kept.append((executor.put(bytes(size)), size))
        if len(self.kept) > KEPT:
            self.kept.pop(self.chance.randrange(KEPT))

    def call(self, number: int) -> None:
        way = self.chance.random()
        member = self.chance.choice(self.members) if self.members else None
        if member is None or way < 0.2:
            self.asked.append((self.task.remote(number), number))
        elif way < 0.8 or not self.kept:
            self.asked.append((member.echo.remote(number), number))
        elif way < 0.9:
            ref, size = self.chance.choice(self.kept)
            self.asked.append((member.size.remote(ref), size))
        elif way < 0.95:
            ref, size = self.chance.choice(self.kept)
            self.asked.append((member.keep.remote([ref]), size))
        elif way < 0.97:
            self.kept.append((member.make.remote(LARGE), LARGE))
        elif way < 0.98:
            ref = self.task.remote(number)
            executor.cancel(ref)
            self.asked.append((ref, number))
        else:
            self.stream(member)

    def stream(self, member: Any) -> None:
        """Read a stream, sometimes only its beginning."""
        stop = self.chance.randint(1, 10)
        try:
            for place, ref in enumerate(member.count.remote(6)):
                assert executor.get(ref) == place
                if place == stop:
                    break
        except ActorDiedError:
            self.failed += 1

    def hear(self) -> None:
        for ref, expected in self.asked:
            try:
                assert executor.get(ref, timeout=60) == expected
            except (ActorDiedError, TaskCancelledError, ValueError):
                self.failed += 1
        self.asked.clear()

    def end(self) -> None:
        """End an actor in one of the ways in which they end, with a call under way."""
        member = self.members.pop(self.chance.randrange(len(self.members)))
        way = self.chance.randrange(5)
        if way == 0:
            executor.kill(member)
        elif way == 1:
            executor.kill(member, no_restart=False)
        elif way == 2:
            try:
                os.kill(executor.get(member.pid.remote()), signal.SIGKILL)
            except (ActorDiedError, ProcessLookupError):
                self.failed += 1
        elif way == 3:
            self.asked.append((member.leave.remote(), 0))
        self.asked.append((member.echo.remote(1), 1))


def settled() -> Levels:
    """What there is once all that was let go of has gone: actors end, and the store keeps free memory for a second."""
    executor.get([executor.remote(echo).remote(0) for _ in range(10)])
    there = psutil.Process()
    holds(lambda: executor.status().actors == (), "there are actors still")
    holds(lambda: len(there.children(recursive=True)) == 1 + CPUS, "there are too few processes, or too many")
    store = existing().hub.store
    holds(lambda: not store._used and not store._given_back, "the store holds memory still")
    return levels()


def main(actors: int, calls: int, objects: int, seed: int) -> None:
    executor.init(num_cpus=CPUS, object_store_memory=64 * 2**20)
    Soak(seed).run(*FIRST_ROUND)
    before = settled()
    began = time.monotonic()
    soak = Soak(seed + 1)
    soak.run(actors, calls, objects)
    seconds = time.monotonic() - began
    failed = soak.failed
    del soak
    after = settled()
    folder = Path(tempfile.gettempdir())
    executor.shutdown()
    gc.collect()
    left = [str(path) for path in folder.iterdir()]
    print(
        json.dumps(
            {"before": asdict(before), "after": asdict(after), "failed": failed, "seconds": seconds, "left": left}
        )
    )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
