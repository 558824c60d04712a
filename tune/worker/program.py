"""What every trial's process runs: the user's trainable, in whichever of its forms, behind one `Program`."""

from __future__ import annotations

import dis
import inspect
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from types import CodeType
from typing import Any

from executor.interface import Channel, Program, Step
from executor.messages import Rank
from tune.machine.events import Answer
from tune.worker import session as sessions
from tune.worker.messages import Outcome
from tune.worker.metrics import check_decisive, normalise
from tune.worker.objective import ObjectiveTrial, final_metrics, is_objective, is_pruned
from tune.worker.session import Session, Setting, TrialLeave
from tune.worker.trainable import Trainable, live_steps

__audition_internal__ = True

Steps = Generator[Step, Answer, Any]


@dataclass(frozen=True)
class TrialProgram(Program):
    """Runs attempts of `trainable`: a function of a configuration, an Optuna objective, or a `Trainable` class.

    `parameters` are the values of `tune.with_parameters`, given to a function as keywords and to a class's ``setup``.
    """

    trainable: Callable[..., Any] | type[Trainable]
    setting: Setting
    parameters: dict[str, Any] = field(default_factory=dict)

    def preload(self) -> Sequence[str]:
        """The modules that the function's body imports, wherever in it."""
        return sorted(_imports(self.trainable))

    def run(self, channel: Channel, argument: Any) -> Outcome:
        """Run one attempt in this process."""
        session = Session(self.setting, argument, channel, sessions.live_clock(), channel.rank)
        sessions.enter(session)
        try:
            outcome = self._run_live(session)
            session.finish()
            return outcome
        except TrialLeave:
            return Outcome(by_order=True)
        except Exception as error:
            if is_pruned(error):
                return Outcome(by_order=True)
            raise
        finally:
            sessions.enter(None)
            session.end()

    def steps(self, argument: Any) -> Generator[Step, Any, Outcome]:
        """Run one attempt in virtual time: for classes and generator functions, whose steps are visible.

        A step takes ``time_this_iter_s`` of its metrics, one second where that is missing.
        """
        return self.steps_of(Rank(), argument)

    def steps_of(self, rank: Rank, argument: Any) -> Generator[Step, Any, Outcome]:
        """Run one worker of an attempt in virtual time."""
        session = Session(self.setting, argument, None, None, rank)
        steps = self._visible_steps(session)
        answer: Any = None
        while True:
            sessions.enter(session)
            try:
                step = steps.send(answer)
            except StopIteration as end:
                return self._outcome(session, end.value)
            finally:
                sessions.enter(None)
            answer = yield step

    def _run_live(self, session: Session) -> Outcome:
        if isinstance(self.trainable, type):
            return self._outcome(session, session.converse(self._visible_steps(session)))
        session.converse(session.starting())
        session.converse(session.announcing())
        if session.told_to_leave:
            return self._outcome(session, None)
        if is_objective(self.trainable):
            return self._run_objective(session)
        value = self._call(dict(session.task.config))
        if isinstance(value, Generator):
            value = session.converse(_reported(session, value))
        return self._outcome(session, value)

    def _call(self, argument: Any) -> Any:
        function: Callable[..., Any] = self.trainable
        return function(argument, **self.parameters)

    def _run_objective(self, session: Session) -> Outcome:
        trial = ObjectiveTrial(session)
        value = self._call(trial)
        metrics = normalise(final_metrics(trial, value, session.setting.metrics))
        return Outcome(False, metrics, session.lap(metrics), session.process())

    def _visible_steps(self, session: Session) -> Steps:
        if isinstance(self.trainable, type):
            return live_steps(session, self.trainable, self.parameters)
        return self._function_steps(session)

    def _function_steps(self, session: Session) -> Steps:
        yield from session.starting()
        yield from session.announcing()
        if session.told_to_leave:
            return None
        value = self._call(dict(session.task.config))
        if not isinstance(value, Generator):
            return value
        return (yield from _reported(session, value))

    @staticmethod
    def _outcome(session: Session, value: Any) -> Outcome:
        """What a function's return value means: nothing, or a last report."""
        if session.rank.number:  # the attempt ends as rank 0 does
            return Outcome(by_order=False)
        if session.told_to_leave or value is None:
            return Outcome(by_order=session.told_to_leave or session.knows)
        if not isinstance(value, Mapping):
            value = {(session.setting.metrics or ("_metric",))[0]: value}
        metrics = normalise(value)
        check_decisive(metrics, session.setting.metrics)
        return Outcome(False, metrics, session.lap(metrics), session.process())


def _reported(session: Session, results: Generator[Any, None, Any]) -> Steps:
    """Report what a generator function yields: a dictionary of metrics, or a pair of it and a checkpoint."""
    try:
        while True:
            try:
                result = next(results)
            except StopIteration as end:
                return end.value
            metrics, checkpoint = result if isinstance(result, tuple) else (result, None)
            if not isinstance(metrics, Mapping):
                metrics = {(session.setting.metrics or ("_metric",))[0]: metrics}
            yield from session.reporting(metrics, checkpoint)
            if session.told_to_leave:
                return None
    finally:
        results.close()


def _imports(trainable: Any) -> set[str]:
    """The names of modules that a function, or a class's own methods, import inside their bodies."""
    if isinstance(trainable, partial):
        trainable = trainable.func
    owners = list(vars(trainable).values()) if isinstance(trainable, type) else [trainable]
    codes = [owner.__code__ for owner in map(inspect.unwrap, filter(callable, owners)) if hasattr(owner, "__code__")]
    return {name for code in codes for name in _imported(code)}


def _imported(code: CodeType) -> set[str]:
    names = {str(each.argval) for each in dis.get_instructions(code) if each.opname == "IMPORT_NAME" and each.argval}
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            names |= _imported(constant)
    return names
