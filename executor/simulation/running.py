"""A call that runs in virtual time: its program's steps, resumed one by one."""

from __future__ import annotations

import logging

from executor.gang import refusal
from executor.interface import Step
from executor.messages import DeathCause, Died, Raised, Rank, Returned
from executor.simulation.isolation import Steps
from executor.tracebacks import describe

logger = logging.getLogger(__name__)


class RunningCall:
    """A call between its start and its end; one worker of it when a gang runs it."""

    __slots__ = ("call_id", "cancelled", "deaths", "ended", "node", "rank", "seq", "speed", "steps", "unanswered")

    def __init__(self, call_id: str, steps: Steps, rank: Rank, node: str, speed: float) -> None:
        self.call_id = call_id
        self.steps = steps
        self.rank = rank
        self.node = node
        self.speed = speed
        self.seq = 0
        self.unanswered: int | None = None
        self.cancelled = False
        self.deaths: dict[int, DeathCause] = {}
        self.ended = False

    def resume(self, answer: object) -> Step | Returned | Raised | Died:
        """Run the program until it emits or ends."""
        try:
            step = self.steps.send(answer)
            if not step.seconds >= 0:
                raise ValueError(f"a step takes at least 0 seconds, got {step.seconds!r}")
            if self.rank.number and step.payload is not None:
                raise RuntimeError(refusal(self.rank))
            return step
        except StopIteration as end:
            return Returned(self.call_id, end.value)
        except SystemExit as end:
            return Died(self.call_id, _cause_of_exit(end.code))
        except KeyboardInterrupt:
            raise  # of the person who runs the simulation
        except BaseException as error:  # noqa: BLE001  a worker process would end by it as well
            return Raised(self.call_id, describe(error))

    def close(self) -> None:
        """End the program where it stands; what its ``finally`` blocks raise would not outlive a process either."""
        self.ended = True
        try:
            self.steps.close()
        except KeyboardInterrupt:
            raise
        except BaseException:
            logger.debug("call %s: its program failed while it was closed", self.call_id, exc_info=True)


def _cause_of_exit(code: object) -> DeathCause:
    """What the system would tell of a process that ends by ``sys.exit(code)``."""
    if code is None or isinstance(code, int):
        return DeathCause(exit_code=(code or 0) & 0xFF)
    return DeathCause(exit_code=1, log_tail=f"{code}\n")
