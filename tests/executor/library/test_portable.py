"""The conformance suite where nothing particular to Linux is used, and workers are fresh interpreters: as on macOS."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
SAMPLE = (
    "test_tasks.py and (several or nested or dies or cancelled or wait_tells)",
    "test_actors.py and (state or handle or killed or restart or coroutines_of or threads_runs)",
    "test_streams.py and (generator_task or emitted)",
    "test_objects.py and (mapped or freed or disk or dead_worker)",
    "test_placement.py and (group_reserves or gpus)",
    "test_environment.py and (variables or directory or script)",
    "test_ending.py and (any_end or stacks or memory_than)",
)


def run(*arguments: str) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments]
    environment = os.environ | {"AUDITION_PORTABLE": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.timeout(300)
def test_a_sample_of_the_suite_passes_without_what_only_linux_has() -> None:
    files = [f"tests/executor/library/{line.split()[0]}" for line in SAMPLE]
    chosen = " or ".join(f"({line})" for line in SAMPLE)
    run(*files, "-k", chosen)


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_the_whole_suite_passes_without_what_only_linux_has() -> None:
    run("tests/executor/library", "--deselect", "tests/executor/library/test_portable.py")
