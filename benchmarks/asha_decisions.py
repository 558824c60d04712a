"""What one decision of ASHA, and of `auto`, costs in microseconds when its lowest rung already holds many trials."""

import json
from argparse import ArgumentParser
from random import Random
from statistics import mean, median
from time import perf_counter
from types import SimpleNamespace

from schedulers import ASHAScheduler, AutoScheduler, Pause, ScheduleContext


def measure(kind: str, order: str, trials: int) -> dict[str, float]:
    """Median cost of the last thousand results and choices, and the mean over all, with what is done now and then."""
    common = {"metric": "accuracy", "mode": "max", "max_t": 81, "reduction_factor": 3}
    scheduler = AutoScheduler(**common) if kind == "auto" else ASHAScheduler(**common, type=kind)
    scheduler.bind(ScheduleContext())
    chance = Random(0)
    scores = {"random": lambda _: chance.random(), "improving": float, "worsening": lambda number: -float(number)}
    candidates = SimpleNamespace(waiting={}, paused={})
    deciding, choosing = [], []
    for number in range(trials + 1000):
        trial = SimpleNamespace(trial_id=f"t{number}", config={})
        result = {"training_iteration": 2 if kind == "auto" else 1, "accuracy": scores[order](number)}
        scheduler.on_trial_add(trial)
        scheduler.on_trial_start(trial)
        begun = perf_counter()
        decision = scheduler.on_trial_result(trial, result)
        decided = perf_counter()
        if isinstance(decision, Pause):
            candidates.paused[trial.trial_id] = trial
        ready = perf_counter()
        chosen = scheduler.choose_trial_to_run(candidates)
        choosing.append(perf_counter() - ready)
        deciding.append(decided - begun)
        if chosen:
            scheduler.on_trial_start(candidates.paused.pop(chosen))
    return {
        "result_us": round(median(deciding[-1000:]) * 1e6, 1),
        "choose_us": round(median(choosing[-1000:]) * 1e6, 1),
        "mean_us": round((mean(deciding) + mean(choosing)) / 2 * 1e6, 1),
    }


def main() -> None:
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=100_000)
    trials = parser.parse_args().trials
    cases = {
        f"{kind}/{order}": measure(kind, order, trials)
        for kind in ("stopping", "promotion", "auto")
        for order in ("random", "improving", "worsening")
    }
    print(json.dumps({"benchmark": "asha_decisions", "trials": trials, **cases}))


if __name__ == "__main__":
    main()
