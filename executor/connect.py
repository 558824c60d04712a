"""From an address to an executor."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from executor.interface import TrialExecutor
from executor.local import LocalExecutor

if TYPE_CHECKING:
    from executor.hosting.fleet import Fleet

_KINDS = {"local": LocalExecutor}
_CLUSTER, _DASK, _RAY = "grpc://", "dask://", "ray"


def connect(
    address: str | TrialExecutor = "local",
    *,
    experiment: str = "",
    runtime_env: Mapping[str, Any] | None = None,
    **options: Any,
) -> TrialExecutor:
    """The executor at `address`, made with `options`; one that is made already is passed through.

    ``"local"`` is this machine; ``"grpc://HOST:PORT"`` a cluster of ours, also ``"grpc://NAME"`` by what it is called
    here, and ``"grpc://NAME?priority=2"`` to be given room before others; ``"dask://HOST:PORT"`` a Dask cluster, by its
    scheduler; ``"ray"`` the Ray cluster that this process is connected to, or one on this machine, and
    ``"ray:HOST:PORT"`` or ``"ray:auto"`` one that runs. `experiment` is how we show among others.

    `runtime_env` is code and variables that are sent along to other machines, each package once to a node:
    ``{"working_dir": ".", "py_modules": ["../lib"], "env_vars": {"KEY": "value"}, "excludes": ["*.bin"]}``.

    Raises:
        ValueError: there is no such address, options were given for an executor that is made already, or `runtime_env`
            cannot be sent.
        ClusterError: there are no credentials for the cluster here, or its head does not answer or refuses us.
    """
    if isinstance(address, TrialExecutor):
        if runtime_env is not None:
            raise ValueError("the executor is made already, so it cannot take a runtime_env")
        if options:
            raise ValueError(f"the executor is made already, so it cannot take {', '.join(options)}")
        return address
    if address not in _KINDS and runtime_env is not None:
        from executor.hosting.runtime_env import RuntimeEnv

        options["runtime_env"] = RuntimeEnv.of(runtime_env)
    if is_cluster(address):
        from executor.hosting.executor import RemoteExecutor

        env = options.pop("runtime_env", None)
        return RemoteExecutor(cluster_at(address, experiment=experiment, **options), env)
    if address.startswith(_DASK):
        from executor.engines.dask import DaskExecutor

        return DaskExecutor(address.removeprefix(_DASK), **options)
    if address.partition(":")[0] == _RAY:
        from executor.engines.ray import RayExecutor

        return RayExecutor(address.partition(":")[2] or None, **options)
    if address not in _KINDS:
        known = ", ".join(map(repr, [*_KINDS, f"{_CLUSTER}HOST:PORT", f"{_DASK}HOST:PORT", _RAY]))
        raise ValueError(f"no executor at {address!r}: there is {known}; or pass an executor of your own")
    return _KINDS[address](**options)


def is_cluster(address: str) -> bool:
    """Whether it is the address of a cluster of ours."""
    return address.startswith(_CLUSTER)


def cluster_at(address: str, *, experiment: str = "", **options: Any) -> Fleet:
    """The nodes of the cluster at such an address.

    Raises:
        ValueError: what it asks for behind its question mark is none of what there is.
        ClusterError: there are no credentials for it here, or its head does not answer or refuses us.
    """
    from executor.cluster.client import open_fleet  # gRPC takes 60 ms to import

    target, _, query = address.removeprefix(_CLUSTER).partition("?")
    return open_fleet(target, experiment=experiment, **_asked(address, query), **options)


def _asked(address: str, query: str) -> dict[str, Any]:
    """What an address asks for behind its question mark."""
    kinds = {"priority": int, "patience_s": float}
    try:
        return {key: kinds[key](value) for key, value in parse_qsl(query, strict_parsing=bool(query))}
    except (KeyError, ValueError):
        raise ValueError(f"{address!r} may end in ?priority=NUMBER&patience_s=SECONDS, and in nothing else") from None
