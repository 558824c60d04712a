"""What the searcher is told of each way in which a trial can come and go: what is dead is never left running."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from schedulers import ASHAScheduler
from schedulers.base import Pause, Stop
from searchers import OptunaSearch, SearchContext, Searcher, uniform
from searchers.outcomes import read_constraints
from tests.tune.arena import Arena, bound
from tests.tune.test_machine import DIED, KILLED, RAISED, Bench, Script, make_plan
from tune.machine.events import Closing, Dismissed, Entry, Finished, Opened, Overdue, Suggested
from tune.machine.experiment import Experiment


class Recording(Searcher):
    """Writes down every hook that it is told by."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def suggest(self, trial_id: str) -> None:
        return None

    def on_trial_add(self, trial_id: str, config: dict[str, Any]) -> None:
        self.told.append("add")

    def on_trial_start(self, trial_id: str) -> None:
        self.told.append("start")

    def on_trial_pause(self, trial_id: str) -> None:
        self.told.append("pause")

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        self.told.append(f"result {result['loss']:g}")

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        self.told.append("error" if error else "complete" if result is None else f"complete {result['loss']:g}")


Life = Callable[[Bench], object]


def reports(value: float) -> Life:
    return lambda bench: bench.report(loss=value)


def fails(failure: Any) -> Life:
    return lambda bench: bench.fail(failure=failure)


def happens(event: Any) -> Life:
    return lambda bench: bench.happen(event)


def starts(bench: Bench) -> None:
    bench.start()


def leaves(bench: Bench) -> None:
    bench.end(by_order=True)


def returns(bench: Bench) -> None:
    bench.end()


def returns_two(bench: Bench) -> None:
    bench.end(metrics={"loss": 2.0}, seconds=1.0)


def waits(bench: Bench) -> None:
    bench.happen(Suggested("t0", {"x": 0}))


STOP, PAUSE = {"t0_1": Stop("bad")}, {"t0_1": Pause("later")}
BUDGET, CTRL_C = Closing("the time budget is spent"), Closing("interrupted", keep=True)

# The name, what the scheduler decides, further attempts, what happens, and what the searcher is told after add, start.
LIVES: list[tuple[str, dict[str, Any], int, list[Life], str]] = [
    ("returns", {}, 0, [reports(1), returns], "result 1, complete 1"),
    ("returns a last result", {}, 0, [reports(1), returns_two], "result 1, complete 2"),
    ("returns and never reported", {}, 0, [returns], "complete"),
    ("diverges", {}, 0, [reports(1), reports(math.nan), returns], "result 1, complete"),
    ("raises", {}, 0, [reports(1), fails(RAISED)], "result 1, error"),
    ("dies", {}, 0, [reports(1), fails(DIED)], "result 1, error"),
    ("raises before it reported", {}, 0, [fails(RAISED)], "error"),
    ("dies and returns from its second attempt", {}, 1, [fails(DIED), starts, reports(1), returns],
     "start, result 1, complete 1"),
    ("dies once more than it may", {}, 1, [fails(DIED), starts, fails(DIED)], "start, error"),
    ("reports an iteration again after it died", {}, 1, [reports(1), fails(DIED), starts, reports(1), reports(2),
     returns], "result 1, start, result 2, complete 2"),
    ("is ended by somebody else, which is no fault of its own", {}, 0, [fails(KILLED), starts, returns],
     "start, complete"),
    ("is stopped", STOP, 0, [reports(1), leaves], "result 1, complete 1"),
    ("is stopped and returns meanwhile", STOP, 0, [reports(1), returns], "result 1, complete 1"),
    ("is stopped and dies on its way out", STOP, 0, [reports(1), fails(DIED)], "result 1, complete 1"),
    ("is stopped and does not go", STOP, 0, [reports(1), happens(Overdue("t0", 1)), fails(KILLED)],
     "result 1, complete 1"),
    ("prunes itself", {}, 0, [reports(1), leaves], "result 1, complete 1"),
    ("is paused and goes on", PAUSE, 0, [reports(1), leaves, starts, reports(1), reports(2), returns],
     "result 1, pause, start, result 2, complete 2"),
    ("is paused and dies on its way out", PAUSE, 0, [reports(1), fails(DIED)], "result 1, pause"),
    ("is paused and finishes instead", PAUSE, 0, [reports(1), returns], "result 1, complete 1"),
    ("is paused and never chosen again", PAUSE, 0, [reports(1), leaves, happens(Dismissed("t0"))],
     "result 1, pause, complete 1"),
    ("is paused and dies when it goes on", PAUSE, 0, [reports(1), leaves, starts, fails(DIED)],
     "result 1, pause, start, error"),
    ("is closed with the run", {}, 0, [reports(1), happens(BUDGET), leaves], "result 1, complete 1"),
    ("is closed with the run before it reported", {}, 0, [happens(BUDGET), leaves], "complete"),
    ("waits for another attempt as the run is closed", {}, 1, [reports(1), fails(DIED), happens(BUDGET),
     happens(Dismissed("t0"))], "result 1, complete 1"),
    ("is suspended and goes on", {}, 0, [reports(1), happens(CTRL_C), leaves, happens(Finished()),
     happens(Opened("b")), starts, reports(1), reports(2), returns], "result 1, start, result 2, complete 2"),
    ("loses its driver and goes on", {}, 0, [reports(1), happens(Opened("again")), starts, reports(1), reports(2),
     returns], "result 1, start, result 2, complete 2"),
    ("was told to stop and loses its driver", STOP, 0, [reports(1), happens(Opened("again"))], "result 1, complete 1"),
    ("was told to pause and loses its driver", PAUSE, 0, [reports(1), happens(Opened("again"))], "result 1, pause"),
]  # fmt: skip


