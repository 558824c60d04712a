"""Population based training: the learning rate changes while the trials train, and bad trials go on from good ones.

The best learning rate falls over the run, so that no fixed one is good all the way. Run it with: python examples/pbt.py
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import tune
from schedulers import PopulationBasedTraining

EPOCHS = 12


def train(config: dict[str, Any]) -> None:
    """Train for `EPOCHS` epochs, or what is left of them: a trial that copies another starts from its checkpoint."""
    epoch, loss = 0, 1.0
    if checkpoint := tune.get_checkpoint():
        epoch, loss = json.loads(Path(checkpoint.path, "state.json").read_text())
    while epoch < EPOCHS:
        best = 0.1 * 0.5**epoch
        loss *= 1 - 0.5 * math.exp(-(math.log(config["lr"] / best) ** 2) / 4)
        epoch += 1
        state = json.dumps([epoch, loss])
        tune.report({"loss": loss}, checkpoint=lambda path, state=state: Path(path, "state.json").write_text(state))


def main() -> None:
    scheduler = PopulationBasedTraining(
        time_attr="training_iteration",
        perturbation_interval=2,
        hyperparam_mutations={"lr": tune.loguniform(1e-5, 0.1)},
        perturbation_factors=(0.25, 2.0),
        resample_probability=0.1,
    )
    results = tune.run(
        train,
        config={"lr": tune.loguniform(1e-5, 0.1)},
        metric="loss",
        mode="min",
        num_samples=4,
        scheduler=scheduler,
        reuse_actors=True,
        resources_per_trial={"cpu": 0.5},
        seed=1,
        verbose=0,
    )
    best = results.get_best_result()
    print(f"best loss {best.metrics['loss']:.4f}, trained with:")
    for step in best.lineage():
        print(f"  from epoch {step.iteration:2} as {step.trial_id}: lr {step.config['lr']:.2g}")


if __name__ == "__main__":
    main()
