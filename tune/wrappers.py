"""`with_parameters` and `with_resources`: a trainable together with what it needs; itself it is not changed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from executor.resources import Request, Resources

ResourceRule = Callable[[Mapping[str, Any]], Request]


@dataclass(frozen=True)
class Fitted:
    """A trainable with large values bound to its keywords, and with the resources of its trials."""

    trainable: Any
    parameters: dict[str, Any] = field(default_factory=dict)
    request: Request | ResourceRule | None = None

    @property
    def __name__(self) -> str:
        return getattr(self.trainable, "__name__", type(self.trainable).__name__)

    def __call__(self, config: dict[str, Any]) -> Any:
        """Call the trainable directly, outside of any run."""
        return self.trainable(config, **self.parameters)


def with_parameters(trainable: Any, **parameters: Any) -> Fitted:
    """`trainable` with values given to it as keywords (to ``setup`` for a class): sent once, not with every trial."""
    fitted = as_fitted(trainable)
    return replace(fitted, parameters={**fitted.parameters, **parameters})


def with_resources(trainable: Any, resources: Any) -> Fitted:
    """`trainable` with what each of its trials needs: see `as_request`, or a function of the configuration."""
    if callable(resources) and not isinstance(resources, Request):
        rule: Callable[[Mapping[str, Any]], Any] = resources
        return replace(as_fitted(trainable), request=lambda config: as_request(rule(config)))
    return replace(as_fitted(trainable), request=as_request(resources))


def as_fitted(trainable: Any) -> Fitted:
    """`trainable` as it is when it is fitted already, bare otherwise."""
    return trainable if isinstance(trainable, Fitted) else Fitted(trainable)


def as_request(resources: Any) -> Request:
    """What a user may write for resources: ``{"cpu": 2, "gpu": 0.5}``, `Gang`, `PlacementGroupFactory`, `Request`.

    A dictionary may hold ``custom_resources``; one that does not say how many cpus asks for one.

    Raises:
        ValueError: an amount is no number of at least zero.
        TypeError: it is none of these.
    """
    if isinstance(resources, Request):
        return resources
    if not isinstance(resources, Mapping):
        raise TypeError(f"resources must be a dictionary such as {{'cpu': 2, 'gpu': 1}}, got {resources!r}")
    amounts = {**resources, **resources.get("custom_resources", {})}
    amounts.pop("custom_resources", None)
    if "cpu" not in amounts and "CPU" not in amounts:
        amounts["cpu"] = 1
    return Request((Resources.of(amounts),))


def PlacementGroupFactory(bundles: Sequence[Mapping[str, float]], strategy: str = "PACK") -> Request:  # noqa: N802 (Ray's name)
    """Several bundles, reserved all or nothing: the first is the trainable's own, the others its workers'."""
    return Request(tuple(Resources.of(bundle) for bundle in bundles), strategy)


def Gang(workers: int, *, cpu: float = 1, strategy: str = "PACK", **more: float) -> Request:  # noqa: N802 (reads as a value)
    """Several workers for each trial, all of which run the trainable: the ground for distributed training.

    Args:
        workers: how many, from 1.
        cpu: cpus of each worker.
        strategy: how they spread over nodes: ``PACK``, ``SPREAD``, ``STRICT_PACK``, ``STRICT_SPREAD``.
        **more: what else each worker needs: ``gpu``, ``memory`` in bytes, kinds of your own.

    Raises:
        ValueError: `workers` is no whole number from 1, or an amount is no number of at least zero.
    """
    if not isinstance(workers, int) or isinstance(workers, bool) or workers < 1:
        raise ValueError(f"workers must be a whole number from 1, got {workers!r}")
    return Request((Resources.of(cpu=cpu, **more),) * workers, strategy, gang=True)
