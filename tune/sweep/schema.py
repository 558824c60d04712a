"""The keys of a sweep file: the space and the metric as W&B's sweeps have them, the rest named as in `tune.run`."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, WrapValidator

from searchers.constraints import Constraint
from tune.sweep.mutations import Varying
from tune.sweep.overrides import SHORT_FORMS
from tune.sweep.parameters import Parameter
from tune.sweep.section import Number, Section, refuse
from tune.sweep.stopping import checked

GOALS = {"maximize": "max", "minimize": "min", "max": "max", "min": "min"}


class Goal(Section):
    """A metric and where it shall go; `goal` is ``maximize`` or ``minimize``."""

    name: str
    goal: Literal["maximize", "minimize", "max", "min"] | None = None

    @property
    def mode(self) -> str | None:
        """The goal as `tune.run` calls it."""
        return GOALS[self.goal] if self.goal else None


class Policy(Section, extra="allow"):
    """A searcher or a scheduler: the name of its kind, and that kind's own arguments beside it."""

    type: str


class Scheduling(Policy):
    """A scheduler, with what some of them vary while trials train."""

    hyperparam_mutations: Varying | None = None
    hyperparam_bounds: Varying | None = None

    def arguments(self) -> dict[str, Any]:
        """The type and the arguments that are given, as the scheduler's constructor takes them."""
        given = {key: value for key, value in self if key in self.model_fields_set}
        return {key: value.node() if isinstance(value, Varying) else value for key, value in given.items()}


VARIED = frozenset(Scheduling.model_fields) - frozenset(Policy.model_fields)
"""The arguments in which domains may stand."""


class Checkpointing(Section):
    """When checkpoints are saved and which are kept: `tune.CheckpointConfig` under shorter names."""

    num_to_keep: Annotated[int, Field(ge=0)] | None = 2
    max_total_bytes: Annotated[int, Field(ge=1)] | None = None
    asynchronous: bool = False
    frequency: Annotated[int, Field(ge=0)] = 1
    at_end: bool = False
    score_attribute: str | None = None
    score_order: Literal["max", "min"] = "max"


class EarlyTerminate(Section):
    """W&B's early termination, which is ASHA that never ends a trial at the last rung."""

    type: Literal["hyperband"]
    min_iter: Annotated[int, Field(ge=1)] | None = None
    max_iter: Annotated[int, Field(ge=1)] | None = None
    s: Annotated[int, Field(ge=1)] | None = None
    eta: Annotated[Number, Field(gt=1)] = 3


def _from_word(key: str) -> BeforeValidator:
    return BeforeValidator(lambda given: {key: given} if isinstance(given, str) else given)


def _goals(given: Any) -> Any:
    goals = given if isinstance(given, list) else [given]
    return [{"name": one} if isinstance(one, str) else one for one in goals]


def _listed(given: Any) -> Any:
    return given if isinstance(given, list) else [given]


def _count(number: int) -> int:
    if number < 1 and number != -1:
        refuse(f"must be at least 1, or -1 to go on without end, got {number}")
    return number


def _fast(given: Any) -> Any:
    if given not in (True, False, "raise"):
        refuse(f"expected true, false or raise, got {given!r}")
    return given


def _condition(text: str) -> str:
    try:
        Constraint(text)
    except ValueError as error:
        refuse(str(error))
    return text


class SweepFile(Section):
    """All that a sweep file may say."""

    name: str | None = None
    trainable: str
    metric: Annotated[list[Goal], BeforeValidator(_goals)] = Field(default_factory=list)
    mode: Annotated[list[Literal["max", "min"]], BeforeValidator(_listed)] = Field(default_factory=list)
    outcome_constraints: Annotated[list[str], BeforeValidator(_listed)] = Field(default_factory=list)
    parameters: dict[str, Parameter] = Field(default_factory=dict)
    constraints: list[Annotated[str, AfterValidator(_condition)]] = Field(default_factory=list)
    searcher: Annotated[Policy, _from_word(SHORT_FORMS["searcher"])] | None = None
    scheduler: Annotated[Scheduling, _from_word(SHORT_FORMS["scheduler"])] | None = None
    warm_start: str | None = None
    num_samples: Annotated[int, AfterValidator(_count)] | None = None
    max_concurrent_trials: Annotated[int, Field(ge=0)] | None = None
    resources_per_trial: dict[str, Any] | None = None
    stop: Annotated[dict[str, Number], WrapValidator(checked)] = Field(default_factory=dict)
    time_budget_s: Annotated[Number, Field(gt=0)] | None = None
    max_failures: Annotated[int, Field(ge=-1)] = 0
    fail_fast: Annotated[Any, BeforeValidator(_fast)] = False
    max_infra_failures: Annotated[int, Field(ge=-1)] = 10
    report_timeout_s: Annotated[float, Field(gt=0)] | None = None
    trial_timeout_s: Annotated[float, Field(gt=0)] | None = None
    start_timeout_s: Annotated[float, Field(gt=0)] | None = None
    seed: int | None = None
    storage_path: str | None = None
    checkpoint: Checkpointing = Checkpointing()
    reuse_actors: bool = False
    verbose: Annotated[int, Field(ge=0)] = 1
    log_to_file: bool = True
    durability: Literal["process", "power"] = "process"
    executor: str = "local"
    runtime_env: dict[str, Any] | None = None

    # What W&B's sweep files say in other words.
    method: Literal["random", "grid", "bayes"] | None = None
    run_cap: Annotated[int, Field(ge=1)] | None = None
    early_terminate: EarlyTerminate | None = None


REFUSED = {
    "program": "scripts that read their arguments are not run: make the script a function of its configuration and give"
    " trainable: FILE.py:FUNCTION",
    "command": "commands are not run yet: give a Python function, trainable: FILE.py:FUNCTION",
    "project": "experiments lie in storage_path; leave it out",
    "entity": "experiments lie in storage_path; leave it out",
}
"""Keys that other sweep files have and ours does not, and why."""
