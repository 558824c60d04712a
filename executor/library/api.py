"""The functions that a user calls: `init`, `remote`, `get`, `put`, `wait` and their kin."""

from __future__ import annotations

import atexit
import inspect
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from executor.errors import ExecutorError
from executor.labels import called, without
from executor.library.backend import Backend
from executor.library.client import Client
from executor.library.context import Context
from executor.library.driver import Driver
from executor.library.functions import RemoteFunction
from executor.library.handles import ActorClass, ActorHandle, actor_number
from executor.library.hub import Hub
from executor.library.machine import Machine
from executor.library.mistakes import made_of
from executor.library.opening import check_address, check_opening, offer_of
from executor.library.plans import Code, Surrounding, check_namespace
from executor.library.refs import ObjectRef, ObjectRefGenerator, number_of
from executor.library.requests import running
from executor.library.runtime import become, current, existing
from executor.library.serving import Leave
from executor.library.status import Status
from executor.library.surroundings import surrounding_of
from executor.resources import Resources

if TYPE_CHECKING:
    from executor.hosting.fleet import Fleet

__audition_internal__ = True


def init(
    address: str | Fleet | None = None,
    *,
    num_cpus: float | None = None,
    num_gpus: float | None = None,
    memory: int | None = None,
    resources: Mapping[str, float] | None = None,
    labels: Mapping[str, str] | None = None,
    object_store_memory: int | None = None,
    spill_directory: str | None = None,
    runtime_env: Mapping[str, Any] | None = None,
    namespace: str = "default",
    log_to_driver: bool = True,
    ignore_reinit_error: bool = False,
) -> Context:
    """Open the executor: on this machine, where it is needless if the defaults will do, or on a cluster's nodes.

    What it returns shows what there is, and may be used in a ``with``, at whose end it is shut down.

    Args:
        address: ``None``, ``"local"`` or ``"auto"`` for this machine, of which is discovered what is not given; or a
            cluster's, as in ``tune.run``: ``"grpc://HOST:PORT"``, whose nodes have said what they offer as they joined.
        num_cpus: cpus that tasks and actors may hold, any number of at least 0; by default those that this process
            may use.
        num_gpus: gpus that they may hold; by default those that the driver shows in ``CUDA_VISIBLE_DEVICES``, or all.
        memory: bytes that they may hold in all; by default the machine's, or what its container allows.
        resources: amounts of custom kinds, as ``{"licence": 2}``.
        labels: what this machine is called, for ``label_selector``, as ``{"zone": "a"}``.
        object_store_memory: bytes of shared memory for large objects, 30% of the memory by default; what does not fit
            goes to disk.
        spill_directory: a folder for that; a temporary one by default.
        runtime_env: the default of the option `runtime_env`. To a cluster's nodes its folder and modules are sent, up
            to 200 MiB each, but for what matches its `excludes`; all that runs there has them and its variables.
        namespace: of a cluster, where detached actors are created and looked for that do not say otherwise.
        log_to_driver: show here what tasks and actors print, each line with the process that printed it.
        ignore_reinit_error: do nothing when it is open already.

    Raises:
        ExecutorError: it is open already.
        ValueError: there is no such address, or something cannot be taken: says all that is wrong.
        OSError: code that is to be sent to nodes cannot be read.
        ClusterError: there are no credentials for the cluster here, or its head does not answer or refuses us.
    """
    before = existing()
    if before is not None:
        if ignore_reinit_error and isinstance(before, Driver):
            return Context(before)
        raise ExecutorError(
            "the executor is open already: call executor.shutdown() first, or pass ignore_reinit_error=True"
        )
    given = {
        "num_cpus": num_cpus, "num_gpus": num_gpus, "memory": memory, "resources": resources, "labels": labels,
        "object_store_memory": object_store_memory, "spill_directory": spill_directory, "runtime_env": runtime_env,
    }  # fmt: skip
    made_of(check_opening, given)
    check_namespace(namespace)
    check_address(address, given)
    surrounding = surrounding_of(runtime_env, Resources())
    backend = _backend_at(address, given, surrounding)
    driver = Driver(Hub(backend, log_to_driver=log_to_driver, namespace=namespace))
    driver.surrounding = surrounding if backend.is_here else replace(surrounding, code=Code())
    become(driver)
    _tell_joblib()
    return Context(driver)


