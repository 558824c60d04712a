"""What `init` returns: the executor that is open, to be looked at, and to be closed at the end of a ``with``."""

from __future__ import annotations

from typing import Self

from executor.library.driver import Driver
from executor.library.runtime import become, existing
from executor.resources import shown

_NAMED = ("cpu", "gpu", "memory")


class Context:
    """The executor that was opened, by the names of Ray's context where they mean something here.

    ``with init(...):`` shuts it down at the end, as `disconnect` does.
    """

    def __init__(self, driver: Driver) -> None:
        self._driver = driver

    @property
    def address_info(self) -> dict[str, str]:
        """``node_id``, the name of this machine in `nodes`, and ``session_dir``, the folder of logs and objects."""
        return {"node_id": self._driver.node, "session_dir": self._driver.hub.backend.folder}

    def disconnect(self) -> None:
        """End every task and actor and give everything back; does nothing when that has happened already."""
        if existing() is self._driver:
            become(None)
            self._driver.hub.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.disconnect()

    def __repr__(self) -> str:
        if existing() is not self._driver:
            return "Executor(shut down)"
        capacity = self._driver.hub.ledger.total()
        custom = [f"{amount:g} {kind}" for kind, amount in capacity.as_dict().items() if kind not in _NAMED]
        amounts = [f"{capacity['cpu']:g} cpus", f"{capacity['gpu']:g} gpus", *custom]
        budget = shown("memory", self._driver.hub.store.use().budget_bytes)
        return f"Executor({', '.join(amounts)}, {budget} of memory for objects)"
