"""A searcher that thinks long: it stops nobody, knows what it knew when it was asked, and may be asked ahead."""

from __future__ import annotations

import contextlib
import threading
from pathlib import Path
from typing import Any

import pytest

import tune
from searchers.base import FINISHED, Searcher
from searchers.domain import Float
from tests.tune.arena import bound
from tune.asking import Answer, AskingAside, AskingInline, pays
from tune.callback import Callback
from tune.machine.events import Suggested
from tune.storage import journal

DEADLINE_S = 20.0


class Thinking(Searcher):
    """Suggests how many results it has been told, once `may_answer`: not when trial `pauses_after` has just started."""

    def __init__(self, pauses_after: str = "") -> None:
        self.pauses_after = pauses_after
        self.told = 0
        self.may_answer = threading.Event()
        self.may_answer.set()
        self.asked: list[tuple[str, int]] = []
        self.asked_again: list[tuple[str, int]] = []

    @property
    def is_slow(self) -> bool:
        return True

    def suggest(self, trial_id: str) -> Any:
        self.asked.append((trial_id, self.told))
        told = self.told
        assert self.may_answer.wait(DEADLINE_S)
        return {"told": told}

    def on_ask(self, trial_id: str) -> None:
        self.asked_again.append((trial_id, self.told))

    def on_trial_start(self, trial_id: str) -> None:
        if trial_id == self.pauses_after:
            self.may_answer.clear()

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        self.told += 1


class Ready:
    """Waits for what the asking thread has ready."""

    def __init__(self) -> None:
        self._woken = threading.Semaphore(0)

    def wake(self) -> None:
        self._woken.release()

    def wait(self) -> None:
        assert self._woken.acquire(timeout=DEADLINE_S)


@pytest.fixture
def ready() -> Ready:
    return Ready()


def aside(searcher: Searcher, ready: Ready) -> tuple[Any, AskingAside]:
    policies = bound({}, -1, searcher=searcher)
    return policies, AskingAside(policies, ready.wake)


def test_an_answer_rests_on_what_was_told_before_the_question(ready: Ready) -> None:
    searcher = Thinking()
    policies, asking = aside(searcher, ready)
    with contextlib.closing(asking):
        policies.searcher.on_trial_result("t0", {})
        assert asking.ask("t1")
        policies.searcher.on_trial_result("t0", {})
        ready.wait()
        assert asking.answer() == Answer({"told": 1})


def test_while_it_thinks_there_is_no_answer_and_no_second_question(ready: Ready) -> None:
    searcher = Thinking()
    searcher.may_answer.clear()
    _, asking = aside(searcher, ready)
    with contextlib.closing(asking):
        assert asking.ask("t0")
        assert not asking.ask("t0")
        assert asking.answer() is None
        searcher.may_answer.set()
        ready.wait()
        assert asking.answer() == Answer({"told": 0})
    assert searcher.asked == [("t0", 0)]


class LaterThenOver(Searcher):
    """Has nothing until it is told of a result, and then never anything."""

    over = False

    def suggest(self, trial_id: str) -> Any:
        return FINISHED if self.over else None

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        self.over = True


def test_a_searcher_that_had_nothing_is_asked_again_only_when_something_has_happened(ready: Ready) -> None:
    policies, asking = aside(LaterThenOver(), ready)
    with contextlib.closing(asking):
        assert asking.ask("t0")
        ready.wait()
        assert asking.answer() == Answer(None)
        assert not asking.ask("t0")
        policies.searcher.on_trial_result("t9", {})
        assert asking.ask("t0")
        ready.wait()
        assert asking.answer() == Answer(FINISHED)


def test_a_searcher_that_raises_is_an_answer_too(ready: Ready, caplog: pytest.LogCaptureFixture) -> None:
    class Broken(Searcher):
        def suggest(self, trial_id: str) -> Any:
            raise ArithmeticError("no model")

        def suggest_parameter(self, trial_id: str, name: str, domain: Any) -> Any:
            raise ArithmeticError("no model")

    _, asking = aside(Broken(), ready)
    given: list[float] = []
    with contextlib.closing(asking):
        asking.ask("t0")
        ready.wait()
        answer = asking.answer()
        assert answer is not None
        assert "no model" in answer.error
        asking.parameter("t0", "x", Float(2.0, 3.0), given.append)
        ready.wait()
        asking.deliver()
    assert 2.0 <= given[0] <= 3.0
    assert "x is drawn at random" in caplog.text


def test_a_parameter_whose_searcher_raises_is_drawn_the_same_each_time() -> None:
    class Broken(Searcher):
        def suggest(self, trial_id: str) -> Any:
            return {}

        def suggest_parameter(self, trial_id: str, name: str, domain: Any) -> Any:
            raise ArithmeticError("no model")

    asking, given = AskingInline(bound({}, 3, searcher=Broken())), []
    for _ in range(3):
        asking.parameter("t3", "x", Float(0.0, 1.0), given.append)
    assert len(set(given)) == 1


@pytest.mark.parametrize(
    ("thinks_s", "apart_s", "running", "pays_ahead"),
    [
        (1.0, 10.0, 4, True),  # trials of forty seconds, each after an empty second
        (0.5, 10.0, 4, False),
        (1.0, 10.0, 1, False),  # one after another: the next is to know the last
        (1.0, 0.0, 4, False),  # nothing is known yet
    ],
)
def test_it_pays_to_ask_ahead_only_when_thinking_is_long_beside_the_trials(
    thinks_s: float, apart_s: float, running: int, pays_ahead: bool
) -> None:
    assert pays(thinks_s, apart_s, running) is pays_ahead


# In real runs.


def trainable(config: dict[str, Any]) -> None:
    for step in range(4):
        tune.report({"loss": float(step)})


class LetsThinkAfter(Callback):
    """Lets the searcher answer again when trials have reported so often."""

    def __init__(self, searcher: Thinking, reports: int) -> None:
        self.searcher, self.left = searcher, reports

    def on_trial_result(self, *arguments: Any, **named: Any) -> None:
        self.left -= 1
        if self.left == 0:
            self.searcher.may_answer.set()


def run(path: Path, searcher: Thinking, **more: Any) -> tune.ResultGrid:
    return tune.run(
        trainable,
        metric="loss",
        mode="min",
        search_alg=searcher,
        scheduler=more.pop("scheduler", None),
        storage_path=path,
        name="aside",
        verbose=0,
        **more,
    )


def test_trials_report_and_are_answered_while_the_searcher_thinks(tmp_path: Path) -> None:
    """In the loop's own thread this would wait for ever: the answer comes only after four reports."""
    searcher = Thinking(pauses_after="t0")
    results = run(tmp_path, searcher, num_samples=2, max_concurrent_trials=2, callbacks=[LetsThinkAfter(searcher, 4)])
    assert [len(result.metrics_dataframe) for result in results] == [4, 4]
    assert results[1].config == {"told": 0}


def test_on_resume_the_searcher_hears_where_it_was_asked(tmp_path: Path) -> None:
    searcher = Thinking(pauses_after="t0")
    run(tmp_path, searcher, num_samples=2, max_concurrent_trials=2, callbacks=[LetsThinkAfter(searcher, 4)])
    with journal.reading(tmp_path / "aside") as connection:
        entries = [entry.event for _, entry in journal.entries(connection)]
    [first, second] = [event for event in entries if isinstance(event, Suggested)]
    assert 0 < second.asked_after < entries.index(second)
    again = Thinking()
    run(tmp_path, again, num_samples=3, resume=True)
    assert ("t1", 0) in again.asked_again
    assert ("t0", 0) not in again.asked_again or first.asked_after
