"""How long a driver waits for a node that can hold what none there is can."""

from __future__ import annotations

import logging
import math

from executor.errors import InfeasibleRequestError
from executor.resources import Request

_log = logging.getLogger(__name__)


class Patience:
    """Lasts `patience_s` for each request; with 0 it is refused at once."""

    def __init__(self, patience_s: float) -> None:
        self._patience_s = patience_s
        self._since: dict[Request, float] = {}

    def wear(self, request: Request, why: str, now: float) -> None:
        """No node can hold a request, and why.

        Raises:
            InfeasibleRequestError: it has been so for too long.
        """
        if request not in self._since and self._patience_s:
            at_most = "" if self._patience_s == math.inf else f" up to {self._patience_s:g} s"
            _log.warning("waiting%s for a node that can hold it: %s", at_most, why)
        if now - self._since.setdefault(request, now) >= self._patience_s:
            raise InfeasibleRequestError(why)

    def restore(self, request: Request) -> None:
        """There is a node that can, now or once others have given room back."""
        self._since.pop(request, None)
