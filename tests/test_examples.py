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
    "pbt.py": "best loss 0.0",
    "gang.py": "10 trials of two workers; best: {'lr': ",
    "core_tasks.py": "never more than 4 pending, all ended: (4, 40)",
    "core_actors.py": "scaled: 42.0 by ['settings']",
    "core_crews.py": "through two stages: 120",
    "core_parameter_server.py": "found the weights: True\nlives of each worker: [2, 1]",
    "core_failures.py": "restarted, with what was saved: 35",
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
