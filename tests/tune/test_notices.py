"""The thread that tells callbacks: in order, bounded, and not for ever."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

import tune
from tests.tune.bench import Bench, ref
from tests.tune.trainables import DEADLINE_S
from tune.notices import NoticesAside, Telling

PLACE = contextvars.ContextVar("PLACE", default="nowhere")


class Slow(tune.Callback):
    """Begins to hear of results when it is `free`, and then writes down all that it hears."""

    def __init__(self) -> None:
        self.free = threading.Event()
        self.lines: list[Any] = []

    def setup(self, *, directory: str, name: str) -> None:
        self.lines.append((name, threading.current_thread().name, PLACE.get()))

    def on_trial_start(self, *, trial: Any, **rest: Any) -> None:
        self.free.wait(DEADLINE_S)
        self.lines.append(("start", trial.trial_id))

    def on_trial_result(self, *, result: Any, **rest: Any) -> None:
        self.lines.append(result["training_iteration"])

    def on_checkpoint(self, *, checkpoint: Any, **rest: Any) -> None:
        self.lines.append(checkpoint.path)

    def on_trial_complete(self, *, trial: Any, **rest: Any) -> None:
        self.lines.append(("complete", trial.state, trial.last_result["training_iteration"]))


class Show:
    """An experiment whose entries are shown to a callback."""

    def __init__(self, callback: tune.Callback, **settings: Any) -> None:
        self.bench = Bench()
        self.left: list[str] = []
        telling = Telling([callback], [], lambda off: None)
        settings = {"hurried": lambda: False, **settings}
        self.notices = NoticesAside(telling, self.bench.experiment, on_leaving=self.left.append, **settings)
        self.notices.setup("place", "e")

    @contextmanager
    def act(self) -> Iterator[Bench]:
        yield self.bench
        for entry in self.bench.experiment.take_entries():
            self.notices(entry)


def one_trial(show: Show, results: int) -> None:
    with show.act() as bench:
        bench.start()
    for _ in range(results):
        with show.act() as bench:
            bench.report(checkpoint=ref(bench.trial()))
    with show.act() as bench:
        bench.end()


def test_all_is_told_in_order_on_one_thread_that_has_the_callers_context() -> None:
    PLACE.set("here")
    slow = Slow()
    show = Show(slow)
    one_trial(show, 2)
    assert slow.lines == [("e", "callbacks", "here")]
    slow.free.set()
    show.notices.close()
    first, second = "checkpoints/t0/0-1", "checkpoints/t0/1-1"
    assert slow.lines[1:] == [("start", "t0"), 1, first, 2, second, ("complete", "TERMINATED", 2)]


def test_when_too_much_waits_results_are_left_out_and_never_an_end(caplog: pytest.LogCaptureFixture) -> None:
    slow = Slow()
    show = Show(slow, most_waiting=3)
    one_trial(show, 10)
    slow.free.set()
    show.notices.close()
    told = [line for line in slow.lines if isinstance(line, int)]
    assert told == sorted(told)
    assert 1 <= len(told) <= 4
    assert slow.lines[-1] == ("complete", "TERMINATED", 10)
    assert f"too slow to be told of {10 - len(told)} results" in caplog.text


@pytest.mark.parametrize("settings", [{"patience_s": 0.0}, {"hurried": lambda: True}], ids=["late", "hurried"])
def test_what_never_comes_back_is_left_alone_in_the_end(settings: Any, caplog: pytest.LogCaptureFixture) -> None:
    slow = Slow()
    show = Show(slow, **settings)
    one_trial(show, 1)
    show.notices.catch_up()
    show.notices.close()
    assert "callbacks did not come to an end" in caplog.text
    assert len(slow.lines) == 1
    slow.free.set()


def test_a_callback_may_end_the_run() -> None:
    class Leaving(tune.Callback):
        def on_trial_result(self, **rest: Any) -> None:
            raise SystemExit(5)

    show = Show(Leaving())
    one_trial(show, 1)
    with pytest.raises(SystemExit):
        show.notices.close()
    assert show.left == ["a callback raised SystemExit"]


def test_what_setup_raises_to_end_the_run_is_raised_where_it_was_begun() -> None:
    class Unwilling(tune.Callback):
        def setup(self, **rest: Any) -> None:
            raise SystemExit(5)

    with pytest.raises(SystemExit):
        Show(Unwilling())
