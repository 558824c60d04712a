"""Records a table of learning curves: gradient boosting on the bundled diabetes data, trained for real.

    python benchmarks/record_curves.py                  # some eight minutes of one core; writes benchmarks/data/
    python benchmarks/record_curves.py --configs 20 --to /tmp/a_look.csv.gz

What `benchmarks/recorded_curves.py` then searches in seconds. A fast learning rate leads early and overfits, a slow one
overtakes late: these curves cross.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import math
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

SEED = 20_250_729
CONFIGS = 300
EPOCHS = 81
FOLDS = 2
TABLE = Path(__file__).parent / "data" / "diabetes_boosting_curves.csv.gz"


def configuration(rng: Random) -> dict[str, Any]:
    return {
        "learning_rate": _short(math.exp(rng.uniform(math.log(0.01), math.log(1.0)))),
        "max_depth": rng.randint(1, 8),
        "min_samples_leaf": round(math.exp(rng.uniform(math.log(1), math.log(64)))),
        "subsample": _short(rng.uniform(0.3, 1.0)),
        "max_features": _short(rng.uniform(0.1, 1.0)),
        "loss": rng.choice(["squared_error", "absolute_error", "huber"]),
    }


def train(config: dict[str, Any], seed: int) -> Iterator[tuple[float, float, float]]:
    """R squared and root mean squared error on the halves held out, and process seconds, tree by tree."""
    import numpy as np
    from sklearn.datasets import load_diabetes
    from sklearn.ensemble import GradientBoostingRegressor
    from sklearn.model_selection import KFold

    inputs, target = load_diabetes(return_X_y=True)
    folds = list(KFold(FOLDS, shuffle=True, random_state=0).split(inputs))
    models = [GradientBoostingRegressor(**config, warm_start=True, random_state=seed) for _ in folds]
    predicted = np.zeros_like(target)
    for epoch in range(1, EPOCHS + 1):
        began = time.process_time()
        for model, (kept, held_out) in zip(models, folds, strict=True):
            model.n_estimators = epoch
            model.fit(inputs[kept], target[kept])
            predicted[held_out] = model.predict(inputs[held_out])
        error = float(((predicted - target) ** 2).mean())
        yield 1 - error / float(target.var()), math.sqrt(error), time.process_time() - began


def rows(configs: int) -> Iterator[dict[str, Any]]:
    rng = Random(SEED)
    for number in range(configs):
        config = configuration(rng)
        for epoch, (r2, rmse, seconds) in enumerate(train(config, number), start=1):
            figures = {"r2": round(r2, 5), "rmse": _short(rmse), "seconds": _short(seconds)}
            yield {"config": number, "epoch": epoch, **figures, **config}


def record(configs: int, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with gzip.open(path, "wt", newline="") as file:
        writer: csv.DictWriter[str] | None = None
        for row in rows(configs):
            if writer is None:
                writer = csv.DictWriter(file, list(row))
                writer.writeheader()
            writer.writerow(row)


def _short(value: float) -> float:
    """Five digits that count."""
    return float(f"{value:.5g}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--configs", type=int, default=CONFIGS)
    parser.add_argument("--to", type=Path, default=TABLE)
    chosen = parser.parse_args()
    warnings.simplefilter("ignore")  # a diverging configuration overflows: that is its curve
    record(chosen.configs, chosen.to)
