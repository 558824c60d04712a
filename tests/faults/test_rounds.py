"""Whole experiments on a cluster of machines to which anything happens; each seed is another story."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.network import why_not
from tests.faults.rounds import ROUND_S

WHY_NOT = why_not()
REPOSITORY = Path(__file__).parents[2]
SEEDS = [1, 2, *(pytest.param(seed, marks=pytest.mark.long) for seed in range(3, 101))]


@pytest.mark.fault("F9", "F10", "F11")
@pytest.mark.timeout(2 * ROUND_S)
@pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT)
@pytest.mark.parametrize("seed", SEEDS)
def test_every_trial_ends_and_each_result_counts_once_whatever_happens_to_the_cluster(seed: int) -> None:
    command = [sys.executable, "-m", "tests.faults.rounds", str(seed)]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=1.5 * ROUND_S, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
