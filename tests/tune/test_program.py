"""One attempt of a trial, as its worker sees it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from executor.interface import Rank
from tune.machine.events import GoOn, Leave
from tune.worker.messages import Begin, Outcome, Task
from tune.worker.program import TrialProgram
from tune.worker.session import Setting
from tune.worker.trainable import Trainable


def function(config: dict[str, Any]) -> dict[str, Any]:
    return {"loss": 1.0}


class Class(Trainable):
    def step(self) -> dict[str, Any]:
        return {"loss": 1.0, "done": True}


@pytest.mark.parametrize("trainable", [function, Class])
def test_a_trial_that_is_told_to_leave_before_its_code_runs_does_not_run_it(
    trainable: Callable[..., Any], tmp_path: Path
) -> None:
    def begun(answer: Any) -> Outcome | Any:
        program = TrialProgram(trainable, Setting(str(tmp_path), "e", ("loss",), announces=True))
        steps = program.steps_of(Rank(), Task("t0", 1, {}, None, {}))
        assert isinstance(next(steps).payload, Begin)
        try:
            return steps.send(answer).payload
        except StopIteration as end:
            return end.value

    assert begun(Leave("bad")) == Outcome(by_order=True)
    assert getattr(begun(GoOn()), "metrics", None), "it runs otherwise"
