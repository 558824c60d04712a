"""An Optuna objective, unchanged: it asks for its parameters while it runs, reports, and is pruned by a scheduler."""

import tune
from schedulers import ASHAScheduler
from searchers import OptunaSearch


def objective(trial):
    kind = trial.suggest_categorical("kind", ["square", "cube"])
    x = trial.suggest_float("x", -2.0, 2.0)
    power = 2 if kind == "square" else trial.suggest_int("power", 3, 5, step=2)
    for step in range(10):
        value = abs(x - 0.5) ** power + 1 / (step + 1)
        trial.report(value, step)
        if trial.should_prune():
            raise tune.TrialPruned
    return value


if __name__ == "__main__":
    results = tune.run(
        objective,
        mode="min",
        num_samples=30,
        search_alg=OptunaSearch(),
        scheduler=ASHAScheduler(max_t=10, reduction_factor=3),
        seed=5,
    )
    print(results.best_config, results.best_result["value"])
