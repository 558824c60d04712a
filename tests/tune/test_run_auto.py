"""What is picked for a user is said to him, once, and only where anything is said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import tune


def train(config: dict[str, Any]) -> dict[str, float]:
    return {"loss": config["x"] ** 2}


@pytest.mark.parametrize(("verbose", "times"), [(1, 1), (0, 0)])
def test_auto_says_what_it_picked_and_why(
    verbose: int, times: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tune.run(
        train,
        config={"x": tune.uniform(-1, 1)},
        metric="loss",
        mode="min",
        search_alg="auto",
        scheduler="auto",
        num_samples=2,
        storage_path=tmp_path,
        verbose=verbose,
    )
    said = [record.message for record in caplog.records if record.levelname == "WARNING"]
    assert sum(message.startswith("search: a Gaussian process, since 1 parameter") for message in said) == times
    assert sum(message.startswith("scheduler: trials pause at rungs") for message in said) == times
