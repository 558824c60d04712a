"""Worker-seconds until a search on recorded curves has found what is best: schedulers on two tables, paired by seed.

Four virtual workers, reduction factor 3, random search: seed by seed all systems are given the same configurations in
the same order; only BOHB's model, in the rows that name it, chooses for itself. Three figures: until a result is
within 0.005 of the table's best, until it is among the best 5% of configurations, and the mean regret over the first
tenth of a budget of 100 full trainings. A search that has not come there by the end of the budget counts with the
budget. `ratio` is the geometric mean, with its 95% interval by bootstrap, of what a system took to what Ray's rule took
with the same seed at grace period 3, its better one.

    python benchmarks/recorded_curves.py                            # some ten minutes on two cores
    python benchmarks/recorded_curves.py --seeds 10 --only auto "Ray's rule, grace 3"
"""

from __future__ import annotations

import json
import math
from argparse import ArgumentParser
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import cache, partial
from importlib import import_module
from inspect import signature
from itertools import product
from pathlib import Path
from typing import Any

import tune
from schedulers import (
    SCHEDULERS,
    ASHAScheduler,
    Continue,
    Decision,
    FIFOScheduler,
    Stop,
    Trial,
    TrialScheduler,
    create_scheduler,
)

DATA = Path(__file__).parent / "data"
TABLES = {
    "digits": ("digits_mlp_curves.csv.gz", "accuracy"),
    "diabetes": ("diabetes_boosting_curves.csv.gz", "r2"),
}
SEEDS = 50  # 0 to 49: never tuned on
WORKERS = 4
MAX_T = 81
NEAR = 0.005
TRAININGS = 100
PEER = "Ray's rule, grace 3"
TARGET = 0.8

Policies = tuple[str | None, TrialScheduler]
"""A searcher's name, None for random search, and a scheduler."""


class RayASHA(TrialScheduler):
    """ASHA as Ray Tune 2.60 decides: of its rungs, from the top, the first that a result reaches anew counts.

    A trial stops when its result is below the (1 - 1/eta) quantile, interpolated, of those recorded there before it.
    """

    def __init__(self, grace_period: int, max_t: int = MAX_T, reduction_factor: int = 3) -> None:
        rungs = int(math.log(max_t / grace_period) / math.log(reduction_factor) + 1)
        self._rungs: list[tuple[int, dict[str, float]]] = [
            (grace_period * reduction_factor**k, {}) for k in reversed(range(rungs))
        ]
        self._max_t = max_t
        self._reduction_factor = reduction_factor

    def on_trial_result(self, trial: Trial, result: Mapping[str, Any]) -> Decision:
        import numpy as np

        iteration, metric = result["training_iteration"], self.context.metric
        assert metric is not None
        if iteration >= self._max_t:
            return Stop("max_t", complete=True)
        reward = result[metric] if self.context.mode == "max" else -result[metric]
        for milestone, recorded in self._rungs:
            if iteration < milestone or trial.trial_id in recorded:
                continue
            others = list(recorded.values())
            cutoff = np.nanpercentile(others, (1 - 1 / self._reduction_factor) * 100) if others else None
            recorded[trial.trial_id] = reward
            return Stop("below the cutoff") if cutoff is not None and reward < cutoff else Continue()
        return Continue()


def _systems() -> dict[str, Callable[[], Policies]]:
    """What is compared; a scheduler that is registered and takes `max_t` joins by itself."""
    systems: dict[str, Callable[[], Policies]] = {
        PEER: lambda: (None, RayASHA(3)),
        "Ray's rule, grace 1": lambda: (None, RayASHA(1)),
    }
    for kind, grace in product(("promotion", "stopping"), (3, 1)):
        systems[f"{kind} ASHA, grace {grace}"] = partial(_asha, None, kind, grace)
    systems["promotion ASHA, grace 3, BOHB's model"] = partial(_asha, "bohb", "promotion", 3)
    systems["random, full training"] = lambda: (None, FIFOScheduler())
    seen = {SCHEDULERS[name] for name in ("asha", "async_hyperband", "fifo")}
    for name, home in SCHEDULERS.items():
        if home not in seen and "max_t" in _arguments(home):
            seen.add(home)
            systems[name] = partial(_registered, None, name)
    systems["hb_bohb, BOHB's model"] = partial(_registered, "bohb", "hb_bohb")
    return systems


