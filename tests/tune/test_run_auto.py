"""What is picked for a user is said to him, once, where anything is said, and kept with the experiment."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import tune
from tune.cli import app


def train(config: dict[str, Any]) -> dict[str, float]:
    return {"loss": config["x"] ** 2}


def run(directory: Path, **more: Any) -> tune.ResultGrid:
    settings = {"search_alg": "auto", "scheduler": "auto", "num_samples": 2, "name": "picked", **more}
    space = {"x": tune.uniform(-1, 1)}
    return tune.run(train, config=space, metric="loss", mode="min", storage_path=directory, **settings)


@pytest.mark.parametrize(("verbose", "times"), [(1, 1), (0, 0)])
def test_auto_says_what_it_picked_and_why(
    verbose: int, times: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run(tmp_path, verbose=verbose)
    said = [record.message for record in caplog.records if record.levelname == "WARNING"]
    assert sum(message.startswith("search: a Gaussian process, since 1 parameter") for message in said) == times
    assert sum(message.startswith("scheduler: trials pause at rungs") for message in said) == times


def test_what_was_picked_is_kept_and_shown(tmp_path: Path) -> None:
    results = run(tmp_path, verbose=0)
    assert results.picked["search"].startswith("a Gaussian process, since 1 parameter")
    assert results.picked["scheduler"].startswith("trials pause at rungs")
    lines = [" ".join(line.split()) for line in shown(tmp_path).splitlines()]
    assert any(line.startswith("searcher auto: a Gaussian process, since 1 parameter") for line in lines)
    assert any(line.startswith("scheduler auto: trials pause at rungs") for line in lines)
    assert json.loads(shown(tmp_path, "--json"))["picked"] == results.picked


def test_nothing_is_picked_for_who_picks_himself(tmp_path: Path) -> None:
    assert run(tmp_path, search_alg="random", scheduler="asha", verbose=0).picked == {}
    assert "auto" not in shown(tmp_path)


def test_on_resume_with_another_scheduler_what_was_picked_before_is_forgotten(tmp_path: Path) -> None:
    run(tmp_path, verbose=0)
    resumed = run(tmp_path, scheduler="asha", num_samples=3, resume=True, verbose=0)
    assert list(resumed.picked) == ["search"]


def shown(storage: Path, *more: str) -> str:
    return CliRunner().invoke(app, ["show", str(storage / "picked"), *more]).output
