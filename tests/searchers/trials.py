"""Driving a searcher by hand: bound, asked, told."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from searchers import SearchContext, Searcher

Loss = Callable[[dict[str, Any]], float]


def bound(searcher: Searcher, space: Mapping[str, Any], seed: int = 0, num_samples: int = -1) -> Any:
    searcher.bind(SearchContext(space, ("loss",), ("min",), seed, num_samples))
    return searcher


def tell(searcher: Searcher, number: int, config: dict[str, Any], loss: float | None) -> None:
    """A trial with `config` ended with `loss`, or failed with None."""
    searcher.on_trial_add(f"t{number}", config)
    result = None if loss is None else {"loss": loss, "training_iteration": 1}
    searcher.on_trial_complete(f"t{number}", result, loss is None)


def run(searcher: Searcher, loss: Loss, count: int, start: int = 0) -> list[float]:
    """The losses of `count` trials, one after the other."""
    losses = []
    for number in range(start, start + count):
        config = searcher.suggest(f"t{number}")
        assert isinstance(config, dict)
        losses.append(loss(config))
        tell(searcher, number, config, losses[-1])
    return losses
