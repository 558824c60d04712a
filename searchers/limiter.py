"""A limit on how many trials of a searcher run at a time."""

from __future__ import annotations

from typing import Any

from searchers.base import SearchContext, Searcher, Suggestion
from searchers.domain import Domain


class ConcurrencyLimiter(Searcher):
    """`searcher`, asked for nothing while `max_concurrent` of its trials are running; paused ones do not count.

    With `batch`, it is asked for `max_concurrent` trials at a time: the next ones wait until all of the last batch have
    ended, and `searcher` is told how they ended only then.
    """

    takes_constraints = takes_functions = True  # if `searcher` does: it is asked itself

    def __init__(self, searcher: Searcher, max_concurrent: int, batch: bool = False) -> None:
        if not isinstance(max_concurrent, int) or max_concurrent < 1:
            raise ValueError(f"max_concurrent must be 1 or more, not {max_concurrent!r}")
        self.searcher = searcher
        self.max_concurrent = max_concurrent
        self.batch = batch
        self._running: set[str] = set()
        self._ended: dict[str, tuple[dict[str, Any] | None, bool]] = {}

    def bind(self, context: SearchContext) -> None:
        self.searcher.bind(context)
        super().bind(self.searcher.context)  # which may have a space and metrics of its own

    @property
    def total_trials(self) -> int | None:
        return self.searcher.total_trials

    @property
    def is_slow(self) -> bool:
        return self.searcher.is_slow

    @property
    def learns(self) -> bool:
        return self.searcher.learns

    def on_ask(self, trial_id: str) -> None:
        self.searcher.on_ask(trial_id)

    def suggest(self, trial_id: str) -> Suggestion:
        taken = (self._running | self._ended.keys()) - {trial_id}
        if len(taken) >= self.max_concurrent:
            return None
        suggestion = self.searcher.suggest(trial_id)
        if isinstance(suggestion, dict):
            self._running.add(trial_id)
        return suggestion

    def suggest_parameter(self, trial_id: str, name: str, domain: Domain) -> Any:
        return self.searcher.suggest_parameter(trial_id, name, domain)

    def on_evaluated(self, trial_id: str, config: dict[str, Any], result: dict[str, Any]) -> None:
        self.searcher.on_evaluated(trial_id, config, result)

    def on_trial_add(self, trial_id: str, config: dict[str, Any]) -> None:
        self._running.add(trial_id)
        self.searcher.on_trial_add(trial_id, config)

    def on_trial_start(self, trial_id: str) -> None:
        self._running.add(trial_id)
        self.searcher.on_trial_start(trial_id)

    def on_trial_pause(self, trial_id: str) -> None:
        self._running.discard(trial_id)
        self.searcher.on_trial_pause(trial_id)
        self._end_batch()

    def on_parameter(self, trial_id: str, name: str, domain: Domain, value: Any) -> None:
        self.searcher.on_parameter(trial_id, name, domain, value)

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        self.searcher.on_trial_result(trial_id, result)

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        self._running.discard(trial_id)
        if not self.batch:
            self.searcher.on_trial_complete(trial_id, result, error)
            return
        self._ended[trial_id] = result, error
        self._end_batch()

    def _end_batch(self) -> None:
        """Tell how the trials of a batch ended, once none of them runs."""
        if self._running:
            return
        for ended, (last, failed) in self._ended.items():
            self.searcher.on_trial_complete(ended, last, failed)
        self._ended.clear()
