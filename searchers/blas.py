"""Linear algebra on one thread: with more, sums are taken in another order, and a suggestion is not had again."""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import cache
from typing import Any


def one_thread() -> AbstractContextManager[Any]:
    """Within it, BLAS computes on one thread: alike on every machine, and faster for matrices as small as ours."""
    limits: AbstractContextManager[Any] = _controller().limit(limits=1)
    return limits


@cache
def _controller() -> Any:
    import scipy.linalg  # noqa: F401 - numpy and scipy each bring a BLAS, which is found once it is loaded
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController().select(user_api="blas")
