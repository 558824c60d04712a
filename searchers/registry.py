"""The searchers by the names that configuration files use."""

from __future__ import annotations

import inspect
from difflib import get_close_matches
from importlib import import_module
from typing import Any

from searchers.base import Searcher

SEARCHERS = {
    "random": "searchers.variants:RandomSearch",
    "grid": "searchers.variants:GridSearch",
    "variant_generator": "searchers.variants:BasicVariantGenerator",
    "auto": "searchers.auto:AutoSearch",
    "tpe": "searchers.tpe:TPESearch",
    "gp": "searchers.gaussian_process:GaussianProcessSearch",
    "bohb": "searchers.bohb:BOHBSearch",
    "sobol": "searchers.quasirandom:SobolSearch",
    "halton": "searchers.quasirandom:HaltonSearch",
    "evolution": "searchers.evolution:EvolutionSearch",
    "optuna": "searchers.optuna:OptunaSearch",
    "hyperopt": "searchers.libraries.hyperopt:HyperOptSearch",
    "bayesopt": "searchers.libraries.bayesopt:BayesOptSearch",
    "nevergrad": "searchers.libraries.nevergrad:NevergradSearch",
    "zoopt": "searchers.libraries.zoopt:ZOOptSearch",
    "ax": "searchers.libraries.ax:AxSearch",
    "hebo": "searchers.libraries.hebo:HEBOSearch",
}


def create_searcher(name: str, **arguments: Any) -> Searcher:
    """The searcher that configuration files call `name`, made with `arguments`.

    Raises:
        ValueError: there is no such searcher, or it takes no such argument; the nearest name is given.
    """
    if name not in SEARCHERS:
        raise ValueError(f"there is no searcher {name!r}; {_nearest(name, list(SEARCHERS))}")
    module, class_name = SEARCHERS[name].split(":")
    searcher: type[Searcher] = getattr(import_module(module), class_name)
    known = list(inspect.signature(searcher).parameters)
    for argument in arguments:
        if argument not in known:
            raise ValueError(f"{class_name} takes no argument {argument!r}; {_nearest(argument, known)}")
    return searcher(**arguments)


def _nearest(name: str, known: list[str]) -> str:
    matches = get_close_matches(name, known, n=1)
    return f"did you mean {matches[0]!r}?" if matches else f"known are {', '.join(known)}"
