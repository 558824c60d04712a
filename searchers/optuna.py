"""Optuna's samplers over our spaces: the tree-structured Parzen estimator (TPE) unless another is named.

TPE: Bergstra, Bardenet, Bengio and Kégl, Algorithms for Hyper-Parameter Optimization, NeurIPS 2011. Sampling all
parameters jointly: Falkner, Klein and Hutter, BOHB, ICML 2018. What each part does: Watanabe, arXiv 2304.11127, 2023.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from functools import partial
from importlib.util import find_spec
from random import Random
from typing import TYPE_CHECKING, Any

from searchers.base import SearchContext, Searcher, Suggestion, trial_number
from searchers.choices import Choice, holds_domain
from searchers.constraints import is_allowed, mistakes_in_points
from searchers.define import DefineByRun, DrawnTrial, ask_all
from searchers.domain import Domain
from searchers.foreign import adopt
from searchers.objectives import Names, agree_on_objectives, finite_values, refuse_several, refuse_unconstrained
from searchers.outcomes import excesses_of
from searchers.pending import Pending
from searchers.points import merged, read_points
from searchers.resolution import NOTHING, draw, resolve_with
from searchers.seen import Seen
from searchers.space import grid_axes, validate_space, walk

if TYPE_CHECKING:  # importing Optuna takes 150 ms: that is left until a searcher is bound
    import optuna
    from optuna.samplers import BaseSampler

    from searchers.optuna_history import History, Notes
    from searchers.optuna_space import Parameter

logger = logging.getLogger(__name__)

_REDRAWS = 2

SAMPLERS = ("tpe", "random", "gp", "cmaes", "nsgaii", "nsgaiii", "qmc")

_BLIND = ("random", "qmc")
"""Samplers that look at no result."""

_MODEL_DRAWS = 20
"""How often the sampler is asked for a configuration that the constraints allow, before one is drawn at random."""


class OptunaSearch(Searcher):
    """Suggestions of an Optuna sampler that has seen every trial told.

    A suggestion depends on the space, the seed, the trial's id and the history told, and on nothing else: the sampler
    is taken as it was made and seeded anew each time. That holds for Optuna's samplers, whose state is their random
    generators and notes in the study; one of your own that hides other state is not exact after a resume.

    How a trial ended counts so. A value, also of a trial stopped early, is told as complete: Optuna's PRUNED would rank
    below every finished trial however good its value, and the last value says more. A trial without a finite value has
    failed and is overlooked: it neither attracts nor repels. A running trial repels (TPE's constant liar), so that
    parallel trials spread out. One that was paused counts with its last value, as one that ended, until it says more:
    under a scheduler that promotes, most never do. What breaks an outcome constraint ranks below what keeps all of
    them, by how far it does in all, each in units of its bound.

    Choices that hold parameters of their own are told to Optuna as a conditional space. `sample_from` has no
    counterpart there: what it returns is not learned from. Normal distributions are told as the place of the value in
    [0, 1], and `qloguniform` and `qlograndint` are sampled on the logarithmic scale, then rounded.

    A suggestion that breaks a constraint is made again with another seed, at most 20 times; then it is drawn at random.

    Args:
        space: The search space, when the run's configuration holds none: a dict with domains, or a define-by-run
            function of an Optuna trial, which may return a dict of constants.
        metric: What to optimise, when the run does not say; several names for several objectives.
        mode: ``min`` or ``max``, one for each metric.
        points_to_evaluate: Configurations to try first; the sampler completes partial ones.
        sampler: An Optuna sampler, or its name: tpe, random, gp, cmaes, nsgaii, nsgaiii, qmc.
        seed: In place of the run's seed.
        evaluated_rewards: The values of `points_to_evaluate`, when they are known: they are then learned from and not
            tried. One number each, or one for each metric.
        skip_duplicate: Whether a configuration of a finite space that was tried is proposed anew, a few times, and then
            replaced by one near it that was not; the search ends when each was tried.
        fixed: Values that some parameters have in every trial, nested as the space is: the sampler searches the others.
            Optuna's ``PartialFixedSampler`` does the same, by the parameters' paths, and choices by their index.
    """

    takes_constraints = takes_functions = True

    def __init__(
        self,
        space: Mapping[str, Any] | DefineByRun | None = None,
        *,
        metric: Names = None,
        mode: Names = None,
        points_to_evaluate: Sequence[Mapping[str, Any]] | None = None,
        sampler: BaseSampler | str | None = None,
        seed: int | None = None,
        evaluated_rewards: Sequence[float | Sequence[float]] | None = None,
        skip_duplicate: bool = True,
        fixed: Mapping[str, Any] | None = None,
    ) -> None:
        self.space = space
        self.metric, self.mode = metric, mode
        self.points_to_evaluate = list(points_to_evaluate or ())
        self.sampler = sampler
        self.seed = seed
        self.evaluated_rewards = list(evaluated_rewards or ())
        self.skip_duplicate = skip_duplicate
        self.fixed = dict(fixed or {})
        _check_sampler(sampler)
        _check_packages(sampler)
        if self.evaluated_rewards and len(self.evaluated_rewards) != len(self.points_to_evaluate):
            counts = f"{len(self.evaluated_rewards)} for {len(self.points_to_evaluate)}"
            raise ValueError(f"evaluated_rewards must give one value for each of points_to_evaluate, not {counts}")
        self._notes: dict[str, Notes] = {}
        self._known_at_start: dict[str, History] = {}
        self._last: dict[str, Mapping[str, Any]] = {}

    def bind(self, context: SearchContext) -> None:
        from searchers.optuna_history import History, make_sampler

        metrics, modes = agree_on_objectives(context, self.metric, self.mode)
        if self.sampler == "cmaes" or type(self.sampler).__name__ == "CmaEsSampler":
            refuse_several("Optuna's CMA-ES", context, metrics)
        space, self._define = _search_space(self.space, context)
        seed = context.seed if self.seed is None else self.seed
        super().bind(replace(context, space=space, metrics=metrics, modes=modes, seed=seed))
        space = self.context.space
        # Without domains the parameters are asked for one by one: by the function, or by the running trials.
        self._is_define_by_run = not holds_domain(dict(space))
        varying = self._is_define_by_run or _is_conditional(space)
        sampler = make_sampler(self.sampler, objectives=len(modes), varying=varying, seed=self._seed())
        self._history: History = History(modes, sampler)
        self._points = self._read_points()
        self._fixed = self.fixed if self._is_define_by_run else _read_fixed(space, self.fixed)
        # Whose parameters are asked for one by one has no space that could be counted; what is fixed leaves gaps in it.
        counted = space if self.skip_duplicate and not self._is_define_by_run and not self._fixed else {}
        self._seen = Seen(counted, partial(is_allowed, self.context.constraints))
        self._pending = Pending()
        self._learn_evaluated()

    def suggest(self, trial_id: str) -> Suggestion:
        point = self._point(trial_id)
        if point:  # a configuration that was asked for
            return self._propose(trial_id, point)

        def propose(attempt: int) -> dict[str, Any]:
            return self._propose(trial_id, NOTHING, *(["again", str(attempt)] if attempt else []))

        return self._seen.untried(propose, self.rng(trial_id, "near"), redraws=_REDRAWS)

    def _propose(self, trial_id: str, point: Mapping[str, Any], *names: str) -> dict[str, Any]:
        """What the sampler suggests, by random numbers that are this trial's and those of `names`."""
        trial, config = self._ask_anew(trial_id, point, *names)
        attempt = 1
        while not is_allowed(self.context.constraints, config):
            if attempt == _MODEL_DRAWS:
                config = self.draw_allowed(partial(self._draw, point), trial_id, *names, "random")
                break
            trial, config = self._ask_anew(trial_id, point, *names, "redraw", str(attempt))
            attempt += 1
        if self._history.keeps_notes:
            _ = trial.relative_params  # drawn now, if no parameter was asked for: the notes are made meanwhile
            self._notes[trial_id] = self._history.notes_of(trial)
        return config

    def _ask_anew(self, trial_id: str, point: Mapping[str, Any], *names: str) -> tuple[optuna.Trial, dict[str, Any]]:
        trial = self._history.draft(self._seed(trial_id, *names), fixed=point if self._define else None)
        return trial, self._ask(trial, self.rng(trial_id, *names), point)

    def _ask(self, trial: optuna.Trial, rng: Random, point: Mapping[str, Any]) -> dict[str, Any]:
        """The configuration that the sampler suggests for `trial`."""
        if self._define is not None:
            constants = resolve_with(self.context.space, partial(draw, rng), rng, NOTHING)
            return {**constants, **ask_all(self._define, trial)}
        fixed = NOTHING if self._is_define_by_run else point
        return resolve_with(self.context.space, partial(_draw_by, trial, rng), rng, fixed)

    def _draw(self, point: Mapping[str, Any], rng: Random) -> dict[str, Any]:
        """A configuration at random."""
        draw_at = partial(draw, rng)
        if self._define is not None:
            constants = resolve_with(self.context.space, draw_at, rng, NOTHING)
            return {**constants, **ask_all(self._define, DrawnTrial(draw_at, rng, point))}
        return resolve_with(self.context.space, draw_at, rng, NOTHING if self._is_define_by_run else point)

    def suggest_parameter(self, trial_id: str, name: str, domain: Domain) -> Any:
        from searchers.optuna_history import reseed

        point = self._point(trial_id)
        if name in point:
            if not domain.contains(point[name]):
                index = trial_number(trial_id)
                raise ValueError(f"points_to_evaluate[{index}]: {name} = {point[name]!r} is not in {domain}")
            return domain.cast(point[name])
        given = self._history.parameters(trial_id) if trial_id in self._history else ()
        trial = self._known_at_start.get(trial_id, self._history).draft(self._seed(trial_id), given)
        # All parameters of a trial come from one joint draw, the same each time it is made again here. What is not in
        # it is drawn alone, from a generator of its own: else every such parameter would get the same random number.
        _ = trial.relative_params
        reseed(trial.study.sampler, self._seed(trial_id, name))
        rng = self.rng(trial_id, name)
        return resolve_with({name: domain}, partial(_draw_by, trial, rng), rng, NOTHING)[name]

    @property
    def is_slow(self) -> bool:
        return True

    @property
    def learns(self) -> bool:
        return not isinstance(self.sampler, str) or self.sampler not in _BLIND

    def on_ask(self, trial_id: str) -> None:
        if self._history.keeps_notes:
            self.suggest(trial_id)

    def on_evaluated(self, trial_id: str, config: dict[str, Any], result: dict[str, Any]) -> None:
        if self._is_define_by_run and self._define is None:
            asked = {name: value for name, value in config.items() if name not in self.context.space}
            self._pending.add(trial_id, asked, result)
            return
        try:
            self._history.add(trial_id, self._parameters(config))
        except ValueError as error:
            logger.warning("a known result is outside the search space, the sampler will overlook it: %s", error)
            return
        self._seen.add(config)
        self.on_trial_complete(trial_id, result)

    def on_trial_add(self, trial_id: str, config: dict[str, Any]) -> None:
        if trial_id in self._history:
            self._history.reopen(trial_id)
            return
        try:
            parameters = self._parameters(config)
        except ValueError as error:
            logger.warning("trial %s is outside the search space, the sampler will overlook it: %s", trial_id, error)
            return
        notes = self._notes_on(trial_id)
        self._seen.add(config)
        if self._is_define_by_run and self._define is None:
            self._known_at_start[trial_id] = self._history.copy()
        self._history.add(trial_id, parameters, notes)

    def on_parameter(self, trial_id: str, name: str, domain: Domain, value: Any) -> None:
        from searchers.optuna_space import parameters_of_value

        for known in self._pending.asked(name, domain):
            placed = [parameters_of_value(each, own, given) for each, (own, given) in known.parameters.items()]
            self._history.add(known.known_id, [parameter for each in placed for parameter in each])
            self.on_trial_complete(known.known_id, known.result)
        if trial_id not in self._history:
            return
        try:
            self._history.extend(trial_id, parameters_of_value(name, domain, value))
        except ValueError as error:
            logger.warning("trial %s: the sampler will overlook a parameter: %s", trial_id, error)

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        if trial_id in self._history:
            self._last[trial_id] = result

    def on_trial_pause(self, trial_id: str) -> None:
        values, excesses = self._outcome(self._last.get(trial_id, {}))
        if trial_id in self._history and values is not None:
            self._history.complete_for_now(trial_id, values, excesses)

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        self._last.pop(trial_id, None)
        self._known_at_start.pop(trial_id, None)
        if trial_id in self._history:
            self._history.complete(trial_id, *self._outcome({} if error or result is None else result))

    def _outcome(self, result: Mapping[str, Any]) -> tuple[list[float] | None, dict[str, float]]:
        """The values that Optuna is told, None unless all are known, and how far the constraints are exceeded."""
        values, constraints = finite_values(result, self.context.metrics), self.context.outcome_constraints
        if (excesses := excesses_of(constraints, result)) is None:
            return None, {}
        return values, {str(one): excess for one, excess in zip(constraints, excesses, strict=True)}

    def _read_points(self) -> Sequence[Mapping[str, Any]]:
        if self._is_define_by_run:
            return self.points_to_evaluate
        points = read_points(self.context.space, self.points_to_evaluate)
        if mistakes := list(mistakes_in_points(self.context.constraints, self.context.space, points)):
            raise ValueError("; ".join(mistakes))
        return points

    def _seed(self, *names: str) -> int:
        return self.rng("optuna", *names).getrandbits(32)

    def _point(self, trial_id: str) -> Mapping[str, Any]:
        if not self._points or self.evaluated_rewards:
            return self._fixed
        number = trial_number(trial_id)
        return merged(self._fixed, self._points[number]) if number < len(self._points) else self._fixed

    def _parameters(self, config: Mapping[str, Any]) -> list[Parameter]:
        """What the sampler is told of `config`."""
        from searchers.optuna_space import parameters_asked_by, parameters_of

        if self._define is not None:
            return parameters_asked_by(self._define, config)
        return parameters_of(self.context.space, config)

    def _notes_on(self, trial_id: str) -> Notes | None:
        """What the sampler wrote down when it suggested this trial. After a resume it is asked again, for that."""
        if not self._history.keeps_notes:
            return None
        if trial_id not in self._notes:
            self.suggest(trial_id)
        return self._notes.pop(trial_id, None)

    def _learn_evaluated(self) -> None:
        if self.evaluated_rewards:
            refuse_unconstrained(self.context)
        for index, (point, rewards) in enumerate(zip(self._points, self.evaluated_rewards, strict=False)):
            rewarded = dict(
                zip(self.context.metrics, rewards if isinstance(rewards, Sequence) else [rewards], strict=False)
            )
            values = finite_values(rewarded, self.context.metrics)
            if values is None:
                raise ValueError(f"evaluated_rewards[{index}] must be a finite number for each metric, not {rewards!r}")
            if self._is_define_by_run and self._define is None:
                self.on_evaluated(f"evaluated/{index}", dict(point), rewarded)
                continue
            try:
                parameters = self._parameters(point)
            except ValueError as error:
                raise ValueError(
                    f"points_to_evaluate[{index}] was evaluated, so it must be complete: {error}"
                ) from None
            self._seen.add(point)
            self._history.add(f"evaluated/{index}", parameters)
            self._history.complete(f"evaluated/{index}", values)


def _read_fixed(space: Mapping[str, Any], fixed: Mapping[str, Any]) -> dict[str, Any]:
    try:
        return read_points(space, [fixed])[0]
    except ValueError as error:
        raise ValueError(str(error).replace("points_to_evaluate[0]", "fixed", 1)) from None


def _draw_by(trial: optuna.Trial, rng: Random, path: str, domain: Domain) -> Any:
    from searchers.optuna_space import distribution_of, suggest

    distribution = distribution_of(domain)
    return draw(rng, path, domain) if distribution is None else suggest(trial, path, domain, distribution)


_NEEDS = {"gp": ("torch", "scipy"), "cmaes": ("cmaes",), "qmc": ("scipy",)}


def _check_packages(sampler: Any) -> None:
    """Refuse a sampler by name whose packages are missing now, rather than after a few trials."""
    missing = [name for name in _NEEDS.get(sampler, ()) if find_spec(name) is None] if isinstance(sampler, str) else []
    if missing:
        raise ValueError(f"sampler {sampler!r} needs {' and '.join(missing)}: pip install {' '.join(missing)}")


def _check_sampler(sampler: Any) -> None:
    if isinstance(sampler, str) and sampler not in SAMPLERS:
        nearest = get_close_matches(sampler, SAMPLERS, n=1)
        hint = f"did you mean {nearest[0]!r}?" if nearest else f"known are {', '.join(SAMPLERS)}"
        raise ValueError(f"Optuna has no sampler {sampler!r}; {hint}")
    if type(sampler).__name__ in ("GridSampler", "BruteForceSampler"):
        raise ValueError(
            f"{type(sampler).__name__} ends a study by itself: use GridSearch with grid_search([...]) axes"
        )


def _search_space(own: Any, context: SearchContext) -> tuple[Mapping[str, Any], DefineByRun | None]:
    """The space to search, and the define-by-run function if there is one."""
    given = context.space
    if own is not None and not isinstance(own, Mapping) and not callable(own):
        raise ValueError(f"space must be a dict with domains or a function of an Optuna trial, not {own!r}")
    if own is not None and (context.define is not None or holds_domain(dict(given))):
        raise ValueError("a search space was given to OptunaSearch and to the run; give it once")
    space = {**given, **adopt(own)} if isinstance(own, Mapping) else given
    if axes := ", ".join(grid_axes(space)):
        raise ValueError(
            f"OptunaSearch lays out no grid, but {axes} is a grid_search; use choice, or BasicVariantGenerator"
        )
    if mistakes := validate_space(space):
        raise ValueError("; ".join(mistakes))
    return space, own if callable(own) else context.define


def _is_conditional(space: Mapping[str, Any]) -> bool:
    return any(isinstance(node, Choice) and holds_domain(node.options) for _, node in walk(space))
