"""What is done aside, and how it is told of when it fails."""

from __future__ import annotations

import pytest

from tune.errands import Errands


def test_what_fails_aside_is_logged_and_the_next_is_done(caplog: pytest.LogCaptureFixture) -> None:
    def fail() -> None:
        raise OSError("no such bucket")

    done: list[int] = []
    errands = Errands(1, "remover", aside=True)
    errands.do(fail)
    errands.do(done.append, 1)
    errands.finish()
    assert done == [1]
    assert "no such bucket" in caplog.text
