"""From the start of a fresh Python process until its driver has the first result of a trivial trial, in seconds."""

from __future__ import annotations

import os
import time

from common import Figures, Part, compare, run_script

OURS = """
import time
import tune

class Stamp(tune.Callback):
    def on_trial_result(self, iteration, trials, trial, result):
        print("first result:", time.time())

def train(config):
    tune.report(score=config["x"])

if __name__ == "__main__":
    tune.run(train, config={"x": tune.uniform(0, 1)}, metric="score", mode="max", callbacks=[Stamp()])
"""
RAY = """
import os, time
from ray import tune

class Stamp(tune.Callback):
    def on_trial_result(self, iteration, trials, trial, result, **_):
        print("first result:", time.time())

def train(config):
    tune.report({"score": config["x"]})

if __name__ == "__main__":
    tune.Tuner(
        train,
        param_space={"x": tune.uniform(0, 1)},
        tune_config=tune.TuneConfig(metric="score", mode="max"),
        run_config=tune.RunConfig(storage_path=os.getcwd(), callbacks=[Stamp()]),
    ).fit()
"""
OPTUNA = """
import time
import optuna

def objective(trial):
    return trial.suggest_float("x", 0, 1)

if __name__ == "__main__":
    stamp = lambda study, trial: print("first result:", time.time())
    optuna.create_study(direction="maximize").optimize(objective, n_trials=1, callbacks=[stamp])
"""


def seconds_until_first_result(script: str) -> Figures:
    began = time.time()
    printed = run_script(script, environment={**os.environ, "RAY_USAGE_STATS_ENABLED": "0"})
    stamp = next(line for line in printed.splitlines() if line.startswith("first result: "))
    return {"first_result_s": float(stamp.rpartition(" ")[2]) - began}


if __name__ == "__main__":
    compare(
        "first_result",
        Part(lambda: seconds_until_first_result(OURS), rounds=7),
        {
            "optuna": Part(lambda: seconds_until_first_result(OPTUNA), "optuna", rounds=7),
            "ray": Part(lambda: seconds_until_first_result(RAY), "ray", rounds=1),
        },
        unit="s",
        at_most=0.6,
    )
