"""Checkpoints of a trial that does not see where they are kept: carried over its channel, piece by piece.

The other end is `tune.porter`. What arrives is compared with the manifest before it counts, at either end.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from executor.interface import Channel
from tune.errors import CheckpointCorruptError
from tune.machine.events import CheckpointRef, Take
from tune.storage import manifest
from tune.storage.manifest import MANIFEST, METADATA
from tune.storage.places import Away, Staged
from tune.worker.messages import Arrived, Piece, Trouble, Want

__audition_internal__ = True

PIECE_BYTES = 1 << 20


@dataclass(frozen=True)
class Carried(Away):
    """Access to the experiment's directory `address` on another machine, through a trial's channel."""

    address: str
    channel: Channel

    def _keep(self, staged: Staged) -> None:
        names = [one.name for one in manifest.parse((staged.folder / MANIFEST).read_bytes(), staged.folder)]
        names += [METADATA] if (staged.folder / METADATA).is_file() else []
        for name in [*names, MANIFEST]:
            self._send(staged, name)
        self._ask(Arrived(staged.name))
        self.discard(staged)

    def _send(self, staged: Staged, name: str) -> None:
        with (staged.folder / name).open("rb") as file:
            offset, content = 0, file.read(PIECE_BYTES)
            while content or not offset:  # an empty file is one empty piece
                self._ask(Piece(staged.name, name, offset, content))
                offset += len(content)
                if len(content) < PIECE_BYTES:
                    break
                content = file.read(PIECE_BYTES)

    def _copy_here(self, checkpoint: CheckpointRef, target: Path) -> None:
        where = f"{self.address}/{checkpoint.path}"
        if not self._receive(checkpoint.path, MANIFEST, target):
            raise CheckpointCorruptError(f"{where}: it has no manifest, so it is not whole")
        for one in manifest.parse((target / MANIFEST).read_bytes(), where):
            self._receive(checkpoint.path, one.name, target)
            manifest.check(target / one.name, one, where)
        self._receive(checkpoint.path, METADATA, target)

    def _receive(self, checkpoint: str, name: str, target: Path) -> bool:
        """Copy one file into `target`; False when there is none."""
        content = self._ask(Want(checkpoint, name, 0))
        if content is None:
            return False
        path = target / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            while content:
                file.write(content)
                if len(content) < PIECE_BYTES:
                    break
                content = self._ask(Want(checkpoint, name, file.tell()))
        return True

    def _ask(self, payload: Piece | Arrived | Want) -> bytes | None:
        answer = self.channel.emit(payload)
        assert isinstance(answer, Take)
        if isinstance(answer.value, Trouble):
            raise OSError(answer.value.errno, f"{answer.value.why} (where the experiment is run)")
        content: bytes | None = answer.value
        return content
