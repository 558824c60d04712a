"""How a call or an actor is to run: the options of ``@remote`` and ``.options(...)``, checked, as values."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

from executor.labels import asked
from executor.resources import Request, Resources

STREAMING = -1
"""The number of returns of a call that streams what it yields."""

MOST_RETURNS = 1 << 15
"""How many values one call may return."""

_TASK_OPTIONS = (
    "generator_backpressure_num_objects", "max_calls", "max_retries", "num_returns", "retry_exceptions",
)  # fmt: skip
_ACTOR_OPTIONS = (
    "get_if_exists", "lifetime", "max_concurrency", "max_pending_calls", "max_restarts", "max_task_retries",
    "namespace",
)  # fmt: skip
_COMMON_OPTIONS = (
    "label_selector", "memory", "name", "num_cpus", "num_gpus", "placement_group", "placement_group_bundle_index",
    "placement_group_capture_child_tasks", "resources", "runtime_env", "scheduling_strategy",
)  # fmt: skip


_NAMESPACE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")

_OWN_OPTIONS = {"CPU": "num_cpus", "cpu": "num_cpus", "GPU": "num_gpus", "gpu": "num_gpus", "memory": "memory"}


@dataclass(frozen=True, slots=True)
class Spot:
    """A place in a placement group; any of its bundles when `bundle` is -1."""

    group: int
    bundle: int = -1
    captures: bool = True
    """Whether what is submitted from there runs in the group too, unless it says otherwise."""


@dataclass(frozen=True, slots=True)
class Code:
    """Code of the user's on the driver's machine: a `folder` to stand in and import from, and `modules` to import.

    What matches `excludes` is not sent to other machines.
    """

    folder: str | None = None
    modules: tuple[str, ...] = ()
    excludes: tuple[str, ...] = ()

    @property
    def paths(self) -> list[str]:
        """What goes in front of ``sys.path`` for it."""
        return [*([] if self.folder is None else [self.folder]), *(str(Path(one).parent) for one in self.modules)]


@dataclass(frozen=True, slots=True)
class Surrounding:
    """What a worker needs around it; workers are shared only by calls that need the same.

    `environment` are variables; `setup` is a pickled function that is called first, and `initializer` one that is
    called then, which is a pool's; `threads` is how many numerical libraries may start.
    """

    environment: tuple[tuple[str, str], ...] = ()
    code: Code = Code()
    setup: bytes | None = None
    initializer: bytes | None = None
    threads: int = 1
    memory_bytes: int | None = None

    def handed_down(self, to: Surrounding) -> Surrounding:
        """What is around somebody who asks only for so many threads and so much memory, and else for the same."""
        return replace(self, initializer=None, threads=to.threads, memory_bytes=to.memory_bytes)


class Crew(NamedTuple):
    """Workers that one pool has for itself, at most `size`; they leave when the object `number` is forgotten.

    Each calls the pickled `initializer` first, and has `variables`, of which those of its surrounding go before.
    """

    number: int
    size: int
    initializer: bytes | None = None
    variables: tuple[tuple[str, str], ...] = ()

    def around(self, surrounding: Surrounding) -> Surrounding:
        """What is around its workers."""
        environment = tuple(sorted({**dict(self.variables), **dict(surrounding.environment)}.items()))
        return replace(surrounding, environment=environment, initializer=self.initializer)


@dataclass(frozen=True, slots=True)
class Plan:
    """How a task runs, or an actor lives. A worker leaves after `max_calls` calls (0: never)."""

    name: str
    resources: Resources
    surrounding: Surrounding = Surrounding()
    num_returns: int = 1
    max_retries: int = 3
    retry_exceptions: bool | bytes = False
    window: int = 0
    spot: Spot | None = None
    inherits_spot: bool = True
    labels: tuple[tuple[str, str], ...] = ()
    strategy: str = "PACK"
    """``SPREAD`` for a node of which the least is in use."""
    crew: Crew | None = None
    max_calls: int = 0
    request: Request = field(init=False, compare=False, repr=False)
    """The resources as one bundle, with the labels outside of placement groups."""

    def __post_init__(self) -> None:
        wanted = asked(self.labels) if self.labels and self.spot is None else Resources()
        object.__setattr__(self, "request", Request((self.resources + wanted,), self.strategy))


@dataclass(frozen=True, slots=True)
class ActorPlan:
    """How an actor lives, beside what it needs."""

    plan: Plan
    registered_name: str | None = None
    is_detached: bool = False
    """Whether it outlives its driver, on a cluster, known by its name in a namespace."""
    namespace: str | None = None
    """None for that of its driver."""
    get_if_exists: bool = False
    max_restarts: int = 0
    max_task_retries: int = 0
    max_concurrency: int = 1
    max_pending_calls: int = -1
    is_async: bool = False
    restart_hook: bool = False


def check_names(options: Mapping[str, Any], *, actor: bool) -> None:
    """Raise for options that there are none of, all at once."""
    known = (*_COMMON_OPTIONS, *(_ACTOR_OPTIONS if actor else _TASK_OPTIONS))
    wrong = [name for name in options if name not in known]
    if not wrong:
        return
    kind = "an actor" if actor else "a task"
    told = []
    for name in wrong:
        other = name in (_TASK_OPTIONS if actor else _ACTOR_OPTIONS)
        near = difflib.get_close_matches(name, known, 1)
        guess = f" (meant {near[0]!r}?)" if near else ""
        hint = f" (it is one of {'tasks' if actor else 'actors'})" if other else guess
        told.append(f"{name!r}{hint}")
    raise ValueError(f"no option of {kind}: {', '.join(told)}. There are {', '.join(sorted(known))}.")


def resources_of(options: Mapping[str, Any], default_cpus: float) -> Resources:
    """The amounts that the options ask for.

    Raises:
        ValueError: an amount is no number of at least zero; more than one gpu must be whole ones.
    """
    amounts = _custom(options.get("resources") or {})
    amounts["cpu"] = _given(options, "num_cpus", default_cpus)
    amounts["gpu"] = gpus = _given(options, "num_gpus", 0)
    amounts["memory"] = _given(options, "memory", 0)
    found = Resources.of(amounts)
    if gpus > 1 and gpus % 1:
        raise ValueError(f"num_gpus: more than one gpu must be whole ones, got {gpus:g}")
    return found


def _custom(given: Any) -> dict[str, Any]:
    if not isinstance(given, Mapping):
        raise ValueError(f"resources must be a dictionary of amounts, as {{'licence': 2}}, got {given!r}")
    if taken := [f"{kind} as {_OWN_OPTIONS[kind]}" for kind in given if kind in _OWN_OPTIONS]:
        raise ValueError(f"resources holds custom kinds only: give {', '.join(taken)}")
    return dict(given)


def _given(options: Mapping[str, Any], name: str, default: float) -> Any:
    value = options.get(name)
    return default if value is None else value


def whole(options: Mapping[str, Any], name: str, default: int, least: int) -> int:
    """An option that is a whole number of at least `least`.

    Raises:
        ValueError: it is not.
    """
    value = options.get(name)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ValueError(f"{name} must be a whole number of at least {least}, got {value!r}")
    return value


def returns_of(options: Mapping[str, Any], is_generator: bool) -> int:
    """How many values the call returns: a number, or `STREAMING`.

    Raises:
        ValueError: it is neither a whole number nor ``"streaming"``.
    """
    value = options.get("num_returns")
    if value in ("streaming", "dynamic") or (value is None and is_generator):
        return STREAMING
    if isinstance(value, str):
        raise ValueError(f"num_returns must be a whole number or 'streaming', got {value!r}")
    count = whole(options, "num_returns", 1, 0)
    if count > MOST_RETURNS:
        raise ValueError(f"num_returns must be at most {MOST_RETURNS}, got {count}: return a list, or stream")
    return count


def labels_of(options: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """The labels that a node must have.

    Raises:
        ValueError: they are no dictionary of texts.
    """
    labels = options.get("label_selector") or {}
    check_texts("label_selector", labels)
    return tuple(sorted(labels.items()))


def detached(options: Mapping[str, Any]) -> bool:
    """Whether an actor is to outlive its driver.

    Raises:
        ValueError: there is no such lifetime; or a namespace is given, and only detached actors are in one.
    """
    lifetime, namespace = options.get("lifetime"), options.get("namespace")
    if lifetime not in (None, "non_detached", "detached"):
        raise ValueError(f"lifetime must be 'detached' or left out, got {lifetime!r}")
    is_detached = lifetime == "detached"
    if namespace is not None and not is_detached:
        raise ValueError(
            f"namespace={namespace!r}: only detached actors are in one, and no other driver sees the names of the "
            f"others. Leave it out, or give lifetime='detached'"
        )
    check_namespace(namespace)
    return is_detached


def check_namespace(namespace: Any) -> None:
    """Raise for what cannot be the name of a namespace.

    Raises:
        ValueError: says so.
    """
    if namespace is not None and not (isinstance(namespace, str) and _NAMESPACE.fullmatch(namespace)):
        raise ValueError(
            f"namespace must be at most 64 letters, digits, '.', '_' and '-', the first a letter or a digit, got "
            f"{namespace!r}"
        )


def check_texts(name: str, texts: Any) -> None:
    """Raise unless it is a dictionary of texts."""
    if not isinstance(texts, Mapping) or not all(isinstance(text, str) for item in texts.items() for text in item):
        raise ValueError(f"{name} must be a dictionary of texts, as {{'zone': 'a'}}, got {texts!r}")


def with_spot(plan: Plan, spot: Spot | None) -> Plan:
    """The plan in another place."""
    return replace(plan, spot=spot)


def merged(options: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """`options` with some of them set anew."""
    return {**options, **more}


def bundles_of(bundles: Sequence[Mapping[str, float]]) -> tuple[Resources, ...]:
    """The bundles of a placement group.

    Raises:
        ValueError: there are none, one is empty, or an amount is no number of at least zero.
    """
    found = tuple(Resources.of(bundle) for bundle in bundles)
    if not found or not all(found):
        raise ValueError(f"a placement group needs bundles that each ask for something, got {list(bundles)!r}")
    return found
