"""What the tests of whole runs share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import tune


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., tune.ResultGrid]:
    """`tune.run`, silent and in the test's own directory, as experiment ``e``."""

    def go(trainable: Any, **settings: Any) -> tune.ResultGrid:
        return tune.run(trainable, **{"verbose": 0, "storage_path": tmp_path, "name": "e", **settings})

    return go