def lived(decisions: dict[str, Any], attempts: int, life: list[Life]) -> tuple[Bench, list[Entry]]:
    bench = Bench(make_plan(max_failures=attempts), scheduler=Script(**decisions), searcher=Recording(), samples=1)
    bench.start()
    for one in life:
        one(bench)
    return bench, bench.experiment.take_entries()


@pytest.mark.parametrize(("name", "decisions", "attempts", "life", "told"), LIVES, ids=[one[0] for one in LIVES])
def test_a_trial_that(name: str, decisions: dict[str, Any], attempts: int, life: list[Life], told: str) -> None:
    bench, entries = lived(decisions, attempts, life)
    assert ", ".join(bench.searcher.told) == f"add, start, {told}"
    assert bench.trial().state.final == ("complete" in told or "error" in told)
    again = Recording()
    resumed = Experiment(bench.plan, bound({}, 1, searcher=again, scheduler=Script(**decisions)))
    for entry in entries:
        resumed.replay(entry)
    assert again.told == bench.searcher.told


def test_a_trial_that_never_started_is_told_to_have_come_to_nothing() -> None:
    bench = Bench(searcher=Recording(), samples=1)
    for one in (waits, happens(BUDGET), happens(Dismissed("t0"))):
        one(bench)
    assert bench.searcher.told == ["add", "complete"]


def test_a_last_result_without_a_constraints_metric_is_no_result() -> None:
    plan = make_plan(outcome_constraints=read_constraints("ms <= 20"))
    policies = bound({}, 1, searcher=(searcher := Recording()))
    policies.constrained = ("ms",)
    experiment = Experiment(plan, policies)
    bench = Bench(searcher=searcher)
    bench.experiment, searcher.told = experiment, []
    bench.start()
    bench.report(loss=1.0, ms=30)
    bench.report(loss=0.5)
    bench.end()
    assert searcher.told == ["add", "start", "result 1", "result 0.5", "complete"]


# What Optuna makes of it.


def optuna_search(**more: Any) -> OptunaSearch:
    searcher = OptunaSearch()
    searcher.bind(SearchContext({"x": uniform(0, 1)}, ("loss",), ("min",), **more))
    return searcher


def told_of_pause(searcher: OptunaSearch) -> Any:
    searcher.on_trial_add("t0", {"x": 0.5})
    searcher.on_trial_result("t0", {"loss": 3.0, "ms": 30})
    searcher.on_trial_pause("t0")
    return searcher._history.trials[0]


def test_a_paused_trial_teaches_by_its_last_value_until_it_says_more() -> None:
    searcher = optuna_search(outcome_constraints=read_constraints("ms <= 20"))
    paused = told_of_pause(searcher)
    assert (paused.state.name, paused.values, paused.constraints) == ("COMPLETE", [3.0], {"ms <= 20": 0.5})
    searcher.on_trial_start("t0")
    searcher.on_trial_result("t0", {"loss": 2.0, "ms": 10})
    searcher.on_trial_pause("t0")
    assert searcher._history.trials[0].values == [2.0]
    searcher.on_trial_complete("t0", {"loss": 1.0, "ms": 10})
    ended = searcher._history.trials[0]
    assert (ended.state.name, ended.values, ended.constraints) == ("COMPLETE", [1.0], {"ms <= 20": -0.5})
    searcher.on_trial_complete("t0", {"loss": 9.0, "ms": 10})
    assert searcher._history.trials[0].values == [1.0]


def test_a_paused_trial_that_dies_later_is_overlooked() -> None:
    searcher = optuna_search()
    told_of_pause(searcher)
    searcher.on_trial_start("t0")
    searcher.on_trial_complete("t0", None, error=True)
    assert searcher._history.trials[0].state.name == "FAIL"


def test_a_trial_paused_without_a_value_counts_as_running() -> None:
    searcher = optuna_search()
    searcher.on_trial_add("t0", {"x": 0.5})
    searcher.on_trial_pause("t0")
    assert searcher._history.trials[0].state.name == "RUNNING"


def curve(config: dict[str, Any]) -> Any:
    for step in range(3):
        yield {"loss": (config["x"] - 0.3) ** 2 + (config["y"] - 0.3) ** 2 + 1 / (step + 1)}


def test_a_model_learns_under_a_scheduler_that_pauses_most_trials_for_good(tmp_path: Path) -> None:
    def policies() -> Any:
        promoting = ASHAScheduler(max_t=3, grace_period=1, reduction_factor=3, type="promotion")
        space = {"x": uniform(0, 1), "y": uniform(0, 1)}
        return bound(space, 45, searcher=OptunaSearch(), scheduler=promoting)

    (tmp_path / "e").mkdir()
    trials = Arena(tmp_path / "e", curve, policies, cpus=4).run().trials.values()
    late = [(one.config["x"] - 0.3) ** 2 + (one.config["y"] - 0.3) ** 2 for one in trials][-15:]
    assert sum(late) / len(late) < 0.1  # at random it is 0.25
