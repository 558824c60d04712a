"""Search spaces, and which configuration to try next.

Each name is imported when it is first used, so that ``import searchers`` costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from searchers.auto import AutoSearch
    from searchers.base import FINISHED, SearchContext, Searcher, Suggestion, trial_number
    from searchers.bohb import BOHBSearch, TuneBOHB
    from searchers.choices import Choice, SampleFrom
    from searchers.constraints import Constraint
    from searchers.define import DrawnTrial, SuggestingTrial
    from searchers.definition import Constrained, constrained, read_definition
    from searchers.description import Description, describe
    from searchers.domain import Domain, Float, Integer, Normal, Ordered, ReverseLog
    from searchers.encoding import Column, Encoding
    from searchers.evolution import EvolutionSearch
    from searchers.gaussian_process import GaussianProcessSearch
    from searchers.ladder import FiniteRange, Ladder, Ordinal
    from searchers.libraries.ax import AxSearch
    from searchers.libraries.bayesopt import BayesOptSearch
    from searchers.libraries.hebo import HEBOSearch
    from searchers.libraries.hyperopt import HyperOptSearch
    from searchers.libraries.nevergrad import NevergradSearch
    from searchers.libraries.zoopt import ZOOptSearch
    from searchers.limiter import ConcurrencyLimiter
    from searchers.optuna import OptunaSearch
    from searchers.parameters import Condition
    from searchers.quasirandom import HaltonSearch, SobolSearch
    from searchers.registry import SEARCHERS, create_searcher
    from searchers.repeater import Repeater
    from searchers.resolution import resolve
    from searchers.space import (
        DISTRIBUTIONS,
        choice,
        domains,
        finrange,
        grid_axes,
        grid_search,
        logfinrange,
        lognormal,
        lograndint,
        loguniform,
        normal,
        ordinal,
        qlognormal,
        qlograndint,
        qloguniform,
        qrandint,
        qrandn,
        quniform,
        randint,
        randn,
        reverseloguniform,
        sample_from,
        uniform,
        validate_space,
    )
    from searchers.tpe import TPESearch
    from searchers.variants import BasicVariantGenerator, GridSearch, RandomSearch

__all__ = ["BasicVariantGenerator", "ConcurrencyLimiter", "GridSearch", "OptunaSearch", "RandomSearch"]
__all__ += ["AxSearch", "BayesOptSearch", "HEBOSearch", "HyperOptSearch", "NevergradSearch", "ZOOptSearch"]
__all__ += ["AutoSearch", "BOHBSearch", "EvolutionSearch", "GaussianProcessSearch", "HaltonSearch", "Repeater"]
__all__ += ["SobolSearch", "TPESearch", "TuneBOHB"]
__all__ += ["FINISHED", "SearchContext", "Searcher", "Suggestion", "trial_number"]
__all__ += ["SEARCHERS", "create_searcher"]
__all__ += ["uniform", "quniform", "loguniform", "qloguniform", "randn", "qrandn"]
__all__ += ["randint", "qrandint", "lograndint", "qlograndint", "choice", "sample_from", "grid_search"]
__all__ += ["reverseloguniform", "normal", "lognormal", "qlognormal", "finrange", "logfinrange", "ordinal"]
__all__ += ["Choice", "Domain", "Float", "Integer", "Normal", "SampleFrom"]
__all__ += ["Ordered", "ReverseLog", "Ladder", "FiniteRange", "Ordinal", "Column", "Condition", "Encoding"]
__all__ += ["Constrained", "Constraint", "constrained", "read_definition", "Description", "describe"]
__all__ += ["DrawnTrial", "SuggestingTrial"]
__all__ += ["DISTRIBUTIONS", "domains", "grid_axes", "resolve", "validate_space"]

_MODULES = {
    "searchers.auto": ("AutoSearch",),
    "searchers.base": ("FINISHED", "SearchContext", "Searcher", "Suggestion", "trial_number"),
    "searchers.bohb": ("BOHBSearch", "TuneBOHB"),
    "searchers.choices": ("Choice", "SampleFrom"),
    "searchers.constraints": ("Constraint",),
    "searchers.define": ("DrawnTrial", "SuggestingTrial"),
    "searchers.definition": ("Constrained", "constrained", "read_definition"),
    "searchers.description": ("Description", "describe"),
    "searchers.domain": ("Domain", "Float", "Integer", "Normal", "Ordered", "ReverseLog"),
    "searchers.encoding": ("Column", "Encoding"),
    "searchers.evolution": ("EvolutionSearch",),
    "searchers.gaussian_process": ("GaussianProcessSearch",),
    "searchers.ladder": ("FiniteRange", "Ladder", "Ordinal"),
    "searchers.libraries.ax": ("AxSearch",),
    "searchers.libraries.bayesopt": ("BayesOptSearch",),
    "searchers.libraries.hebo": ("HEBOSearch",),
    "searchers.libraries.hyperopt": ("HyperOptSearch",),
    "searchers.libraries.nevergrad": ("NevergradSearch",),
    "searchers.libraries.zoopt": ("ZOOptSearch",),
    "searchers.limiter": ("ConcurrencyLimiter",),
    "searchers.optuna": ("OptunaSearch",),
    "searchers.parameters": ("Condition",),
    "searchers.quasirandom": ("HaltonSearch", "SobolSearch"),
    "searchers.registry": ("SEARCHERS", "create_searcher"),
    "searchers.repeater": ("Repeater",),
    "searchers.resolution": ("resolve",),
    "searchers.tpe": ("TPESearch",),
    "searchers.variants": ("BasicVariantGenerator", "GridSearch", "RandomSearch"),
}
_HOMES = {name: module for module, names in _MODULES.items() for name in names}  # the rest lives in searchers.space


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'searchers' has no attribute {name!r}")
    value = getattr(import_module(_HOMES.get(name, "searchers.space")), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
