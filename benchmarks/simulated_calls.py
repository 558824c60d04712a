"""How many events a second the simulated executor delivers, for calls that do nothing, and how many when they do more.

Each event is emitted, handed out and answered, or ends its call, whose room is then given back and reserved again.
"""

from __future__ import annotations

import json
import time
from collections.abc import Generator
from typing import Any

from executor.interface import Program, Step
from executor.messages import Call, Emitted, RoomFreed
from executor.resources import Node, Request, Resources
from executor.simulated import SimulatedExecutor


class Count(Program):
    """Emits the numbers below its argument, one a second."""

    def steps(self, argument: int) -> Generator[Step, Any, None]:
        for number in range(argument):
            yield Step(number, 1.0)


def events_per_second(*, nodes: int, cpus: int, calls: int, emissions: int, **options: bool) -> int:
    executor = SimulatedExecutor([Node(f"n{number}", Resources.of(cpu=cpus)) for number in range(nodes)], **options)
    program, request = executor.prepare(Count()), Request()
    held, started, events = {}, 0, 0
    began = time.perf_counter()
    while held or started < calls:
        while started < calls and (reservation := executor.reserve(request)) is not None:
            started += 1
            held[str(started)] = reservation
            executor.start(program, reservation, Call(str(started), emissions))
        for event in executor.events(None):
            events += 1
            if isinstance(event, Emitted):
                executor.reply(event.call_id, event.seq, None)
            elif not isinstance(event, RoomFreed):
                executor.release(held.pop(event.call_id))
    return round(events / (time.perf_counter() - began))


def main() -> None:
    figures = {
        "4_at_once_100_emissions": events_per_second(nodes=1, cpus=4, calls=1_000, emissions=100),
        "4_at_once_1_emission": events_per_second(nodes=1, cpus=4, calls=50_000, emissions=1),
        "10000_at_once_on_1000_nodes": events_per_second(nodes=1_000, cpus=10, calls=40_000, emissions=10),
        "through_pickle": events_per_second(nodes=1, cpus=4, calls=200, emissions=100, check_pickle=True),
        "own_random_state": events_per_second(nodes=1, cpus=4, calls=20, emissions=100, isolate_random=True),
    }
    print(json.dumps({"benchmark": "simulated_calls", "unit": "events/s", **figures}))


if __name__ == "__main__":
    main()
