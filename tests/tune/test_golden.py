"""Experiments that earlier versions wrote are read as they were, and go on."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

import tune
from tests.tune.golden import FOLDER, simulated, told

KEPT = sorted(FOLDER.glob("*/*"))


@pytest.fixture(params=KEPT, ids=[f"{path.name} of version {path.parent.name}" for path in KEPT])
def kept(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return shutil.copytree(request.param, tmp_path / request.param.name)


def test_it_is_read_as_it_was(kept: Path) -> None:
    assert told(tune.ResultGrid(kept)) == json.loads((kept / "expected.json").read_text())


def test_it_goes_on(kept: Path) -> None:
    before = json.loads((kept / "expected.json").read_text())
    results = tune.resume(kept, num_samples=+1, executor=simulated(), verbose=0)
    after = told(results)
    assert len(after) > len(before)
    assert all(one.state in ("TERMINATED", "ERROR") for one in results)
    for name, one in before.items():
        if one["state"] in ("TERMINATED", "ERROR"):
            assert after[name] == one
        else:
            assert after[name]["iterations"] == list(range(1, after[name]["iterations"][-1] + 1))
            assert after[name]["losses"][: len(one["losses"])] == one["losses"]
