"""Takes in, and gives out, the checkpoints of trials on machines that do not see the experiment's directory.

The other end is `tune.worker.carrying`. Disks are slow, so this happens on a thread of its own, in the order of what
arrives; a trial waits for the answer to each piece, so there is never more than one of each under way.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable
from pathlib import Path

from tune.errands import Errands
from tune.machine.events import Take
from tune.storage import manifest
from tune.storage.places import FOLDER, DirectoryPlace, Staged
from tune.worker.carrying import PIECE_BYTES
from tune.worker.messages import Arrived, Piece, Trouble, Want

log = logging.getLogger(__name__)

Answer = Callable[[Take], None]


class Porter:
    """The checkpoints in `place`, for those who do not see it; `aside` unless time is virtual."""

    def __init__(self, place: DirectoryPlace, *, aside: bool = True) -> None:
        self._place = place
        self._carried: set[tuple[str, int]] = set()
        self._arriving: dict[tuple[str, int], Staged] = {}
        self._errands = Errands(1, "porter", aside=aside)

    def take(self, trial_id: str, attempt: int, payload: Piece | Arrived | Want, answer: Answer) -> None:
        """Do what an attempt asks for, and answer it then."""
        self._carried.add((trial_id, attempt))
        self._errands.do(self._take, (trial_id, attempt), payload, answer)

    def forget(self, trial_id: str, attempt: int) -> None:
        """The attempt has ended: what of a checkpoint has arrived from it is of no use."""
        if (trial_id, attempt) in self._carried:
            self._carried.discard((trial_id, attempt))
            self._errands.do(self._forget, (trial_id, attempt))  # after the pieces that came before its end

    def close(self) -> None:
        """Finish what was begun, and give up what is not whole."""
        self._errands.finish()
        for who in list(self._arriving):
            self._forget(who)

    def _take(self, who: tuple[str, int], payload: Piece | Arrived | Want, answer: Answer) -> None:
        try:
            given: bytes | Trouble | None = self._do(who, payload)
        except OSError as error:
            given = Trouble(error.errno or 0, error.strerror or str(error))
        except Exception as error:  # noqa: BLE001 (the trial waits for an answer, whatever went wrong)
            given = Trouble(0, str(error))
        try:
            answer(Take(given))
        except Exception:
            log.exception("%s.%d could not be answered", *who)

    def _do(self, who: tuple[str, int], payload: Piece | Arrived | Want) -> bytes | None:
        match payload:
            case Piece(name, file, offset, content):
                self._write(self._staged(who, name).folder / manifest.inside(file), offset, content)
            case Arrived(name):
                self._keep(who, name)
            case Want(name, file, offset):
                if not name.startswith(f"{FOLDER}/"):
                    raise ValueError(f"{name!r} is no checkpoint")
                return _read(Path(self._place.address, manifest.inside(name), manifest.inside(file)), offset)
        return None

    def _staged(self, who: tuple[str, int], name: str) -> Staged:
        """Where the pieces of an attempt's checkpoint gather; those of one that it gave up are gone."""
        staged = self._arriving.get(who)
        if staged is not None and staged.name == name:
            return staged
        self._forget(who)
        staged = self._arriving[who] = self._place.begin(*who, name)
        return staged

    @staticmethod
    def _write(path: Path, offset: int, content: bytes) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("r+b" if offset else "wb") as file:
            file.seek(offset)
            file.write(content)

    def _keep(self, who: tuple[str, int], name: str) -> None:
        staged = self._arriving.get(who)
        if staged is None or staged.name != name:
            raise ValueError(f"nothing of {name} has arrived")
        manifest.verify(staged.folder)
        self._place.keep(staged)
        del self._arriving[who]

    def _forget(self, who: tuple[str, int]) -> None:
        staged = self._arriving.pop(who, None)
        if staged is not None:
            self._place.discard(staged)


def _read(path: Path, offset: int) -> bytes | None:
    with contextlib.suppress(FileNotFoundError, NotADirectoryError), path.open("rb") as file:
        file.seek(offset)
        return file.read(PIECE_BYTES)
    return None
