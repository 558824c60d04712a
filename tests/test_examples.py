"""Each example runs as a user would run it: as a script, from a directory of the user's own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import tune

EXAMPLES = Path(__file__).parents[1] / "examples"
SAID = {
    "quickstart.py": "{'speed': ",
    "class_trainable.py": "30 trials",
    "optuna_objective.py": "{'kind': ",
    "kill_and_resume.py": "20 trials, 200 results, each once",
    "digits.py": "early stopping saved",
    "gang.py": "10 trials of two workers; best: {'lr': ",
}


def run_example(name, cwd):
    return subprocess.run(
        [sys.executable, str(EXAMPLES / name)],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(EXAMPLES.parent), "COLUMNS": "120"},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def test_every_example_is_run_here():
    assert {path.name for path in EXAMPLES.glob("*.py")} == set(SAID)


@pytest.mark.parametrize("name", SAID)
def test_an_example_runs_from_anywhere_and_says_what_it_found(tmp_path, name):
    done = run_example(name, tmp_path)

    assert done.returncode == 0, done.stderr
    assert SAID[name] in done.stdout
    assert "Traceback" not in done.stderr
    if name == "digits.py":
        results = tune.ResultGrid(tmp_path / "results" / "digits")
        assert len(results) == 40
        assert results.best_result["accuracy"] > 0.95
