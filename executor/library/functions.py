"""Remote functions: ``@executor.remote`` on a function makes tasks of its calls."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from executor.library.definitions import Definition, define
from executor.library.handing_in import check_feasible, hand_in
from executor.library.mistakes import made_of
from executor.library.options import placed, retried, strategy_of
from executor.library.plans import (
    Crew,
    Plan,
    Surrounding,
    check_names,
    labels_of,
    merged,
    resources_of,
    returns_of,
    whole,
)
from executor.library.runtime import Runtime, current
from executor.library.surroundings import surrounding_of

__audition_internal__ = True


class RemoteFunction:
    """A function whose calls, by `remote`, run as tasks in worker processes."""

    def __init__(
        self,
        function: Callable[..., Any],
        options: Mapping[str, Any],
        definition: list[Definition] | None = None,
        crew: Crew | None = None,
        plan: Plan | None = None,
    ) -> None:
        """`plan` is what the options come to where they were given: elsewhere they may mean nothing."""
        check_names(options, actor=False)
        self._function = function
        self._options = dict(options)
        self._definition = definition if definition is not None else []
        self._crew = crew
        self._plan = self._own_plan = plan or made_of(partial(plan_of, function), self._options)
        self._runtime: Runtime | None = None
        functools.update_wrapper(self, function)

    def remote(self, *positional: Any, **named: Any) -> Any:
        """Call the function in a worker process.

        Returns a reference to its value, at once; with `num_returns` a list of references, None for 0; for a generator
        function an `ObjectRefGenerator`. References among the arguments stand for their values.

        Raises:
            InfeasibleRequestError: no node can ever run it.
            ProgramNotPicklableError: the function cannot be sent to another process.
            TypeError: an argument cannot.
            ValueError: code of its `runtime_env` is too large to be sent to a cluster's nodes.
            OSError: that cannot be read.
        """
        runtime = self._runtime
        if runtime is None or runtime is not current():
            runtime = self._prepare()
        return hand_in(runtime, self._plan, self._definition[0].digest, 0, None, positional, named)

    def _prepare(self) -> Runtime:
        runtime = current()
        self._plan = self._plan_among(runtime.surrounding)  # an executor before this one may have had another
        runtime.carry(self._plan.surrounding.code)
        check_feasible(runtime, self._plan)
        if not self._definition:
            self._definition.append(define(self._function))
        runtime.define(self._definition[0])
        self._runtime = runtime
        return runtime

    def _plan_among(self, default: Surrounding) -> Plan:
        plan = self._own_plan
        surrounding = plan.surrounding if "runtime_env" in self._options else default.handed_down(plan.surrounding)
        if self._crew is not None:
            return replace(plan, surrounding=self._crew.around(surrounding), crew=self._crew)
        return plan if surrounding == plan.surrounding else replace(plan, surrounding=surrounding)

    def options(self, **options: Any) -> RemoteFunction:
        """The same function with other options.

        Raises:
            ValueError: there is no such option, or a value is not of its kind.
        """
        return RemoteFunction(self._function, merged(self._options, options), self._definition, self._crew)

    def __call__(self, *positional: Any, **named: Any) -> Any:
        raise TypeError(
            f"{self._function.__name__} is a remote function: call {self._function.__name__}.remote(...), which "
            f"returns a reference, and executor.get(...) of that"
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return RemoteFunction, (self._function, self._options, None, self._crew, self._own_plan)


def plan_of(function: Callable[..., Any], options: Mapping[str, Any]) -> Plan:
    """How a function's calls run."""
    resources = resources_of(options, 1)
    spot, inherits = placed(options)
    return Plan(
        name=str(options.get("name") or getattr(function, "__name__", type(function).__name__)),
        resources=resources,
        surrounding=surrounding_of(options.get("runtime_env"), resources),
        num_returns=returns_of(options, inspect.isgeneratorfunction(function)),
        max_retries=_retries(options),
        retry_exceptions=retried(options),
        window=max(0, whole(options, "generator_backpressure_num_objects", 0, -1)) if options else 0,
        spot=spot,
        inherits_spot=inherits,
        labels=labels_of(options),
        strategy=strategy_of(options),
        max_calls=whole(options, "max_calls", 0, 0),
    )


def _retries(options: Mapping[str, Any]) -> int:
    given = whole(options, "max_retries", 3, -1)
    return given if given >= 0 else 1 << 30
