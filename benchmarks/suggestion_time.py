"""How long a suggestion takes after 5,000 trials of ten parameters: milliseconds, the median of 20."""

from __future__ import annotations

import os

os.environ.update(OPENBLAS_NUM_THREADS="1", OMP_NUM_THREADS="1")  # before numpy is loaded

import time
from random import Random
from statistics import median
from typing import Any

from common import Figures, Part, compare

TRIALS, SUGGESTIONS = 5000, 20
NAMES = [f"x{number}" for number in range(10)]


def history() -> list[tuple[dict[str, float], float]]:
    rng = Random(0)
    configs = [{name: rng.uniform(-5, 5) for name in NAMES} for _ in range(TRIALS)]
    return [(config, sum(value**2 for value in config.values())) for config in configs]


def ours() -> Figures:
    return {**suggesting("auto"), **{f"tpe_{name}": figure for name, figure in suggesting("tpe").items()}}


def suggesting(name: str) -> Figures:
    from searchers import SearchContext, create_searcher, uniform

    searcher = create_searcher(name)
    searcher.bind(SearchContext({name: uniform(-5, 5) for name in NAMES}, ("loss",), ("min",), 0, -1))
    for number, (config, loss) in enumerate(history()):
        searcher.on_trial_add(f"t{number}", config)
        searcher.on_trial_complete(f"t{number}", {"loss": loss})
    times, cpu = [], []
    for number in range(TRIALS, TRIALS + SUGGESTIONS):
        began, worked = time.perf_counter(), time.process_time()
        config: Any = searcher.suggest(f"t{number}")
        cpu.append(time.process_time() - worked)
        times.append(time.perf_counter() - began)
        searcher.on_trial_add(f"t{number}", config)
        searcher.on_trial_complete(f"t{number}", {"loss": 1.0})
    return {"ms": median(times) * 1e3, "cpu_ms": median(cpu) * 1e3}


def optuna_tpe() -> Figures:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    space = {name: optuna.distributions.FloatDistribution(-5, 5) for name in NAMES}
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=0))
    study.add_trials(
        optuna.trial.create_trial(params=config, distributions=space, value=loss) for config, loss in history()
    )
    times, cpu = [], []
    for _ in range(SUGGESTIONS):
        began, worked = time.perf_counter(), time.process_time()
        trial = study.ask(space)
        cpu.append(time.process_time() - worked)
        times.append(time.perf_counter() - began)
        study.tell(trial, 1.0)
    return {"ms": median(times) * 1e3, "cpu_ms": median(cpu) * 1e3}


if __name__ == "__main__":
    compare("suggestion_time", Part(ours), {"optuna_tpe": Part(optuna_tpe, needs="optuna")}, unit="ms", at_most=25)
