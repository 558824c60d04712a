"""Settings of a resumed run that are not its recipe's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from tune.errors import InvalidArgumentError
from tune.settings import RunConfig, TuneConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class Amendments:
    """What a resumed run is given anew; None leaves a setting as it is.

    `num_samples` and `time_budget_s` say how much more; the others take the place of what there was.
    """

    config: Any = None
    num_samples: int | None = None
    time_budget_s: float | timedelta | None = None
    stop: Any = None
    search_alg: Any = None
    scheduler: Any = None
    max_concurrent_trials: int | None = None
    max_failures: int | None = None
    resources_per_trial: Any = None
    callbacks: Sequence[Any] | None = None
    verbose: int | None = None
    executor: Any = None

    def without_replaced(self, parts: Mapping[str, Any]) -> dict[str, Any]:
        """A recipe's parts, without what they have of the settings given here: it need not be possible to make it."""
        left_out = {
            "tune": {"search_alg": self.search_alg, "scheduler": self.scheduler},
            "run": {"stop": self.stop},
        }
        kept = {
            section: {name: None if given.get(name) is not None else one for name, one in parts[section].items()}
            for section, given in left_out.items()
        }
        space = {} if self.config is not None else parts["space"]
        resources = None if self.resources_per_trial is not None else parts["resources"]
        return {**parts, **kept, "space": space, "resources": resources}

    def applied(
        self, space: Any, tune: TuneConfig, run: RunConfig, resources: Any, lived_s: float
    ) -> tuple[Any, TuneConfig, RunConfig, Any]:
        """The settings with these in them; the experiment has lived for `lived_s`.

        Raises:
            InvalidArgumentError: more is asked for of what has no limit.
        """
        search = {name: getattr(self, name) for name in ("search_alg", "scheduler", "max_concurrent_trials")}
        other = {name: getattr(self, name) for name in ("stop", "callbacks", "verbose", "executor")}
        failures = run.failure_config
        if self.max_failures is not None:
            failures = replace(failures, max_failures=self.max_failures)
        return (
            space if self.config is None else self.config,
            replace(tune, **_given(search), num_samples=self._samples(tune), time_budget_s=self._budget(tune, lived_s)),
            replace(run, **_given(other), failure_config=failures),
            resources if self.resources_per_trial is None else self.resources_per_trial,
        )

    def _samples(self, tune: TuneConfig) -> int:
        more = self.num_samples
        if more is None:
            return tune.num_samples
        if isinstance(more, bool) or not isinstance(more, int) or more < 1:
            raise InvalidArgumentError([f"num_samples says how many more: a whole number above 0, not {more!r}"])
        if tune.num_samples < 0:
            raise InvalidArgumentError([f"num_samples={more}: there is no limit to add to, the run has num_samples=-1"])
        return tune.num_samples + more

    def _budget(self, tune: TuneConfig, lived_s: float) -> float | timedelta | None:
        more = self.time_budget_s
        if more is None:
            return tune.time_budget_s
        return lived_s + (more.total_seconds() if isinstance(more, timedelta) else more)


def _given(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in settings.items() if value is not None}