def _backend_at(address: str | Fleet | None, given: Mapping[str, Any], surrounding: Surrounding) -> Backend:
    """Where workers run, by default in this surrounding."""
    if address in (None, "local", "auto"):
        return Machine(offer_of(given))
    from executor.connect import cluster_at
    from executor.library.nodes import Nodes  # nobody needs it, and gRPC, on one machine
    from executor.library.sending import packed

    along = packed(surrounding.code)  # before anybody is dialled: it may be too large
    fleet = cluster_at(address) if isinstance(address, str) else address
    return Nodes(fleet, dict(surrounding.environment), along, store_bytes=given["object_store_memory"])


def _tell_joblib() -> None:
    """Have joblib know our backend, where a program uses both; without loading either of them here."""
    joblib: Any = sys.modules.get("joblib.parallel")
    if hasattr(joblib, "register_parallel_backend"):
        joblib.register_parallel_backend("executor", _backend)


def _backend(**settings: Any) -> Any:
    from executor.util.joblib import ExecutorBackend  # the module that owns joblib

    return ExecutorBackend(**settings)


@atexit.register
def shutdown() -> None:
    """End every task and actor and give everything back, within about two seconds; does nothing when none is open."""
    runtime = existing()
    if isinstance(runtime, Driver):
        Context(runtime).disconnect()


def is_initialized() -> bool:
    """Whether the executor is open."""
    return existing() is not None


def remote(*arguments: Any, **options: Any) -> Any:
    """Make a function a remote function, or a class an actor class: ``@remote`` or ``@remote(num_cpus=2)``.

    Args:
        arguments: the function or class, when there are no options.
        options: of both ``num_cpus`` (1 for tasks, 0 for actors), ``num_gpus`` and ``memory`` (0, in bytes: also a
            limit), ``resources``, ``label_selector``, ``name``, ``runtime_env``, ``scheduling_strategy``,
            ``placement_group`` and ``placement_group_bundle_index``; of tasks ``num_returns`` (1), ``max_retries`` (3),
            ``retry_exceptions`` (False), ``max_calls`` and ``generator_backpressure_num_objects`` (0: no limit); of
            actors ``max_restarts`` and ``max_task_retries`` (0, and -1 for ever), ``max_concurrency`` (1, or 1000 with
            coroutines), ``max_pending_calls`` (-1: no limit) and ``get_if_exists`` (False).

    Raises:
        TypeError: it is neither.
        ValueError: there is no such option, or a value is not of its kind.
    """
    if len(arguments) == 1 and not options and callable(arguments[0]):
        return _remote(arguments[0], {})
    if arguments:
        raise TypeError("remote takes a function or a class, or options by name: @remote or @remote(num_cpus=2)")
    return lambda function: _remote(function, options)


def _remote(function: Any, options: Mapping[str, Any]) -> Any:
    if inspect.isclass(function):
        return ActorClass(function, options)
    if callable(function):
        if inspect.iscoroutinefunction(function):
            raise TypeError(f"{function.__name__} is a coroutine function: async is for the methods of actors")
        return RemoteFunction(function, options)
    raise TypeError(f"remote takes a function or a class, got {function!r}")


def get(refs: Any, *, timeout: float | None = None) -> Any:
    """The value of a reference, or the values of a list of them, waited for.

    Arrays, and what holds their memory, are read-only and share the memory that all processes see.

    Args:
        refs: a reference, a list of them, or a call's stream, which is read to its end.
        timeout: seconds to wait at most; None for as long as it takes.

    Raises:
        GetTimeoutError: not all are there within `timeout` seconds.
        BaseException: what the call raised, as its own class; its cause is the traceback from over there.
        TypeError: it is no reference.
        ExecutorClosedError: the executor that the reference belongs to was shut down.
    """
    runtime = current()
    if isinstance(refs, ObjectRef):
        found = [refs]
    else:
        found = list(refs) if isinstance(refs, Sequence | ObjectRefGenerator) else [refs]
        _check_refs("get", found)
    try:
        values = runtime.get(found, timeout)
    except BaseException as error:  # noqa: BLE001 - raised again at once, without its way through our frames
        raise error.with_traceback(None)  # noqa: B904 - it is the same one
    return values[0] if isinstance(refs, ObjectRef) else values


def _check_refs(function: str, refs: Iterable[Any]) -> None:
    for ref in refs:
        if not isinstance(ref, ObjectRef):
            raise TypeError(f"{function} takes references, as .remote() and put return them, got {ref!r}")


def put(value: Any) -> ObjectRef[Any]:
    """Keep a value, once for all who are passed the reference.

    Raises:
        TypeError: it cannot be pickled, or it is a reference already.
        ObjectStoreFullError: there is room for it neither in memory nor on disk.
    """
    if isinstance(value, ObjectRef):
        raise TypeError("put takes a value, this is a reference already: pass it as it is, or in a list")
    return current().put(value)


