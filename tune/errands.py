"""What may take long and nobody waits for, done aside."""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

log = logging.getLogger(__name__)


class Errands:
    """Work for up to `most` threads called `name`; where not `aside`, for whoever brings it.

    In virtual time nothing takes long, and all is to have one order: there nothing is done aside. What raises is logged
    where nobody waits for it.
    """

    def __init__(self, most: int, name: str, *, aside: bool) -> None:
        self._threads = ThreadPoolExecutor(most, name) if aside else None

    def do(self, work: Callable[..., object], *arguments: object) -> None:
        """Call `work` soon; where there is one thread, after all that was brought before."""
        if self._threads is None:
            work(*arguments)
        else:
            self._threads.submit(work, *arguments).add_done_callback(_tell)

    def finish(self) -> None:
        """Wait for all that was brought; nothing more is taken."""
        if self._threads is not None:
            self._threads.shutdown()


def _tell(done: Future[object]) -> None:
    if (error := done.exception()) is not None:
        log.error("what was to be done aside failed: %s", error, exc_info=error)
