"""How good a configuration `search_alg="auto"` finds in 100 trials: its mean rank among Optuna's samplers.

The 24 noiseless BBOB functions in five dimensions (Hansen et al., COCO, Optimization Methods and Software 36, 2021),
through coco-experiment. Seed s, of 0 to 9, searches instance s + 1; nothing in the searchers was tuned on any of these.
A problem is one function with one seed: there the best value found ranks the systems, 1 for the best, ties halved. The
interval of a mean rank is the central 95% of 2,000 means over problems drawn with repetition.

With `--long`, six of the functions and three seeds also with Optuna's Gaussian process, which needs torch.
"""

from __future__ import annotations

import os

os.environ.update(OPENBLAS_NUM_THREADS="1", OMP_NUM_THREADS="1")  # before numpy is loaded: two processes, two cores

import json
import logging
import sys
import time
import warnings
from argparse import ArgumentParser
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from importlib.util import find_spec
from multiprocessing import get_context
from typing import Any

import numpy

from searchers import SearchContext, create_searcher, uniform

FUNCTIONS, SEEDS, DIMENSIONS, TRIALS = range(1, 25), range(10), 5, 100
LONG_FUNCTIONS, LONG_SEEDS = (1, 6, 8, 15, 20, 22), range(3)
NAMES = [f"x{number}" for number in range(DIMENSIONS)]

Objective = Callable[[dict[str, float]], float]


def ours(name: str) -> Callable[[Objective, int], None]:
    def search(objective: Objective, seed: int) -> None:
        searcher = create_searcher(name)
        space = {name: uniform(-5, 5) for name in NAMES}
        searcher.bind(SearchContext(space, ("loss",), ("min",), seed, TRIALS))
        for number in range(TRIALS):
            config: Any = searcher.suggest(f"t{number}")
            searcher.on_trial_add(f"t{number}", config)
            searcher.on_trial_complete(f"t{number}", {"loss": objective(config)})

    return search


def optunas(sampler: str) -> Callable[[Objective, int], None]:
    def search(objective: Objective, seed: int) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        study = optuna.create_study(sampler=getattr(optuna.samplers, sampler)(seed=seed))
        space = {name: optuna.distributions.FloatDistribution(-5, 5) for name in NAMES}
        for _ in range(TRIALS):
            trial = study.ask(space)
            study.tell(trial, objective(trial.params))

    return search


SYSTEMS = {
    "audition": ours("auto"),
    "audition_tpe": ours("tpe"),
    "optuna_tpe": optunas("TPESampler"),
    "optuna_cmaes": optunas("CmaEsSampler"),
    "optuna_random": optunas("RandomSampler"),
    "optuna_gp": optunas("GPSampler"),
}


def best_value(job: tuple[str, int, int]) -> tuple[float, float]:
    """The least value that a system finds, as its distance from the optimum, and the seconds it took."""
    import cocoex

    system, function, seed = job
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    problem = cocoex.BareProblem("bbob", function, DIMENSIONS, seed + 1)
    values: list[float] = []

    def objective(config: dict[str, float]) -> float:
        values.append(float(problem(numpy.array([config[name] for name in NAMES]))))
        return values[-1]

    began = time.process_time()
    SYSTEMS[system](objective, seed)
    return min(values) - problem.best_value(), time.process_time() - began


def ranks(values: numpy.ndarray) -> numpy.ndarray:
    """The rank of each column within its row, equal ones sharing theirs."""
    smaller = (values[:, :, None] > values[:, None, :]).sum(axis=2)
    equal = (values[:, :, None] == values[:, None, :]).sum(axis=2)
    return smaller + (equal + 1) / 2


def interval(column: numpy.ndarray) -> list[float]:
    generator = numpy.random.default_rng(0)
    means = column[generator.integers(len(column), size=(2000, len(column)))].mean(axis=1)
    low, high = numpy.quantile(means, [0.025, 0.975])
    return [round(float(each), 3) for each in (column.mean(), low, high)]


def compare(systems: Sequence[str], functions: Sequence[int], seeds: Sequence[int]) -> dict[str, Any]:
    """For each system its mean rank with the interval, how often it was best, and seconds of cpu for a search."""
    problems = [(function, seed) for function in functions for seed in seeds]
    jobs = [(system, *problem) for problem in problems for system in systems]
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        found = numpy.array(list(pool.map(best_value, jobs, chunksize=4))).reshape(len(problems), len(systems), 2)
    ranked = ranks(numpy.maximum(found[:, :, 0], 1e-8))  # COCO's precision: what is closer counts as solved
    return {
        system: {
            "mean_rank": interval(ranked[:, place]),
            "best": round(float((ranked[:, place] <= ranked.min(axis=1)).mean()), 3),
            "cpu_s": round(float(found[:, place, 1].mean()), 2),
        }
        for place, system in enumerate(systems)
    }


def line(name: str, systems: Sequence[str], functions: Sequence[int], seeds: Sequence[int]) -> dict[str, Any]:
    figures = compare(systems, functions, seeds)
    mine = figures.pop("audition")
    return {
        "benchmark": name,
        "unit": "mean rank, 1 is best: [mean, low, high]",
        "audition": mine,
        "target": "no peer's interval lies better",
        "met": all(theirs["mean_rank"][2] >= mine["mean_rank"][1] for theirs in figures.values()),
        "peers": figures,
        "n": len(functions) * len(seeds),
    }


def main() -> None:
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--long", action="store_true")
    parser.add_argument("--seeds", type=int, default=len(SEEDS), help="how many of the ten seeds")
    arguments = parser.parse_args()
    missing = [package for package in ("cocoex", "cmaes") if find_spec(package) is None]
    if missing:
        print(json.dumps({"benchmark": "bbob", "missing": f"{' and '.join(missing)} not installed: see CONTRIBUTING"}))
        return
    peers = [system for system in SYSTEMS if system != "optuna_gp"]
    print(json.dumps(line("bbob", peers, FUNCTIONS, SEEDS[: arguments.seeds])), flush=True)
    if arguments.long and find_spec("torch") is None:
        print(json.dumps({"benchmark": "bbob_long", "peer": "torch is not installed"}))
    elif arguments.long:
        print(json.dumps(line("bbob_long", list(SYSTEMS), LONG_FUNCTIONS, LONG_SEEDS)), flush=True)


if __name__ == "__main__":
    sys.exit(main())
