"""What an experiment was asked to be: the settings that the machine decides by. Values only."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from executor.resources import Request
from searchers.outcomes import OutcomeConstraint

RequestRule = Request | Callable[[Mapping[str, Any]], Request]


@dataclass(frozen=True, slots=True)
class Retention:
    """When checkpoints are saved, and which are kept.

    A trial that offers a checkpoint is asked to save it at every `frequency`-th report (0: only when it pauses or is
    suspended), and when it stops if `at_end`. Its latest checkpoint is always kept; of the others the best by
    `score_attribute` (the run's metric by default), so that `num_to_keep` are kept in all; None keeps every one, and 0
    none once the trial is over. All trials' checkpoints together take `max_total_bytes`, as far as that is possible
    without the latest of those that are not over.
    """

    frequency: int = 1
    at_end: bool = False
    num_to_keep: int | None = 2
    score_attribute: str | None = None
    score_order: str = "max"
    max_total_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """The settings of one experiment. Times are seconds of the experiment's own life.

    `grace_s` is how long a trial may take to end after it was told to; `suspend_s` the same for the first Ctrl-C,
    when it also saves.
    """

    metrics: tuple[str, ...] = ()
    modes: tuple[str, ...] = ()
    seed: int = 0
    request: RequestRule = field(default_factory=Request)
    max_concurrent: int | None = None
    max_failures: int = 0
    max_infra_failures: int = 10
    report_timeout_s: float | None = None
    trial_timeout_s: float | None = None
    start_timeout_s: float | None = None
    fail_fast: bool = False
    time_budget_s: float | None = None
    retention: Retention = field(default_factory=Retention)
    grace_s: float = 10.0
    suspend_s: float = 30.0
    outcome_constraints: tuple[OutcomeConstraint, ...] = ()
    decisive: tuple[str, ...] = field(init=False)
    """The metrics that a trial is compared by, and those that constraints are on."""

    def __post_init__(self) -> None:
        names = dict.fromkeys((*self.metrics, *(one.metric for one in self.outcome_constraints)))
        object.__setattr__(self, "decisive", tuple(names))

    def request_for(self, config: Mapping[str, Any]) -> Request:
        """What a trial with `config` needs."""
        return self.request if isinstance(self.request, Request) else self.request(config)

    def attempts_left(self, failures: int) -> bool:
        """Whether a trial that failed `failures` times may try again; ``max_failures=-1`` always lets it."""
        return self.max_failures < 0 or failures <= self.max_failures
