"""Actors: objects that keep their state in processes of their own, found by name; their methods may be async."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable

import executor as ray


@ray.remote
class WordCount:
    """State that lives between calls, which run one after another."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    def add(self, line: str) -> None:
        self.counts.update(line.split())

    def most_common(self, count: int) -> list[tuple[str, int]]:
        return self.counts.most_common(count)


@ray.remote
def read(lines: Iterable[str], counter: ray.ActorHandle) -> None:
    """Handles are passed on like values: whoever has one can call the actor."""
    ray.get([counter.add.remote(line) for line in lines])


@ray.remote
class Settings:
    """One for all: whoever knows its name finds it."""

    def __init__(self) -> None:
        self.values: dict[str, float] = {}

    def set(self, name: str, value: float) -> None:
        self.values[name] = value

    def get(self, name: str) -> float:
        return self.values[name]


@ray.remote
def scaled(value: float) -> float:
    return value * ray.get(ray.get_actor("settings").get.remote("scale"))


@ray.remote
class Gate:
    """Methods of one actor that wait for each other: while one awaits, others run, in one thread."""

    def __init__(self) -> None:
        self.opened = asyncio.Event()
        self.waiting = 0

    async def wait(self) -> int:
        self.waiting += 1
        if self.waiting == 3:
            self.opened.set()
        await self.opened.wait()
        return self.waiting


async def from_a_coroutine(counter: ray.ActorHandle) -> list[tuple[str, int]]:
    """In the driver, too, references can be awaited."""
    return await counter.most_common.remote(1)


def main() -> None:
    ray.init(num_cpus=2)

    counter = WordCount.remote()
    ray.get([read.remote(["to be or", "not to be"], counter), read.remote(["to see"], counter)])
    print("counted:", ray.get(counter.most_common.remote(2)))
    print("awaited:", asyncio.run(from_a_coroutine(counter)))

    settings = Settings.options(name="settings").remote()
    ray.get(settings.set.remote("scale", 10.0))
    print("scaled:", ray.get(scaled.remote(4.2)), "by", ray.list_named_actors())

    gate = Gate.remote()
    print("all three waited at a time:", ray.get([gate.wait.remote() for _ in range(3)]))
    ray.shutdown()


if __name__ == "__main__":
    main()
