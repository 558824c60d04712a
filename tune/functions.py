"""Objectives in closed form, whose optimum is known: for trying searchers and schedulers, and for tests.

Each is a callable of a configuration and has a `space`, so that it can be tuned as it is::

    tune.run(branin, config=branin.space, metric="value", mode="min", num_samples=50)

and simulated, where each epoch is one more level of fidelity::

    tune.simulate(currin(epochs=27), scheduler="asha", metric="value", mode="max", num_samples=100)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from searchers.space import choice, uniform

Curve = Sequence[tuple[dict[str, Any], float]]


@dataclass(frozen=True)
class Function:
    """A function of a configuration and of a fidelity in (0, 1].

    Attributes:
        name: what it is called.
        space: where it is defined.
        optimum: its best value at full fidelity, where `mode` is ``min`` or ``max``.
        value: the function itself.
        epochs: how many levels of fidelity a trial goes through: k / epochs at epoch k, of one second each.
    """

    name: str
    space: Mapping[str, Any]
    mode: str
    optimum: float
    value: Callable[[Mapping[str, Any], float], float]
    epochs: int = 1

    @property
    def __name__(self) -> str:
        return self.name

    def __call__(self, config: Mapping[str, Any]) -> Iterator[dict[str, float]]:
        """Report ``value`` at each level of fidelity, the highest last: a trainable."""
        for metrics, seconds in self.curve(config):
            yield {**metrics, "time_this_iter_s": seconds}

    def curve(self, config: Mapping[str, Any]) -> Curve:
        """What `config` reports at each epoch, and how many seconds that takes."""
        return [({"value": self.value(config, level / self.epochs)}, 1.0) for level in range(1, self.epochs + 1)]

    def best(self, metric: str, mode: str) -> float | None:
        """The optimum, when `metric` and `mode` are the function's own."""
        return self.optimum if (metric, mode) == ("value", self.mode) else None


def _branin(config: Mapping[str, Any], _fidelity: float) -> float:
    x, y = config["x"], config["y"]
    b, c, t = 5.1 / (4 * math.pi**2), 5 / math.pi, 1 / (8 * math.pi)
    return float((y - b * x**2 + c * x - 6) ** 2 + 10 * (1 - t) * math.cos(x) + 10)


branin = Function("branin", {"x": uniform(-5, 10), "y": uniform(0, 15)}, "min", 0.39788735772973816, _branin)
"""Two parameters, three optima. Dixon and Szego, Towards Global Optimisation 2, 1978."""

_ALPHA = (1.0, 1.2, 3.0, 3.2)
_A3 = ((3.0, 10.0, 30.0), (0.1, 10.0, 35.0), (3.0, 10.0, 30.0), (0.1, 10.0, 35.0))
_P3 = (
    (0.3689, 0.1170, 0.2673),
    (0.4699, 0.4387, 0.7470),
    (0.1091, 0.8732, 0.5547),
    (0.0381, 0.5743, 0.8828),
)
_A6 = (
    (10.0, 3.0, 17.0, 3.5, 1.7, 8.0),
    (0.05, 10.0, 17.0, 0.1, 8.0, 14.0),
    (3.0, 3.5, 1.7, 10.0, 17.0, 8.0),
    (17.0, 8.0, 0.05, 10.0, 0.1, 14.0),
)
_P6 = (
    (0.1312, 0.1696, 0.5569, 0.0124, 0.8283, 0.5886),
    (0.2329, 0.4135, 0.8307, 0.3736, 0.1004, 0.9991),
    (0.2348, 0.1451, 0.3522, 0.2883, 0.3047, 0.6650),
    (0.4047, 0.8828, 0.8732, 0.5743, 0.1091, 0.0381),
)


def _hartmann(
    weights: tuple[tuple[float, ...], ...], centres: tuple[tuple[float, ...], ...]
) -> Callable[[Mapping[str, Any], float], float]:
    def value(config: Mapping[str, Any], fidelity: float) -> float:
        # In the manner of Kandasamy et al., arXiv:1703.06240: less fidelity takes up to 0.1 from each alpha.
        point = [config[f"x{number}"] for number in range(len(centres[0]))]
        total = 0.0
        for alpha, row, centre in zip(_ALPHA, weights, centres, strict=True):
            distance = sum(a * (x - p) ** 2 for a, x, p in zip(row, point, centre, strict=True))
            total += (alpha - 0.1 * (1 - fidelity)) * math.exp(-distance)
        return -total

    return value


def _cube(dimensions: int) -> dict[str, Any]:
    return {f"x{number}": uniform(0, 1) for number in range(dimensions)}


def hartmann3(epochs: int = 1) -> Function:
    """Three parameters, four optima of which one is best; `epochs` levels of fidelity."""
    return Function("hartmann3", _cube(3), "min", -3.86277978733266, _hartmann(_A3, _P3), epochs)


def hartmann6(epochs: int = 1) -> Function:
    """Six parameters, six optima of which one is best; `epochs` levels of fidelity."""
    return Function("hartmann6", _cube(6), "min", -3.322368011415515, _hartmann(_A6, _P6), epochs)


def _currin_at(x: float, y: float) -> float:
    steep = 1 - math.exp(-1 / (2 * y)) if y > 0 else 1.0
    return steep * (2300 * x**3 + 1900 * x**2 + 2092 * x + 60) / (100 * x**3 + 500 * x**2 + 4 * x + 20)


def _currin(config: Mapping[str, Any], fidelity: float) -> float:
    x, y = config["x"], config["y"]
    # In the manner of Kandasamy et al., arXiv:1703.06240: less fidelity takes up to a tenth away.
    steep = 1 - 0.1 * (1 - fidelity) * (math.exp(-1 / (2 * y)) if y > 0 else 0.0)
    return steep * _currin_at(x, y)


def currin(epochs: int = 1) -> Function:
    """Two parameters, one optimum; `epochs` levels of fidelity. Currin et al., ORNL-6498, 1988."""
    return Function("currin", {"x": uniform(0, 1), "y": uniform(0, 1)}, "max", 13.798722044728438, _currin, epochs)


def counting_ones(categories: int = 8, numbers: int = 8, epochs: int = 1, *, samples: int = 729) -> Function:
    """Count the ones: `categories` bits and the means of as many draws of `numbers` biased coins as fidelity allows.

    Falkner et al., BOHB, arXiv:1807.01774, section 5.1. The fewer of all `samples` draws are made, the noisier; the
    same configuration draws the same coins each time. The best value, of all ones, is -(categories + numbers).
    """
    space: dict[str, Any] = {f"bit{at}": choice([0, 1]) for at in range(categories)}
    space |= {f"p{at}": uniform(0, 1) for at in range(numbers)}

    def value(config: Mapping[str, Any], fidelity: float) -> float:
        chance = Random(repr(sorted(config.items())))
        draws = max(round(samples * fidelity), 1)
        bits = sum(config[f"bit{at}"] for at in range(categories))
        means = sum(sum(chance.random() < config[f"p{at}"] for _ in range(draws)) / draws for at in range(numbers))
        return -float(bits + means)

    return Function("counting_ones", space, "min", -float(categories + numbers), value, epochs)
