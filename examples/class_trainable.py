"""A class trainable: set up, stepped, saved and loaded; trials pause at each rung and go on when they are promoted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import tune
from schedulers import ASHAScheduler


class Descent(tune.Trainable):
    """Gradient descent with momentum on the Rosenbrock function."""

    def setup(self, config: dict[str, Any]) -> None:
        self.at = [-1.0, 1.5]
        self.velocity = [0.0, 0.0]

    def step(self) -> dict[str, Any]:
        for _ in range(20):
            x, y = self.at
            gradient = [-2 * (1 - x) - 400 * x * (y - x * x), 200 * (y - x * x)]
            clipped = [max(-50.0, min(50.0, part)) for part in gradient]
            self.velocity = [
                self.config["momentum"] * v - self.config["lr"] * g for v, g in zip(self.velocity, clipped, strict=True)
            ]
            self.at = [a + v for a, v in zip(self.at, self.velocity, strict=True)]
        x, y = self.at
        return {"height": (1 - x) ** 2 + 100 * (y - x * x) ** 2}

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        Path(checkpoint_dir, "state.json").write_text(json.dumps([self.at, self.velocity]))

    def load_checkpoint(self, checkpoint: str) -> None:
        self.at, self.velocity = json.loads(Path(checkpoint, "state.json").read_text())

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self.setup(new_config)
        return True


if __name__ == "__main__":
    results = tune.run(
        Descent,
        config={"lr": tune.loguniform(1e-5, 1e-2), "momentum": tune.uniform(0.0, 0.99)},
        metric="height",
        mode="min",
        num_samples=30,
        scheduler=ASHAScheduler(max_t=27, reduction_factor=3, type="promotion"),
        reuse_actors=True,
        seed=3,
    )
    print(results)
