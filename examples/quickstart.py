"""The README's ten lines."""

import tune


def train(config):
    height = 0.0
    for step in range(20):
        height += config["speed"] * (1 - height)
        tune.report(loss=(height - 0.9) ** 2, step=step)


if __name__ == "__main__":
    results = tune.run(train, config={"speed": tune.uniform(0, 1)}, metric="loss", mode="min", num_samples=10)
    print(results.best_config)
