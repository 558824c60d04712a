"""Actors as users hold them: the class with ``remote``, the handle, its methods."""

from __future__ import annotations

import inspect
import pickle
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from executor.library.arguments import pack_arguments
from executor.library.creation import Creation
from executor.library.definitions import Definition, define
from executor.library.handing_in import check_feasible, hand_in
from executor.library.mistakes import made_of
from executor.library.options import placed, retried, strategy_of
from executor.library.plans import (
    ActorPlan,
    Plan,
    check_names,
    detached,
    labels_of,
    merged,
    resources_of,
    returns_of,
    whole,
)
from executor.library.refs import ObjectRef, number_of, runtime_of
from executor.library.runtime import current
from executor.library.surroundings import surrounding_of
from executor.resources import Resources

__audition_internal__ = True

_METHOD_OPTIONS = ("num_returns", "max_task_retries", "retry_exceptions", "name", "generator_backpressure_num_objects")
_ASYNC_CONCURRENCY = 1000


@dataclass(frozen=True)
class Description:
    """What a handle knows of its actor's class: its name, and how each of its methods is called."""

    name: str
    methods: dict[str, Plan] = field(default_factory=dict)


class ActorMethod:
    """One method of an actor."""

    __slots__ = ("_actor", "_method", "_plan", "_ref", "_runtime")

    def __init__(self, ref: ObjectRef[Any], method: str, plan: Plan) -> None:
        self._ref = ref  # as long as it is held, the actor lives
        self._actor = number_of(ref)
        self._runtime = runtime_of(ref)
        self._method = method
        self._plan = plan

    def remote(self, *positional: Any, **named: Any) -> Any:
        """Call the method in the actor's process; see `RemoteFunction.remote` for what it returns."""
        return hand_in(self._runtime, self._plan, None, self._actor, self._method, positional, named)

    def options(self, **options: Any) -> ActorMethod:
        """The same method called otherwise, by the options that `executor.method` has.

        Raises:
            ValueError: there is no such option, or a value is not of its kind.
        """
        return ActorMethod(self._ref, self._method, _method_plan(self._plan.name, options, self._plan))

    def __call__(self, *positional: Any, **named: Any) -> Any:
        raise TypeError(
            f"{self._plan.name} runs in the actor's process: "
            f"call .{self._method}.remote(...), which returns a reference"
        )


class ActorHandle:
    """Stands for an actor. It can be passed to tasks and actors; the actor ends when no handle is left anywhere."""

    def __init__(self, ref: ObjectRef[Any], description: bytes) -> None:
        self._ref = ref
        self._packed = description
        self._description: Description = pickle.loads(description)  # noqa: S301 - from our own driver

    def __getattr__(self, name: str) -> ActorMethod:
        plan = None if name.startswith("__") else self._description.methods.get(name)
        if plan is None:
            known = ", ".join(sorted(self._description.methods)) or "none"
            raise AttributeError(f"actor {self._description.name} has no method {name!r}; it has {known}")
        found = self.__dict__[name] = ActorMethod(self._ref, name, plan)
        return found

    def __dir__(self) -> list[str]:
        return [*object.__dir__(self), *self._description.methods]

    def __reduce__(self) -> tuple[Any, ...]:
        return ActorHandle, (self._ref, self._packed)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ActorHandle) and other._ref == self._ref

    def __hash__(self) -> int:
        return hash(self._ref)

    def __repr__(self) -> str:
        return f"Actor({self._description.name}, {self._ref.hex()})"


def actor_number(actor: ActorHandle) -> int:
    """The number by which an actor is known."""
    return number_of(actor._ref)  # noqa: SLF001 - the one way to it


class ActorClass:
    """A class whose instances, made by `remote`, live in worker processes of their own."""

    def __init__(
        self,
        kind: type,
        options: Mapping[str, Any],
        definition: list[Definition] | None = None,
        plan: ActorPlan | None = None,
    ) -> None:
        """`plan` is what the options come to where they were given: elsewhere they may mean nothing."""
        check_names(options, actor=True)
        self._kind = kind
        self._options = dict(options)
        self._definition = definition if definition is not None else []
        self._plan = plan or made_of(partial(actor_plan_of, kind), self._options)
        self._description: list[bytes] = []
        self.__name__, self.__doc__, self.__module__ = kind.__name__, kind.__doc__, kind.__module__

    def remote(self, *positional: Any, **named: Any) -> ActorHandle:
        """Create an actor; a handle, at once. What its constructor raises is what its calls raise.

        Raises:
            InfeasibleRequestError: no node can ever hold it.
            ProgramNotPicklableError: the class cannot be sent to another process.
            TypeError: an argument cannot.
            ValueError: there is an actor of this name already; or `get_if_exists`, or a lifetime, without a name; or a
                lifetime where there is no cluster; or code of its `runtime_env` is too large to be sent to nodes.
            ClusterError: it is to be detached, and the cluster's head cannot be asked, or takes no controllers.
            OSError: that cannot be read.
        """
        runtime = current()
        plan = self._plan
        if plan.get_if_exists and plan.registered_name is None:
            raise ValueError("get_if_exists=True is for an actor with a name: give name=... too, or leave it out")
        if plan.is_detached and plan.registered_name is None:
            raise ValueError(
                "lifetime='detached' is for an actor with a name, by which others find it: give name=... too"
            )
        if "runtime_env" not in self._options:
            surrounding = runtime.surrounding.handed_down(plan.plan.surrounding)
            plan = replace(plan, plan=replace(plan.plan, surrounding=surrounding))
        runtime.carry(plan.plan.surrounding.code)
        check_feasible(runtime, plan.plan)
        if not self._definition:
            self._definition.append(define(self._kind))
        definition = self._definition[0]
        if plan.is_async:
            definition = replace(definition, modules=definition.modules | {"asyncio"})
        runtime.define(definition)
        if not self._description:
            self._description.append(pickle.dumps(_describe(self._kind, plan.plan.name), 5))
        packed, values, inside = pack_arguments(runtime, positional, named)
        creation = Creation(definition.digest, packed, values, inside, self._description[0])
        number, description = runtime.ask("create_actor", runtime.new_numbers(1), plan, creation)
        return ActorHandle(runtime.own(number), description)

    def options(self, **options: Any) -> ActorClass:
        """The same class with other options.

        Raises:
            ValueError: there is no such option, or a value is not of its kind.
        """
        return ActorClass(self._kind, merged(self._options, options), self._definition)

    def __call__(self, *positional: Any, **named: Any) -> Any:
        name = self._kind.__name__
        raise TypeError(f"{name} is an actor class: create one by {name}.remote(...)")

    def __reduce__(self) -> tuple[Any, ...]:
        return ActorClass, (self._kind, self._options, None, self._plan)


