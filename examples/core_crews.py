"""Several actors at work: a supervisor with workers of its own, a map over actors, and two stages as a pipeline."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import executor as ray


@ray.remote
class Digger:
    """Does one piece of work at a time."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.done = 0

    def dig(self, metres: int) -> int:
        self.done += 1
        return metres * metres

    def how_many(self) -> int:
        return self.done


@ray.remote
class Supervisor:
    """Has workers of its own, which end with it. The driver talks to the supervisor alone."""

    def __init__(self, crew: int) -> None:
        self.crew = [Digger.remote(number) for number in range(crew)]

    def dig_all(self, lengths: list[int]) -> int:
        calls = [self.crew[place % len(self.crew)].dig.remote(length) for place, length in enumerate(lengths)]
        return sum(ray.get(calls))

    def shares(self) -> list[int]:
        return ray.get([digger.how_many.remote() for digger in self.crew])


def map_over(actors: list[ray.ActorHandle], method: str, values: Iterable[Any]) -> Iterator[Any]:
    """The results of a method for many values, in any order: whichever actor is free takes the next value."""
    left = iter(values)
    busy = {getattr(actor, method).remote(value): actor for actor, value in zip(actors, left, strict=False)}
    while busy:
        done, _ = ray.wait(list(busy))
        actor = busy.pop(done[0])
        yield ray.get(done[0])
        for value in left:
            busy[getattr(actor, method).remote(value)] = actor
            break


@ray.remote
class Loader:
    """The first stage."""

    def load(self, number: int) -> list[int]:
        return list(range(number))


@ray.remote
class Summer:
    """The second stage, and what it has seen so far."""

    def __init__(self) -> None:
        self.total = 0

    def add(self, batch: list[int]) -> int:
        self.total += sum(batch)
        return self.total


def pipeline(batches: int) -> int:
    """While the second stage has one batch the first prepares the next: nobody waits for the driver in between."""
    loader, summer = Loader.remote(), Summer.remote()
    totals = [summer.add.remote(loader.load.remote(number)) for number in range(batches)]
    return ray.get(totals[-1])


def main() -> None:
    ray.init(num_cpus=2)

    supervisor = Supervisor.remote(crew=3)
    print("dug under a supervisor:", ray.get(supervisor.dig_all.remote([1, 2, 3, 4, 5, 6])))
    print("each of the crew:", ray.get(supervisor.shares.remote()))

    crew = [Digger.remote(number) for number in range(2)]
    print("mapped over two:", sorted(map_over(crew, "dig", range(8))))

    print("through two stages:", pipeline(batches=10))
    ray.shutdown()


if __name__ == "__main__":
    main()
