"""A small table of learning curves for the tests of simulations."""

from __future__ import annotations

from typing import Any

import pandas as pd

EPOCHS = 9


def table(configs: int = 30) -> pd.DataFrame:
    """Configuration n approaches ``n / configs`` at a pace that depends on its learning rate; its epochs cost 1 s."""
    rows: list[dict[str, Any]] = []
    for number in range(configs):
        lr = 10 ** (-4 + 4 * (number * 7 % configs) / configs)
        for epoch in range(1, EPOCHS + 1):
            accuracy = number / configs * (1 - 0.5**epoch)
            rows.append(
                {
                    "config": number,
                    "epoch": epoch,
                    "accuracy": accuracy,
                    "loss": 1 - accuracy,
                    "seconds": 1.0,
                    "lr": lr,
                    "width": 8 + number,
                    "solver": ("adam", "sgd")[number % 2],
                }
            )
    return pd.DataFrame(rows)