def _asha(searcher: str | None, kind: str, grace_period: int) -> Policies:
    return searcher, ASHAScheduler(max_t=MAX_T, reduction_factor=3, grace_period=grace_period, type=kind)


def _registered(searcher: str | None, name: str) -> Policies:
    given = {"max_t": MAX_T, "reduction_factor": 3}
    taken = _arguments(SCHEDULERS[name])
    return searcher, create_scheduler(name, **{key: value for key, value in given.items() if key in taken})


def _arguments(home: str) -> Mapping[str, Any]:
    module, name = home.split(":")
    return signature(getattr(import_module(module), name).__init__).parameters


@cache
def _table(name: str) -> tuple[tune.Curves, str, float, float, float]:
    """The curves, their metric, what is near the best, what the best 5% reach, and the budget in worker-seconds."""
    file, metric = TABLES[name]
    curves = tune.Curves(DATA / file)
    runs = [curves.curve(config) for config in curves.configs]
    values = [[result[metric] for result, _ in run if not math.isnan(result[metric])] for run in runs]
    tops = sorted(max(reached, default=-math.inf) for reached in values)
    budget = TRAININGS * sum(seconds for run in runs for _, seconds in run) / len(runs)
    return curves, metric, curves.best(metric, "max") - NEAR, tops[int(0.95 * len(tops))], budget


def _search(table: str, system: str, seed: int) -> tuple[float, float, float, bool]:
    """Worker-seconds to the target and to the best 5%, the mean regret of the first tenth, and whether it arrived."""
    curves, metric, near, top, budget = _table(table)
    for share in (0.25, 1.0):  # virtual time repeats itself: a longer search begins as the shorter one did
        searcher, scheduler = _systems()[system]()
        found = tune.simulate(
            curves,
            searcher,
            scheduler,
            metric=metric,
            mode="max",
            workers=WORKERS,
            seed=seed,
            time_budget_s=share * budget / WORKERS,
        ).timeline
        if found.until(near) is not None:
            break
    target, best = found.until(near), found.until(top)
    return (
        budget if target is None else min(target, budget),
        budget if best is None else min(best, budget),
        found.mean_regret(budget / 10),
        target is not None,
    )


def _summary(
    rows: Sequence[tuple[float, float, float, bool]], peers: Sequence[tuple[float, float, float, bool]]
) -> Any:
    import numpy as np

    figures, theirs = np.array(rows, dtype=float), np.array(peers, dtype=float)
    told: dict[str, Any] = {"reached": round(float(figures[:, 3].mean()), 2)}
    told["to_target"] = [_rounded(value) for value in np.percentile(figures[:, 0], (50, 25, 75))]
    told["to_best_5%"] = _rounded(float(np.median(figures[:, 1])))
    told["regret_x100"] = _rounded(100 * float(figures[:, 2].mean()))
    for at, name in enumerate(("target", "best_5%", "regret")):
        told[f"ratio_{name}"] = _ratio(np.log(figures[:, at] / theirs[:, at]))
    return told


def _ratio(logarithms: Any) -> list[float]:
    import numpy as np

    drawn = np.random.default_rng(0).choice(logarithms, (10_000, len(logarithms))).mean(axis=1)
    return [_rounded(math.exp(value)) for value in (logarithms.mean(), *np.percentile(drawn, (2.5, 97.5)))]


def _rounded(value: float) -> float:
    return float(f"{value:.3g}")


def main() -> None:
    parser = ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--only", nargs="+", default=list(_systems()))
    chosen = parser.parse_args()
    systems = list(dict.fromkeys([PEER, *chosen.only]))
    seeds = range(chosen.first_seed, chosen.first_seed + chosen.seeds)
    jobs = list(product(TABLES, systems, seeds))
    with ProcessPoolExecutor(2) as pool:
        found = dict(zip(jobs, pool.map(_search, *zip(*jobs, strict=True), chunksize=5), strict=True))
    line: dict[str, Any] = {"benchmark": "recorded_curves", "unit": "worker-seconds", "seeds": chosen.seeds}
    for table in TABLES:
        rows = {system: [found[table, system, seed] for seed in seeds] for system in systems}
        line[table] = {system: _summary(rows[system], rows[PEER]) for system in systems}
    line["peer"] = PEER
    line["target"] = f"auto: ratio_target at most {TARGET} on both tables"
    if "auto" in systems:
        line["met"] = all(line[table]["auto"]["ratio_target"][0] <= TARGET for table in TABLES)
    print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
