"""What one worker has asked for, and which of its calls stand still until that is there. Pure."""

from __future__ import annotations

NO_CALL = 0
"""Stands for threads and coroutines of which nobody knows what call they belong to."""


class Waits:
    """The requests of a worker that have no answer yet, and those of them that a call waits for."""

    __slots__ = ("_open", "calls")

    def __init__(self) -> None:
        self._open: dict[int, int | None] = {}
        self.calls: dict[int, set[int]] = {}
        """The calls that wait, each with the requests that it waits for."""

    def ask(self, request: int) -> None:
        """A request comes."""
        self._open[request] = None

    def is_open(self, request: int) -> bool:
        """Whether a request is neither answered nor given up."""
        return request in self._open

    def stand_still(self, request: int, call: int) -> None:
        """A call waits for the request's answer."""
        self._open[request] = call
        self.calls.setdefault(call, set()).add(request)

    def close(self, request: int) -> bool:
        """A request is answered, or given up; whether a call waited for it."""
        call = self._open.pop(request, None)
        requests = None if call is None else self.calls.get(call)
        if call is None or requests is None or request not in requests:
            return False
        requests.remove(request)
        if not requests:
            del self.calls[call]
        return True

    def forget(self, call: int) -> bool:
        """A call has ended, whatever it has left behind that waits; whether there is such a thing."""
        return self.calls.pop(call, None) is not None