def wait(
    refs: Sequence[ObjectRef[Any]],
    *,
    num_returns: int = 1,
    timeout: float | None = None,
    fetch_local: bool = True,  # noqa: ARG001 - Ray's: here every value is local
) -> tuple[list[ObjectRef[Any]], list[ObjectRef[Any]]]:
    """Wait until `num_returns` of the references are there, or `timeout` seconds are over (None: for ever).

    Returns those that are there, at most `num_returns`, and the others, both in the order given.

    Raises:
        ValueError: there are not so many references, none at all, or one is given twice.
        TypeError: one is no reference.
    """
    given = list(refs) if isinstance(refs, Sequence) else [refs]
    _check_refs("wait", given)
    if not 0 < num_returns <= len(given):
        raise ValueError(f"num_returns must be 1 to the number of references, {len(given)}, got {num_returns!r}")
    if len(set(given)) < len(given):
        raise ValueError("wait: a reference is given twice")
    there = current().wait([number_of(ref) for ref in given], num_returns, timeout)
    ready = [ref for ref in given if number_of(ref) in there][:num_returns]
    taken = set(ready)
    return ready, [ref for ref in given if ref not in taken]


def as_completed(refs: Sequence[ObjectRef[Any]], *, timeout: float | None = None) -> Iterator[ObjectRef[Any]]:
    """The references, each as soon as it is there; those of calls that raised too.

    Raises:
        GetTimeoutError: from the iterator: not all are there `timeout` seconds after it was first asked.
        TypeError: from the iterator: one is no reference.
    """
    import time

    from executor.errors import GetTimeoutError

    deadline = None if timeout is None else time.monotonic() + timeout
    left = list(refs)
    _check_refs("as_completed", left)
    while left:
        left_s = None if deadline is None else max(0.0, deadline - time.monotonic())
        there = current().wait([number_of(ref) for ref in left], 1, left_s)
        if not there:
            raise GetTimeoutError(f"{len(left)} of {len(refs)} values were not there after {timeout:g} s")
        ready = [ref for ref in left if number_of(ref) in there]
        left = [ref for ref in left if number_of(ref) not in there]
        yield from ready


def cancel(
    ref: ObjectRef[Any] | ObjectRefGenerator, *, force: bool = False, recursive: bool = True, grace: float | None = None
) -> None:
    """End a call before its time; getting its value then raises `TaskCancelledError`.

    One that has not begun never does. One that runs meets a `KeyboardInterrupt` (a coroutine a `CancelledError`, a call
    in a thread of an actor not before it goes on in Python or waits for an object); with `force` its process is ended
    at once, with `grace` after so many seconds in which it has not ended. One that returns its value all the same has
    it. Nothing happens to a call that has ended.

    Args:
        ref: what the call returns.
        force: end the process; not for calls of actors, which `kill` ends.
        recursive: cancel the calls that it has submitted too.
        grace: seconds to wait before its process is ended; an actor is started again where it may.

    Raises:
        ValueError: `force` for a call of an actor.
        TypeError: it is neither a reference nor a stream.
    """
    if isinstance(ref, ObjectRefGenerator):
        ref = ref.completed()
    _check_refs("cancel", [ref])
    current().ask("cancel", number_of(ref), force, recursive, grace)


def kill(actor: ActorHandle, *, no_restart: bool = True) -> None:
    """End an actor's process at once; its calls raise `ActorDiedError`.

    Args:
        actor: its handle; nothing happens when it does not live any more.
        no_restart: also end the actor; when False it is started again where its `max_restarts` allow.

    Raises:
        TypeError: it is no handle.
    """
    if not isinstance(actor, ActorHandle):
        raise TypeError(f"kill takes the handle of an actor, got {actor!r}; cancel ends a task")
    current().ask("kill_actor", actor_number(actor), not no_restart)


def get_actor(name: str, namespace: str | None = None) -> ActorHandle:
    """The handle of the live actor that has this name: one of this driver's, or of a cluster's detached ones.

    Args:
        name: as it was created with, by any process of this driver, or by any driver with ``lifetime="detached"``.
        namespace: where to look, among detached actors alone; by default among this driver's, then in its namespace.

    Raises:
        ValueError: there is none; or a namespace is given, and this is no cluster.
        ClusterError: the cluster's head cannot be asked just now.
    """
    check_namespace(namespace)
    runtime = current()
    number, description = runtime.ask("get_actor", name, namespace)
    return ActorHandle(runtime.own(number), description)


def list_named_actors() -> list[str]:
    """The names of the live actors that have one, this driver's and the detached ones of its namespace, sorted.

    Raises:
        ClusterError: the cluster's head cannot be asked just now.
    """
    return list(current().ask("actor_names"))


