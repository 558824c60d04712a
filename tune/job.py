"""One run, completely described: what both doors build, what is checked before it starts, what the recipe keeps."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from executor.resources import Request
from schedulers import create_scheduler
from schedulers.base import ScheduleContext, TrialScheduler
from schedulers.fifo import FIFOScheduler
from searchers import create_searcher
from searchers.base import SearchContext, Searcher
from searchers.definition import Space, adopt_all, read_definition
from searchers.limiter import ConcurrencyLimiter
from searchers.outcomes import OutcomeConstraint, read_constraints
from searchers.variants import BasicVariantGenerator
from tune import checks, warm_start
from tune.amending import Amendments
from tune.errors import InvalidArgumentError, NotRebuildableError
from tune.machine.plan import Plan, RequestRule, Retention
from tune.machine.policies import Policies
from tune.machine.stopping import Stopper, as_stopper
from tune.settings import RunConfig, TuneConfig
from tune.storage import data, journal, recipe, remote
from tune.storage.home import Home
from tune.storage.places import Place, place_at
from tune.worker.objective import is_objective
from tune.wrappers import Fitted, as_fitted, as_request

STORAGE_VARIABLE = "AUDITION_STORAGE"


@dataclass
class Job:
    """A run as the user asked for it. `check` finds every mistake; the other methods make the parts of the run.

    `remarks` are what a user should hear of choices that were made for him, once. Trials before number
    `first_of_space` are of another search space, if the run has changed its own.
    """

    trainable: Any
    space: Space = field(default_factory=dict)
    tune: TuneConfig = field(default_factory=TuneConfig)
    run: RunConfig = field(default_factory=RunConfig)
    resources: Any = None

    def __post_init__(self) -> None:
        if mistakes := list(checks.of_kinds(self.tune, self.run)):
            raise InvalidArgumentError(mistakes)
        self.space = adopt_all(self.space)
        self.fitted: Fitted = as_fitted(self.trainable)
        self.metrics, self.modes = self._objectives()
        plain = f"{self.trainable_name}_{datetime.now().astimezone():%Y-%m-%d_%H-%M-%S}"
        self.name = plain if self.run.name is None else self.run.name
        self.remarks: list[str] = []
        self.picked: dict[str, str] = {}
        self._homes: dict[str, Home] = {}
        self.first_of_space = 0
        self.seed = int.from_bytes(os.urandom(4)) if self.tune.seed is None else self.tune.seed

    @property
    def trainable_name(self) -> str:
        """What to call the trainable."""
        name: str = getattr(self.fitted, "__name__", "trainable")
        return "lambda" if name == "<lambda>" else name

    @property
    def storage_path(self) -> str:
        """The directory or URL that holds experiments."""
        given = self.run.storage_path or os.environ.get(STORAGE_VARIABLE) or "results"
        return str(given).rstrip("/") if remote.is_url(given) else str(Path(given).expanduser().absolute())

    @property
    def home(self) -> Home:
        """Where the experiment is known to be, and where it is written; looked up once for each name."""
        address = f"{self.storage_path}/{self.name}"
        if self._homes.get(address) is None:
            self._homes = {address: Home.at(address)}
        return self._homes[address]

    @property
    def directory(self) -> Path:
        """The experiment's own directory on this machine."""
        return self.home.directory

    @property
    def place(self) -> Place:
        """Where its checkpoints are."""
        return place_at(self.home.address, durable=self.run.durability == "power")

    @property
    def outcome_constraints(self) -> tuple[OutcomeConstraint, ...]:
        """The constraints on outcomes, read."""
        return read_constraints(self.tune.outcome_constraints)

    def check(self) -> None:
        """Find every mistake that can be found before anything starts.

        Raises:
            InvalidArgumentError: lists them all.
        """
        policies = (self.tune.scheduler, self.tune.search_alg)
        named_elsewhere = any(getattr(policy, "metric", None) for policy in policies)
        mistakes = [
            *checks.of_objectives(self.metrics, self.modes, named_elsewhere=named_elsewhere),
            *checks.of_constraints(self.tune.outcome_constraints, self.metrics, named_elsewhere=named_elsewhere),
            *checks.of_trainable(self.fitted, self.trainable_name),
            *checks.of_parameters(self.fitted, self.trainable_name),
            *checks.of_search(self.tune),
            *checks.of_failures(self.run.failure_config),
            *checks.of_checkpoints(self.run.checkpoint_config),
            *checks.of_place(self.run, self.name),
            *checks.of_environment(self.run),
            *checks.of_resources(self.resources),
            *checks.of_gang(self.fitted, self.trainable_name, self.resources),
            *checks.of_space(self.space),
        ]
        if mistakes:
            raise InvalidArgumentError(mistakes)

    def policies(self) -> Policies:
        """Searcher, scheduler and stopper, bound to this run.

        Raises:
            InvalidArgumentError: lists what does not go together.
        """
        mistakes: list[str] = []
        searcher = checks.attempt(mistakes, self._searcher)
        if searcher is not None and self.tune.warm_start is not None:
            checks.attempt(mistakes, lambda: self._warm_up(searcher))
        if searcher is not None and not self.metrics:
            self.metrics, self.modes = searcher.context.metrics, searcher.context.modes
        scheduler = checks.attempt(mistakes, lambda: self._scheduler(searcher.total_trials if searcher else None))
        stopper = checks.attempt(mistakes, self.stopper)
        if searcher is not None and scheduler is not None:
            mistakes += checks.of_policies(searcher, scheduler)
        if mistakes:
            raise InvalidArgumentError(mistakes)
        assert scheduler is not None
        assert searcher is not None
        own: tuple[str | None, str | None] = getattr(scheduler, "metric", None), getattr(scheduler, "mode", None)
        if not self.metrics and own[0] and own[1]:
            self.metrics, self.modes = (own[0],), (own[1],)
        reasons = {"search": getattr(searcher, "why", None), "scheduler": getattr(scheduler, "why", None)}
        self.picked = {name: why for name, why in reasons.items() if isinstance(why, str)}
        if self.run.verbose:
            self.remarks += [f"{name}: {why}" for name, why in self.picked.items()]
        decisive = scheduler if not isinstance(scheduler, FIFOScheduler) else None
        constrained = tuple(dict.fromkeys(one.metric for one in self.outcome_constraints))
        time_attr = getattr(decisive, "time_attr", None)
        return Policies(scheduler, searcher, stopper, self.metrics, time_attr, constrained)

    def plan(self) -> Plan:
        """The settings that the machine decides by."""
        failure, keep, budget = self.run.failure_config, self.run.checkpoint_config, self.tune.time_budget_s
        return Plan(
            metrics=self.metrics,
            modes=self.modes,
            outcome_constraints=self.outcome_constraints,
            seed=self.seed,
            request=self.request(),
            max_concurrent=self.tune.max_concurrent_trials or None,
            max_failures=failure.max_failures,
            fail_fast=bool(failure.fail_fast),
            max_infra_failures=failure.max_infra_failures,
            report_timeout_s=failure.report_timeout_s,
            trial_timeout_s=failure.trial_timeout_s,
            start_timeout_s=failure.start_timeout_s,
            time_budget_s=budget.total_seconds() if isinstance(budget, timedelta) else budget,
            retention=Retention(
                keep.checkpoint_frequency,
                keep.checkpoint_at_end,
                keep.num_to_keep,
                keep.checkpoint_score_attribute,
                keep.checkpoint_score_order,
                keep.max_total_bytes,
            ),
        )

    def request(self) -> RequestRule:
        """What each trial needs: `resources_per_trial` before what `with_resources` says, one cpu by default."""
        if self.resources is not None:
            return as_request(self.resources)
        return self.fitted.request if self.fitted.request is not None else Request()

    def facts(self) -> dict[str, Any]:
        """What the experiment's directory says about itself, for readers and for `from_recipe`."""
        left_out = {"name", "storage_path", "executor", "callbacks"}
        return {
            "name": self.name,
            "created": time.time(),
            "metrics": list(self.metrics),
            "modes": list(self.modes),
            "outcome_constraints": [str(one) for one in self.outcome_constraints],
            "seed": self.seed,
            "picked": self.picked,
            "recipe": {
                "trainable": recipe.trainable_to_data(self.fitted.trainable),
                "parameters": data.encode(self.fitted.parameters),
                "space": data.encode(self.space),
                "tune": {each.name: data.encode(getattr(self.tune, each.name)) for each in fields(self.tune)},
                "run": {
                    each.name: data.encode(getattr(self.run, each.name))
                    for each in fields(self.run)
                    if each.name not in left_out
                },
                "resources": data.encode(self.resources if self.resources is not None else self.fitted.request),
            },
        }

    @classmethod
    def from_recipe(cls, home: Home, trainable: Any = None, amendments: Amendments | None = None) -> Job:
        """The job whose experiment is at `home`; `trainable` where the recipe cannot name it.

        What `amendments` gives takes the place of what the recipe has, and need not be in it.

        Raises:
            NotAnExperimentError: there is none.
            NotRebuildableError: names what the recipe could not keep.
        """
        with journal.reading(home.live) as connection:
            kept = journal.facts(connection)
            lived_s = journal.lived(connection)
        parts = dict(kept["recipe"])
        named = parts.pop("trainable")
        fitted = as_fitted(trainable if trainable is not None else recipe.trainable_from_data(named))
        if fitted.parameters:
            parts["parameters"] = {}
        amendments = amendments or Amendments()
        parts = amendments.without_replaced(parts)
        if lost := recipe.lost_parts(parts):
            raise NotRebuildableError(
                f"{home.address} cannot be resumed from its recipe alone, which could not keep:\n"
                + "\n".join(f"- {one}" for one in lost)
                + "\nResume from Python, giving them again: tune.run(train, ..., resume='PATH')"
            )
        try:
            made = data.decode(parts, code=True)
        except NotRebuildableError as error:
            raise NotRebuildableError(
                f"{home.address} cannot be resumed from its recipe alone: {error}."
                "\nOr resume from Python, giving another: tune.run(train, ..., resume='PATH')"
            ) from error
        if not fitted.parameters:
            fitted = replace(fitted, parameters=made["parameters"])
        tune = TuneConfig(**{**made["tune"], "seed": kept["seed"]})
        storage_path, _, name = home.address.rpartition("/")
        run = RunConfig(**made["run"], name=name, storage_path=storage_path or "/")
        return cls(fitted, *amendments.applied(made["space"], tune, run, made["resources"], lived_s))

    def _objectives(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        metrics, modes = _listed(self.tune.metric), _listed(self.tune.mode)
        if is_objective(self.fitted.trainable):
            return metrics or ("value",), modes or ("min",)
        return metrics, modes

    def _scheduler(self, total_trials: int | None) -> TrialScheduler:
        given = self.tune.scheduler
        scheduler = create_scheduler(given) if isinstance(given, str) else given or FIFOScheduler()
        if not isinstance(scheduler, TrialScheduler):
            raise TypeError(f"scheduler must be a TrialScheduler or its name, got {scheduler!r}")
        scheduler.bind(ScheduleContext(*self._compared(scheduler), self.seed, total_trials))
        return scheduler

    def _compared(self, scheduler: TrialScheduler) -> tuple[str | None, str | None]:
        """The metric that `scheduler` compares trials by, with its mode: its own among several, else the first."""
        known = dict(zip(self.metrics, self.modes, strict=False))
        own: str | None = getattr(scheduler, "metric", None)
        if own in known and len(known) > 1:
            return own, known[own]
        if len(known) > 1 and not isinstance(scheduler, FIFOScheduler):
            self.remarks.append(
                f"{type(scheduler).__name__} compares trials by one metric: by {self.metrics[0]}, the first of"
                f" {', '.join(self.metrics)}; make it with metric=... to have another"
            )
        return next(iter(known.items()), (None, None))

    def _searcher(self) -> Searcher:
        given = self.tune.search_alg
        searcher = create_searcher(given) if isinstance(given, str) else given or BasicVariantGenerator()
        if not isinstance(searcher, Searcher):
            raise TypeError(f"search_alg must be a Searcher or its name, got {searcher!r}")
        if isinstance(searcher, ConcurrencyLimiter) and self.tune.max_concurrent_trials:
            raise ValueError("max_concurrent_trials and a ConcurrencyLimiter exclude each other: give one of them")
        space = read_definition(self.space)
        searcher.bind(
            SearchContext(
                space.tree,
                self.metrics,
                self.modes,
                self.seed,
                self.tune.num_samples,
                constraints=space.constraints,
                define=space.define,
                outcome_constraints=self.outcome_constraints,
                first=self.first_of_space,
            )
        )
        return searcher

    def _warm_up(self, searcher: Searcher) -> None:
        """Tell `searcher` what is known, and keep that instead of where it was found."""
        asks = is_objective(self.fitted.trainable)
        known, remark = warm_start.read_known(self.tune.warm_start, searcher.context, asks=asks)
        self.remarks += [remark] if remark else []
        warm_start.tell(searcher, known)
        self.tune = replace(self.tune, warm_start=known)

    def stopper(self) -> Stopper | None:
        """The stop criteria, bound anew: told nothing yet."""
        return as_stopper(self.run.stop, modes=dict(zip(self.metrics, self.modes, strict=False)))


def _listed(value: str | Sequence[str] | None) -> tuple[str, ...]:
    return () if value is None else tuple(value) if isinstance(value, list | tuple) else (value,)  # type: ignore[return-value]
