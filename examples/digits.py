"""Tune a neural network on the digits data set: 40 configurations, TPE, ASHA, two at a time.

    python examples/digits.py

Stop it with Ctrl-C, or kill it, and go on where it stood with ``audition resume results/digits``.
"""

from __future__ import annotations

import pickle
import sys
from pathlib import Path
from typing import Any

import tune
from schedulers import ASHAScheduler
from searchers import OptunaSearch

EPOCHS = 27
SPACE = {
    "lr": tune.loguniform(1e-4, 1e-1),
    "batch_size": tune.choice([16, 32, 64, 128]),
    "alpha": tune.loguniform(1e-6, 1e-1),
    "width": tune.qrandint(16, 128, 16),
    "depth": tune.randint(1, 4),
    "activation": tune.choice(["relu", "tanh"]),
}


def train(config: dict[str, Any]) -> None:
    """Train epoch by epoch; report the validation accuracy, and offer the model as a checkpoint."""
    import numpy as np
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split
    from sklearn.neural_network import MLPClassifier

    images, labels = load_digits(return_X_y=True)
    x, x_valid, y, y_valid = train_test_split(images / 16.0, labels, test_size=0.25, stratify=labels, random_state=0)
    model = MLPClassifier(
        hidden_layer_sizes=(config["width"],) * config["depth"],
        activation=config["activation"],
        alpha=config["alpha"],
        learning_rate_init=config["lr"],
        batch_size=config["batch_size"],
    )
    start = 0
    if checkpoint := tune.get_checkpoint():
        start, model = pickle.loads(Path(checkpoint.path, "model.pkl").read_bytes())  # noqa: S301 (we wrote it)

    def save(directory: str) -> None:
        Path(directory, "model.pkl").write_bytes(pickle.dumps((epoch, model)))

    for epoch in range(start + 1, EPOCHS + 1):
        model.partial_fit(x, y, classes=np.unique(y))
        accuracy = float((model.predict(x_valid) == y_valid).mean())
        tune.report({"accuracy": accuracy, "epoch": epoch}, checkpoint=save)


def main(storage_path: str | None = None, verbose: int = 1) -> tune.ResultGrid:
    """Run the search and draw its table."""
    results = tune.run(
        train,
        config=SPACE,
        metric="accuracy",
        mode="max",
        num_samples=40,
        search_alg=OptunaSearch(),
        scheduler=ASHAScheduler(max_t=EPOCHS, grace_period=3, reduction_factor=3),
        max_concurrent_trials=2,
        seed=1,
        name="digits",
        storage_path=storage_path,
        resume="AUTO",
        verbose=verbose,
    )
    best = results.get_best_result(scope="all")
    accuracy = best.metrics_dataframe["accuracy"]
    spent = sum(result.metrics["training_iteration"] for result in results)
    print(f"\nbest validation accuracy {accuracy.max():.4f}, trial {best.trial_id}, epoch {accuracy.idxmax() + 1}")
    print(f"best configuration {best.config}")
    every = len(results) * EPOCHS
    print(f"{spent} epochs trained instead of {every}: early stopping saved {every - spent}")
    print(results)
    return results


if __name__ == "__main__":
    main(*sys.argv[1:2])
