"""What the model-based searchers of our own share: an encoded history, given points first, nothing run twice."""

from __future__ import annotations

import logging
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from random import Random
from typing import TYPE_CHECKING, Any

from searchers.base import FINISHED, SearchContext, Searcher, Suggestion, trial_number
from searchers.blas import one_thread
from searchers.choices import holds_domain
from searchers.constraints import is_allowed, mistakes_in_points
from searchers.foreign import adopt
from searchers.objectives import Names, agree_on_objectives, finite_values, refuse_unconstrained
from searchers.outcomes import excesses_of
from searchers.points import read_points
from searchers.resolution import resolve
from searchers.seen import Seen
from searchers.space import grid_axes, validate_space

if TYPE_CHECKING:  # numpy is imported when a searcher is bound
    from numpy.random import Generator

    from searchers.encoding import Encoding, Vector
    from searchers.observations import Array, Observations

logger = logging.getLogger(__name__)

_REDRAWS = 2


class ModelSearch(Searcher):
    """A searcher that learns from an encoded history; a subclass says where to look next.

    How a trial ended counts so: by its last value, also when it was stopped early; not at all when it failed or has no
    finite value. One that is paused counts with the value that it had then, for good: those that a scheduler promotes
    are few, and all are compared alike. What breaks a constraint on outcomes teaches where not to look, and is never
    among the best while anything keeps them; without the constraint's metric a result is not learned from.

    In a finite space no configuration is suggested that was run before, failed ones included, unless `skip_duplicate`
    is False; when all have been, the search is finished. A space is finite when all its parameters are on a grid or
    chosen from a list, and no `sample_from` function is in it. What breaks a constraint is not suggested.

    Args:
        space: The search space, when the run's configuration holds none.
        metric: What to optimise, when the run does not say.
        mode: ``min`` or ``max``, one for each metric.
        points_to_evaluate: Configurations to try first; partial ones are completed at random.
        seed: In place of the run's seed.
        evaluated_rewards: The values of `points_to_evaluate`, when they are known: they are then learned from and not
            tried. One number each, or one for each metric.
        skip_duplicate: Whether no configuration of a finite space is run twice.
    """

    observations: Observations
    encoding: Encoding
    needs_metric = True
    takes_constraints = True

    def __init__(
        self,
        space: Mapping[str, Any] | None = None,
        *,
        metric: Names = None,
        mode: Names = None,
        points_to_evaluate: Sequence[Mapping[str, Any]] | None = None,
        seed: int | None = None,
        evaluated_rewards: Sequence[float | Sequence[float]] | None = None,
        skip_duplicate: bool = True,
    ) -> None:
        self.space = space
        self.metric, self.mode = metric, mode
        self.points_to_evaluate = list(points_to_evaluate or ())
        self.seed = seed
        self.evaluated_rewards = list(evaluated_rewards or ())
        self.skip_duplicate = skip_duplicate
        if self.evaluated_rewards and len(self.evaluated_rewards) != len(self.points_to_evaluate):
            counts = f"{len(self.evaluated_rewards)} for {len(self.points_to_evaluate)}"
            raise ValueError(f"evaluated_rewards must give one value for each of points_to_evaluate, not {counts}")
        self._last: dict[str, dict[str, Any]] = {}

    @abstractmethod
    def propose(self, generator: Generator, trial_id: str) -> Array:
        """Where to look next: one point a row, in the unit cube, the most promising first.

        A function of `self.observations`, the trial's number and of what `generator` gives. The columns of parameters
        that do not exist are not looked at.
        """

    def bind(self, context: SearchContext) -> None:
        from searchers.encoding import Encoding
        from searchers.observations import Observations

        metrics, modes = self._objectives(context)
        space = self._agreed_space(context.space)
        seed = context.seed if self.seed is None else self.seed
        super().bind(replace(context, space=space, metrics=metrics, modes=modes, seed=seed))
        space = self.context.space
        self.encoding = Encoding(space)
        if not self.encoding.columns:
            raise ValueError(
                f"{type(self).__name__} has nothing to search: the configuration holds no domain, as uniform(0, 1) is; "
                "an objective that asks for its parameters one by one needs OptunaSearch, in short 'optuna'"
            )
        allowed = partial(is_allowed, self.context.constraints)
        self._seen = Seen(space if self.skip_duplicate else {}, allowed)
        self._signs = [1.0 if mode == "min" else -1.0 for mode in modes]
        self.observations = Observations(len(self.encoding.columns), len(modes), len(context.outcome_constraints))
        self._points = read_points(space, self.points_to_evaluate)
        if mistakes := list(mistakes_in_points(self.context.constraints, space, self._points)):
            raise ValueError("; ".join(mistakes))
        self._learn_evaluated()

    def suggest(self, trial_id: str) -> Suggestion:
        rng, number = self.rng(trial_id), trial_number(trial_id)
        if number < len(self._points) and not self.evaluated_rewards:
            return self.draw_allowed(partial(self._completed, self._points[number]), trial_id)
        if self._seen.exhausted:
            return FINISHED
        with one_thread():
            candidates = self.propose(self.generator(trial_id), trial_id)
        for units in candidates:
            config = self.encoding.decode(units, rng)
            if self._seen.admits(config):
                return config
        return self._elsewhere(trial_id)

    @property
    def is_slow(self) -> bool:
        return True

    @property
    def learns(self) -> bool:
        return True

    def generator(self, *names: str) -> Generator:
        """A numpy generator that depends on nothing but the seed and `names`."""
        import numpy

        return numpy.random.Generator(numpy.random.PCG64(self.rng("numpy", *names).getrandbits(128)))

    def on_trial_add(self, trial_id: str, config: dict[str, Any]) -> None:
        if self.observations.is_running(trial_id):
            return
        try:
            units = self.encoding.encode(config)
        except ValueError as error:
            logger.warning("trial %s is outside the search space and will not be learned from: %s", trial_id, error)
            return
        self._add(trial_id, units, config)

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        self._last[trial_id] = result

    def on_trial_pause(self, trial_id: str) -> None:
        if trial_id in self._last:
            self._end(trial_id, self._last[trial_id])

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        self._last.pop(trial_id, None)
        self._end(trial_id, None if error else result)

    def _end(self, trial_id: str, result: Mapping[str, Any] | None) -> None:
        if trial_id in self.observations:
            self.observations.complete(trial_id, *self.outcome(result or {}))

    def outcome(self, result: Mapping[str, Any]) -> tuple[list[float] | None, list[float]]:
        """The losses in `result`, and how far it exceeds each constraint; None and none unless all are known."""
        values = finite_values(result, self.context.metrics)
        excesses = excesses_of(self.context.outcome_constraints, result)
        if values is None or excesses is None:
            return None, []
        return [sign * value for sign, value in zip(self._signs, values, strict=True)], excesses

    def _add(self, trial_id: str, units: Vector, config: Mapping[str, Any]) -> None:
        self.observations.add(trial_id, units)
        self._seen.add(config)

    def _objectives(self, context: SearchContext) -> tuple[tuple[str, ...], tuple[str, ...]]:
        if not self.needs_metric and self.metric is None:
            return context.metrics, context.modes
        return agree_on_objectives(context, self.metric, self.mode)

    def _agreed_space(self, given: Mapping[str, Any]) -> Mapping[str, Any]:
        if self.space is not None and not isinstance(self.space, Mapping):
            raise ValueError(f"space must be a dict with domains, not {self.space!r}")
        if self.space is not None and holds_domain(dict(given)):
            raise ValueError(f"a search space was given to {type(self).__name__} and to the run; give it once")
        space = {**given, **adopt(self.space or {})}
        if axes := ", ".join(grid_axes(space)):
            raise ValueError(
                f"{type(self).__name__} lays out no grid, but {axes} is a grid_search; use choice, or "
                "BasicVariantGenerator"
            )
        if mistakes := validate_space(space):
            raise ValueError("; ".join(mistakes))
        return space

    def _elsewhere(self, trial_id: str) -> Suggestion:
        """A configuration at random that may be tried; in a finite space one near it where it was tried before."""

        def at_random(attempt: int) -> dict[str, Any]:
            return self.draw_allowed(partial(self._completed, {}), trial_id, "elsewhere", str(attempt))

        return self._seen.untried(at_random, self.rng(trial_id, "near"), redraws=_REDRAWS)

    def _completed(self, point: Mapping[str, Any], rng: Random) -> dict[str, Any]:
        """`point` with everything that it lacks drawn at random."""
        return resolve(self.context.space, rng, point)

    def _learn_evaluated(self) -> None:
        if self.evaluated_rewards:
            refuse_unconstrained(self.context)
        for index, (point, rewards) in enumerate(zip(self._points, self.evaluated_rewards, strict=False)):
            rewarded = dict(
                zip(self.context.metrics, rewards if isinstance(rewards, Sequence) else [rewards], strict=False)
            )
            losses, _ = self.outcome(rewarded)
            if losses is None:
                raise ValueError(f"evaluated_rewards[{index}] must be a finite number for each metric, not {rewards!r}")
            try:
                units = self.encoding.encode(point)
            except ValueError as error:
                raise ValueError(
                    f"points_to_evaluate[{index}] was evaluated, so it must be complete: {error}"
                ) from None
            self._add(f"evaluated/{index}", units, point)
            self.observations.complete(f"evaluated/{index}", losses)
