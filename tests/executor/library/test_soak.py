"""After thousands of actors, calls and objects, made and ended at random, there is as much as there was before."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]
RESIDENT_BYTES = 8 * 2**20
"""How much more may be resident at the end: what allocators keep. A hundred bytes lost with each call would be more."""


def soak(folder: Path, actors: int, calls: int, objects: int, timeout_s: float) -> dict[str, Any]:
    counts = [str(count) for count in (actors, calls, objects)]
    done = subprocess.run(
        [sys.executable, "-m", "tests.executor.library.soak", *counts, "1"],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(folder)},
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    ("actors", "calls", "objects"),
    [
        pytest.param(150, 5_000, 1_000, id="sample", marks=pytest.mark.timeout(200)),
        pytest.param(10_000, 100_000, 10_000, id="full", marks=[pytest.mark.long, pytest.mark.timeout(3_000)]),
    ],
)
@pytest.mark.skipif(sys.platform != "linux", reason="counts what /proc shows")
def test_nothing_is_left_of_what_was_created_and_killed_at_random(
    tmp_path: Path, actors: int, calls: int, objects: int, request: pytest.FixtureRequest
) -> None:
    timeout_s = request.node.get_closest_marker("timeout").args[0]
    found = soak(tmp_path, actors, calls, objects, timeout_s - 10)

    before, after = found["before"], found["after"]
    for which in ("driver_bytes", "server_bytes"):
        assert after.pop(which) - before.pop(which) < RESIDENT_BYTES, found
    assert after == before, found
    assert found["left"] == [], "after shutdown"
    assert found["failed"] > actors / 10, "most calls of killed actors fail, or nothing was killed"
