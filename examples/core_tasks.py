"""Tasks and objects: functions in other processes, values kept once for all, and never too much at a time."""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np

import executor as ray


@ray.remote
def total(numbers: np.ndarray) -> float:
    return float(numbers.sum())


@ray.remote
def add(left: float, right: float) -> float:
    return left + right


@ray.remote
def total_by_halves(numbers: np.ndarray, depth: int) -> float:
    """A task that submits tasks: while it waits for them its cpu is theirs."""
    if depth == 0:
        return float(numbers.sum())
    middle = len(numbers) // 2
    return sum(ray.get([total_by_halves.remote(half, depth - 1) for half in (numbers[:middle], numbers[middle:])]))


@ray.remote(num_returns=2)
def smallest_and_largest(numbers: np.ndarray) -> tuple[float, float]:
    return float(numbers.min()), float(numbers.max())


@ray.remote
def work(seconds: float) -> float:
    time.sleep(seconds)
    return seconds


@ray.remote
def chunks(numbers: np.ndarray, size: int) -> Iterator[float]:
    """A generator streams: each value can be read as soon as it is yielded."""
    for begin in range(0, len(numbers), size):
        yield float(numbers[begin : begin + size].mean())


def bounded(count: int, at_most: int) -> tuple[int, int]:
    """Submit many tasks, but wait for one whenever so many have not ended; the most that had not, and how many did."""
    pending: list[ray.ObjectRef[float]] = []
    most = ended = 0
    for number in range(count):
        if len(pending) == at_most:
            done, pending = ray.wait(pending)
            ended += len(done)
        pending.append(work.remote(0.001 * (number % 5)))
        most = max(most, len(pending))
    return most, ended + len(ray.get(pending))


def main() -> None:
    ray.init(num_cpus=2)
    numbers = np.arange(1_000_000.0)

    # Kept once in shared memory. Tasks that are passed the reference read it there, and nothing is copied.
    kept = ray.put(numbers)
    found = ray.get(kept)
    print("an array that was put is read-only:", not found.flags.writeable)

    # References are arguments like others: a task begins when the values that it is passed are there.
    print("twice the total:", ray.get(add.remote(total.remote(kept), total.remote(kept))) / numbers.sum())
    print("by nested tasks the same:", ray.get(total_by_halves.remote(kept, 2)) == numbers.sum())

    low, high = smallest_and_largest.remote(kept)
    print("two values, each a reference:", ray.get(low), ray.get(high))

    print("never more than 4 pending, all ended:", bounded(count=40, at_most=4))

    print("streamed:", [ray.get(mean) for mean in chunks.remote(kept, 250_000)])

    slow, fast = work.remote(0.5), work.remote(0.0)
    print("the fast one first:", [ray.get(ref) for ref in ray.as_completed([slow, fast])])
    ray.shutdown()


if __name__ == "__main__":
    main()
