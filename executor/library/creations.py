"""What it takes to create a caretaker's actors once more, on disk, as long as they live."""

from __future__ import annotations

import logging
import pickle
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

from executor.cluster.security.credentials import make_private, read_secret, write_secret
from executor.hosting.runtime_env import Shipped
from executor.library.creation import Creation
from executor.library.definitions import Definition
from executor.library.plans import ActorPlan

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Made:
    """An actor to be, with all that it takes to create it far from its driver."""

    plan: ActorPlan
    creation: Creation
    definition: Definition
    shipped: tuple[Shipped, ...]

    @property
    def name(self) -> str:
        """By which others find it."""
        assert self.plan.registered_name is not None, "detached actors have names"
        return self.plan.registered_name


class Creations:
    """Those in `folder`, which is its owner's alone; one for each name. They are opened by who runs their code."""

    def __init__(self, folder: Path) -> None:
        make_private(folder)
        self._folder = folder

    def keep(self, made: Made) -> None:
        """Have one on disk."""
        write_secret(self._path(made.name), pickle.dumps(made, 5))

    def drop(self, name: str) -> None:
        """Have one no more; nothing happens where there is none."""
        self._path(name).unlink(missing_ok=True)

    def all(self) -> Iterator[Made]:
        """Those that there are; one that cannot be read, as after an update of ours, is said to be gone."""
        for path in sorted(self._folder.glob("[!.]*")):
            try:
                made: Made = pickle.loads(read_secret(path))  # noqa: S301 - written by us, in a folder of ours
            except Exception:  # noqa: BLE001 - whatever it is, the others are to be there
                _log.exception("an actor is gone: what it takes to create it again cannot be read")
                path.unlink()
            else:
                yield made

    def clear(self) -> None:
        """Have none."""
        for path in self._folder.iterdir():
            path.unlink()

    def _path(self, name: str) -> Path:
        return self._folder / blake2b(name.encode(), digest_size=16).hexdigest()