def method(**options: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """How a method of an actor class is called by default: ``@method(num_returns=2)``.

    Args:
        options: ``num_returns`` (1, or ``"streaming"``, as generators have it), ``max_task_retries`` (the actor's),
            ``retry_exceptions`` (False, True or a list of classes), ``name`` in errors and ``status``, and
            ``generator_backpressure_num_objects`` (0: no limit). Values are checked where the actor class is created.

    Raises:
        ValueError: there is no such option.
    """
    _check_method_options(options)

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        function.__executor_options__ = options  # type: ignore[attr-defined]
        return function

    return decorate


def _check_method_options(options: Mapping[str, Any]) -> None:
    if wrong := [name for name in options if name not in _METHOD_OPTIONS]:
        raise ValueError(f"no option of a method: {', '.join(wrong)}. There are {', '.join(_METHOD_OPTIONS)}.")


def _describe(kind: type, name: str) -> Description:
    methods = {}
    for attribute in dir(kind):
        member = inspect.getattr_static(kind, attribute)
        if (attribute.startswith("__") and attribute != "__call__") or not callable(getattr(kind, attribute, None)):
            continue
        options = getattr(member, "__executor_options__", {})
        function = getattr(kind, attribute)
        streams = inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function)
        plan = _method_plan(f"{name}.{attribute}", options)
        methods[attribute] = plan if not streams or "num_returns" in options else _streaming(plan)
    return Description(name, methods)


def _streaming(plan: Plan) -> Plan:
    return _method_plan(plan.name, {"num_returns": "streaming"}, plan)


def _method_plan(name: str, options: Mapping[str, Any], before: Plan | None = None) -> Plan:
    _check_method_options(options)
    base = before or Plan(name, Resources(), max_retries=-1)
    return Plan(
        name=options.get("name") or name,
        resources=base.resources,
        num_returns=returns_of(options, False) if options.get("num_returns") is not None else base.num_returns,
        max_retries=_tries(options.get("max_task_retries"), base.max_retries),
        retry_exceptions=retried(options) if "retry_exceptions" in options else base.retry_exceptions,
        window=max(0, whole(options, "generator_backpressure_num_objects", base.window, -1)),
    )


def _tries(given: Any, otherwise: int) -> int:
    if given is None:
        return otherwise
    tries = whole({"max_task_retries": given}, "max_task_retries", 0, -1)
    return 1 << 30 if tries < 0 else tries


def actor_plan_of(kind: type, options: Mapping[str, Any]) -> ActorPlan:
    """How an actor of a class lives.

    Raises:
        ValueError: an option is not of its kind, or does not go with another.
    """
    is_detached = detached(options)
    resources = resources_of(options, 0)
    spot, inherits = placed(options)
    name = options.get("name")
    if name is not None and (not isinstance(name, str) or not name):
        raise ValueError(f"name must be a text that is not empty, got {name!r}")
    methods = [getattr(kind, each, None) for each in dir(kind) if not each.startswith("__")]
    is_async = any(inspect.iscoroutinefunction(each) or inspect.isasyncgenfunction(each) for each in methods)
    restarts = whole(options, "max_restarts", 0, -1)
    return ActorPlan(
        Plan(
            name=kind.__name__,
            resources=resources,
            surrounding=surrounding_of(options.get("runtime_env"), resources),
            spot=spot,
            inherits_spot=inherits,
            labels=labels_of(options),
            strategy=strategy_of(options, "PACK" if resources else "SPREAD"),  # many actors hold nothing
        ),
        registered_name=name,
        is_detached=is_detached,
        namespace=options.get("namespace"),
        get_if_exists=bool(options.get("get_if_exists", False)),
        max_restarts=restarts,
        max_task_retries=_tries(options.get("max_task_retries"), 0),
        max_concurrency=whole(options, "max_concurrency", _ASYNC_CONCURRENCY if is_async else 1, 1),
        max_pending_calls=whole(options, "max_pending_calls", -1, -1),
        is_async=is_async,
        restart_hook=callable(getattr(kind, "on_restart", None)),
    )
