"""However a run ends, it leaves no process, no shared memory and no temporary file behind."""

from __future__ import annotations

import os
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.faults.endings import TOKEN, draw, end_one, place_of_its_own, survivors

pytestmark = [
    pytest.mark.skipif(
        os.geteuid() != 0 or shutil.which("unshare") is None or shutil.which("nsenter") is None,
        reason="only root gives a run a /dev/shm of its own, by unshare and nsenter",
    ),
    pytest.mark.fault("F7", "F12", "F13", "F14"),
]


def leave_nothing(tmp_path: Path, runs: int) -> None:
    """End so many runs, a few at a time; each as its number says."""
    with place_of_its_own() as keeper, ThreadPoolExecutor(3) as pool:
        left = pool.map(lambda seed: end_one(draw(seed), tmp_path / str(seed), keeper), range(runs))
        found = {f"{seed}, {draw(seed)}": some for seed, some in enumerate(left) if some}
    print(f"{runs} random endings, {sum(map(len, found.values()))} processes and files left")
    assert not found


def test_what_is_left_is_found() -> None:
    with subprocess.Popen(["sleep", "60"], env={**os.environ, TOKEN: "left"}, start_new_session=True) as process:
        assert [pid for pid, _ in survivors("left")] == [process.pid]
        process.kill()
    assert survivors("left") == []


@pytest.mark.timeout(600)
def test_fifty_random_endings_leave_nothing_behind(tmp_path: Path) -> None:
    leave_nothing(tmp_path, 50)


@pytest.mark.long
@pytest.mark.timeout(4 * 3600)
def test_a_thousand_random_endings_leave_nothing_behind(tmp_path: Path) -> None:
    leave_nothing(tmp_path, 1000)
