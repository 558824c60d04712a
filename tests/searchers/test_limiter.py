"""A limit on the trials of a searcher."""

from typing import Any

import pytest

from searchers import FINISHED, ConcurrencyLimiter, RandomSearch, SearchContext, Searcher, Suggestion, uniform


class Listener(Searcher):
    """Suggests three trials and writes down what it is told."""

    def __init__(self) -> None:
        self.told: list[Any] = []

    def suggest(self, trial_id: str) -> Suggestion:
        return FINISHED if trial_id == "t3" else {"id": trial_id}

    def suggest_parameter(self, trial_id: str, name: str, domain: Any) -> Any:
        return f"{trial_id}/{name}"

    def on_trial_add(self, trial_id: str, config: dict[str, Any]) -> None:
        self.told.append(("add", trial_id))

    def on_parameter(self, trial_id: str, name: str, domain: Any, value: Any) -> None:
        self.told.append(("parameter", trial_id, value))

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        self.told.append(("result", trial_id))

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        self.told.append(("complete", trial_id, result, error))


def limited(max_concurrent: int, batch: bool = False) -> tuple[ConcurrencyLimiter, Listener]:
    listener = Listener()
    limiter = ConcurrencyLimiter(listener, max_concurrent, batch)
    limiter.bind(SearchContext({"x": uniform(0, 1)}, num_samples=3))
    return limiter, listener


def test_the_next_trial_waits_until_one_has_ended() -> None:
    limiter, _ = limited(1)
    assert limiter.suggest("t0") == {"id": "t0"}
    assert limiter.suggest("t1") is None
    limiter.on_trial_add("t0", {})
    assert limiter.suggest("t1") is None
    limiter.on_trial_complete("t0", {"loss": 1})
    assert limiter.suggest("t1") == {"id": "t1"}


def test_asking_again_for_the_same_trial_is_no_second_trial() -> None:
    limiter, _ = limited(1)
    assert limiter.suggest("t0") == limiter.suggest("t0") == {"id": "t0"}


def test_the_end_passes_through_and_takes_no_place() -> None:
    limiter, _ = limited(1)
    assert limiter.suggest("t3") is FINISHED
    assert limiter.suggest("t0") == {"id": "t0"}


def test_everything_is_passed_on() -> None:
    limiter, listener = limited(2)
    limiter.on_trial_add("t0", {})
    assert limiter.suggest_parameter("t0", "x", uniform(0, 1)) == "t0/x"
    limiter.on_parameter("t0", "x", uniform(0, 1), 0.5)
    limiter.on_trial_result("t0", {})
    limiter.on_trial_complete("t0", None, True)
    assert listener.told == [
        ("add", "t0"),
        ("parameter", "t0", 0.5),
        ("result", "t0"),
        ("complete", "t0", None, True),
    ]


def test_a_batch_is_told_when_all_of_it_has_ended() -> None:
    limiter, listener = limited(2, batch=True)
    for trial_id in ("t0", "t1"):
        limiter.on_trial_add(trial_id, {})
    limiter.on_trial_complete("t1", {"loss": 1})
    assert limiter.suggest("t2") is None
    assert [event[0] for event in listener.told] == ["add", "add"]
    limiter.on_trial_complete("t0", None, True)
    assert listener.told[2:] == [("complete", "t1", {"loss": 1}, False), ("complete", "t0", None, True)]
    assert limiter.suggest("t2") == {"id": "t2"}


def test_the_number_of_trials_is_the_searchers() -> None:
    limiter = ConcurrencyLimiter(RandomSearch([{"x": 0.5}, {"x": 0.25}]), 1)
    limiter.bind(SearchContext({"x": uniform(0, 1)}, num_samples=1))
    assert limiter.total_trials == 2


@pytest.mark.parametrize("limit", [0, -1, 1.5])
def test_a_limit_below_one_is_refused(limit: Any) -> None:
    with pytest.raises(ValueError, match="must be 1 or more"):
        ConcurrencyLimiter(Listener(), limit)