def exit_actor() -> None:
    """End the actor that this is called in; calls that wait for it raise `ActorDiedError`.

    Raises:
        ExecutorError: this is no actor.
    """
    runtime = existing()
    if not isinstance(runtime, Client) or runtime.actor is None:
        raise ExecutorError("exit_actor ends the actor that it is called in, and this is none")
    raise Leave


def emit(value: Any) -> Any:
    """Hand a value to whoever reads this call's stream, and wait for the answer that `send` gives (None otherwise).

    Raises:
        ExecutorError: this is no call that streams (``num_returns="streaming"``).
    """
    runtime, call = existing(), running.get()
    if not isinstance(runtime, Client) or call not in runtime.streams:
        raise ExecutorError(
            "emit works inside a task, or a method of an actor, that is called with num_returns='streaming'"
        )
    return runtime.streams.emit(call, value)


def nodes() -> list[dict[str, Any]]:
    """The machines: this one, or the nodes of the cluster that there are just now."""
    return [
        {
            "NodeID": node.name,
            "Alive": True,
            "Resources": _ray_names(without(node.capacity).as_dict()),
            "Labels": called(node.capacity),
        }
        for node in current().ask("nodes")
    ]


def cluster_resources() -> dict[str, float]:
    """All that there is: ``CPU``, ``GPU``, ``memory`` in bytes, and custom kinds."""
    return _ray_names(current().ask("total").as_dict())


def available_resources() -> dict[str, float]:
    """What is free just now, by the same names; kinds of which nothing is free may be missing."""
    return _ray_names(current().ask("available").as_dict())


def _ray_names(amounts: Mapping[str, float]) -> dict[str, float]:
    return {{"cpu": "CPU", "gpu": "GPU"}.get(kind, kind): float(amount) for kind, amount in amounts.items()}


def status() -> Status:
    """Actors, calls, resources, objects and processes, as values; ``print`` shows them as tables."""
    found: Status = current().ask("status")
    return found


def stacks(target: ActorHandle | ObjectRef[Any] | ObjectRefGenerator, *, timeout: float = 5.0) -> str:
    """Where a live actor, or a call that runs, is right now: the stacks of all its threads, innermost frame first.

    Before them the calls that its process was sent are named: one that is a C function has no frame of its own.
    It works inside a C call that holds the interpreter too. When the process gives no answer within `timeout` seconds,
    the text says so.

    Raises:
        ExecutorError: nothing of it runs just now; or this is called in a worker.
    """
    runtime = current()
    if not isinstance(runtime, Driver):
        raise ExecutorError("stacks is to be called in the driver: it has the processes")
    if isinstance(target, ActorHandle):
        number = actor_number(target)
    else:
        number = number_of(target.completed() if isinstance(target, ObjectRefGenerator) else target)
    found = runtime.ask("worker_of", number)
    if found is None:
        raise ExecutorError(f"{target!r} has no process just now: it has ended, or it has not begun")
    worker, calls = found
    return f"Calls: {', '.join(calls) or 'none'}\n\n" + runtime.hub.backend.stacks(worker, timeout)


@dataclass(frozen=True, slots=True)
class RuntimeContext:
    """What a task or an actor can know of itself. Outside of both all is empty."""

    task_id: str | None
    actor_id: str | None
    actor_name: str | None
    restart_count: int
    worker_id: int
    node_id: str

    @property
    def was_current_actor_reconstructed(self) -> bool:
        """Whether the actor was restarted."""
        return self.restart_count > 0

    def get_task_id(self) -> str | None:
        """The call's number as text."""
        return self.task_id

    def get_node_id(self) -> str:
        """The name of the node that it runs on; in a driver on a cluster, which is on none, it is empty."""
        return self.node_id

    def get_actor_id(self) -> str | None:
        """The actor's number as text."""
        return self.actor_id


def get_runtime_context() -> RuntimeContext:
    """What the running task or actor can know of itself."""
    runtime, call = existing(), running.get()
    number, name, restarts = (runtime.actor or (0, None, 0)) if isinstance(runtime, Client) else (0, None, 0)
    return RuntimeContext(
        task_id=f"{call:016x}" if call else None,
        actor_id=f"{number:016x}" if number else None,
        actor_name=name,
        restart_count=restarts,
        worker_id=runtime.number if runtime is not None else 0,
        node_id=runtime.node if runtime is not None else "",
    )


def get_gpu_ids() -> list[str]:
    """The gpus that this task or actor has, as ``CUDA_VISIBLE_DEVICES`` names them; in the driver none."""
    import os

    if not isinstance(existing(), Client):
        return []
    return [name for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name]
