"""Trials of two workers: each takes half of the data, and an all-reduce adds their gradients up.

For the real thing use `torch.distributed`: the variables that it looks for are set in every worker, so that
`init_process_group("gloo")`, or "nccl", is all there is to write. Here a socket between the two does.
"""

from __future__ import annotations

import os
import time
from multiprocessing.connection import Client, Connection, Listener
from pathlib import Path
from typing import Any

import tune
from schedulers import ASHAScheduler

POINTS = [(x / 100, 3 * x / 100 + 1) for x in range(100)]


class Group:
    """The workers of this trial, all joined to rank 0."""

    def __init__(self) -> None:
        context = tune.get_context()
        self.rank, self.size = context.get_world_rank(), context.get_world_size()
        # A directory of this attempt's own. The address of a socket must be short, so it is taken from where we stand.
        address = os.path.relpath(Path(context.get_rendezvous_dir(), "rank0"))
        if self.rank == 0:
            with Listener(address, "AF_UNIX", backlog=self.size) as listener:
                self.joined = [listener.accept() for _ in range(self.size - 1)]
        else:
            self.joined = [connect(address)]

    def all_reduce(self, numbers: list[float]) -> list[float]:
        """The sums over all workers, in every worker."""
        if self.rank:
            self.joined[0].send(numbers)
        else:
            numbers = [sum(column) for column in zip(numbers, *(one.recv() for one in self.joined), strict=True)]
            for one in self.joined:
                one.send(numbers)
        return numbers if self.rank == 0 else self.joined[0].recv()


def connect(address: str) -> Connection:
    """Join rank 0, which may not listen yet."""
    while True:
        try:
            return Client(address, "AF_UNIX")
        except (FileNotFoundError, ConnectionRefusedError):
            time.sleep(0.01)


def train(config: dict[str, Any]) -> None:
    """Fit a line. Every worker runs this; they differ in their rank, and only rank 0 reports."""
    group = Group()
    mine = POINTS[group.rank :: group.size]
    slope, offset, done = load()
    for epoch in range(done + 1, 21):
        errors = [(x, slope * x + offset - y) for x, y in mine]
        sums = group.all_reduce(
            [sum(error * x for x, error in errors), sum(error for _, error in errors), sum(e**2 for _, e in errors)]
        )
        gradient_slope, gradient_offset, loss = (one / len(POINTS) for one in sums)
        slope, offset = slope - config["lr"] * gradient_slope, offset - config["lr"] * gradient_offset
        if group.rank == 0:
            state = f"{slope} {offset} {epoch}"
            tune.report(loss=loss, checkpoint=lambda path, state=state: Path(path, "state").write_text(state))


def load() -> tuple[float, float, int]:
    """Where to go on from: the same in all workers."""
    checkpoint = tune.get_checkpoint()
    if checkpoint is None:
        return 0.0, 0.0, 0
    slope, offset, done = Path(checkpoint.path, "state").read_text().split()
    return float(slope), float(offset), int(done)


if __name__ == "__main__":
    results = tune.run(
        train,
        config={"lr": tune.loguniform(0.01, 1)},
        metric="loss",
        mode="min",
        num_samples=10,
        scheduler=ASHAScheduler(max_t=20),
        resources_per_trial=tune.Gang(workers=2, cpu=0.5),
        name="gang",
    )
    print(f"{len(results)} trials of two workers; best:", results.best_config)
