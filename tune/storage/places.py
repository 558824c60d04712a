"""Where an experiment's checkpoints are: a directory that all its machines share, or a URL.

A checkpoint is called ``checkpoints/<trial>/<iteration>-<attempt>`` below the experiment. The attempt's number in the
name keeps a process that should be gone from writing into its successor's. At a URL the name ends with a mark of the
run: one that was taken for dead may go on for a while, with attempts that whoever took over never heard of. A
checkpoint is written in two steps: `stage` lets the user's code write its files beside their place, and `commit` makes
a checkpoint of them, whole or not at all.

Trials stage, commit and fetch; the process that runs the experiment deletes, sets aside and sweeps.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from tune.machine.events import CheckpointRef
from tune.storage import flushing, manifest, remote
from tune.storage.checkpoints import Checkpoint, SaveFunction
from tune.storage.directory import is_held_by, rendezvous

__audition_internal__ = True

FOLDER = "checkpoints"
DAMAGED = "damaged"
_UNFINISHED = ".unfinished-"
_POST = ".post"
_MARK_LENGTH = 8


@dataclass(frozen=True, slots=True)
class Staged:
    """Files in the directory `folder` that are to become the checkpoint `name` of `iteration`."""

    name: str
    iteration: int
    folder: Path


class Access(ABC):
    """How a trial gets at its checkpoints: all that it needs of where they are.

    `run_mark` ends the names of what a run writes where two of them may write at one time.
    """

    run_mark: str = ""

    @abstractmethod
    def is_seen(self) -> bool:
        """Whether it is there on this machine: a directory may be another machine's."""

    def stage(self, trial_id: str, attempt: int, iteration: int, fill: SaveFunction) -> Staged:
        """Let `fill` write a checkpoint's files; when it raises nothing is left of them."""
        name = f"{FOLDER}/{trial_id}/{iteration:06d}-{attempt}{self.run_mark}"
        staged = Staged(name, iteration, self._folder_for(name))
        try:
            fill(str(staged.folder))
        except BaseException:
            self.discard(staged)
            raise
        return staged

    def commit(self, staged: Staged) -> CheckpointRef:
        """Make a checkpoint of it; may run on any thread.

        Raises:
            OSError: it cannot be kept; nothing is left of it.
            ValueError: its files are not what a checkpoint can hold.
        """
        try:
            listed = manifest.write(staged.folder)
            self._keep(staged)
        except BaseException:
            self.discard(staged)
            raise
        return CheckpointRef(staged.name, staged.iteration, sum(one.size for one in listed))

    def save(self, trial_id: str, attempt: int, iteration: int, fill: SaveFunction) -> CheckpointRef:
        """Stage and commit."""
        return self.commit(self.stage(trial_id, attempt, iteration, fill))

    def discard(self, staged: Staged) -> None:
        """Give up what was staged."""
        shutil.rmtree(staged.folder, ignore_errors=True)

    @abstractmethod
    def _folder_for(self, name: str) -> Path:
        """A new directory of this machine to write the checkpoint `name` into."""

    @abstractmethod
    def _keep(self, staged: Staged) -> None:
        """Put the files, which have their manifest, where they belong; take away the directory they are in."""

    @abstractmethod
    def fetch(self, checkpoint: CheckpointRef, reader: str = "") -> Path:
        """A directory of this machine with the checkpoint's files, which are what was saved; `release` it afterwards.

        `reader` is the trial that asks, whose next attempt clears what this one does not release.

        Raises:
            CheckpointCorruptError: they are not.
            OSError: they cannot be read now.
        """

    def release(self, fetched: Path) -> None:
        """Give back what `fetch` gave."""

    @abstractmethod
    def clear_unfinished(self, trial_id: str) -> None:
        """Remove what an attempt that died has left on this machine: saves cut short, copies it had fetched."""


class Keeper(Protocol):
    """Who takes away the checkpoints that an experiment no longer needs."""

    def delete(self, checkpoint: CheckpointRef) -> None:
        """Remove a checkpoint; one that is gone already is fine."""

    def set_aside(self, checkpoint: CheckpointRef) -> str:
        """Move a damaged checkpoint out of the way, for people to look at; where to, empty when it is not there."""


class Place(Access):
    """Where checkpoints are. A value: it is sent to every worker.

    `address` is the experiment's directory or URL. What follows is for the process that runs the experiment, and for
    readers.
    """

    address: str

    def held(self, token: str) -> Place:
        """This place for the workers of the run whose hold has this `token`."""
        return self

    def at(self, checkpoint: CheckpointRef) -> Checkpoint:
        """The checkpoint as users hold it."""
        return Checkpoint(f"{self.address}/{checkpoint.path}")

    @abstractmethod
    def post(self, trial_id: str, attempt: int, content: bytes) -> None:
        """Leave `content` for the other workers of an attempt, on whatever machine."""

    @abstractmethod
    def posted(self, trial_id: str, attempt: int) -> bytes | None:
        """What was posted for the workers of an attempt; None when nothing was."""

    @abstractmethod
    def has(self, checkpoint: CheckpointRef) -> bool:
        """Whether it is there, in whatever state."""

    @abstractmethod
    def delete(self, checkpoint: CheckpointRef) -> None:
        """Remove a checkpoint; one that is gone already is fine."""

    @abstractmethod
    def set_aside(self, checkpoint: CheckpointRef) -> str:
        """Move a damaged checkpoint out of the way; see `Keeper`."""

    @abstractmethod
    def names(self, folder: str = FOLDER) -> list[str]:
        """What is there of every trial, whole or not, in order: ``checkpoints/t0/000007-2``."""

    def sweep(self, kept: Iterable[CheckpointRef]) -> list[str]:
        """Remove what a killed process left, unfinished or unknown to the journal, and say what."""
        known = {one.path for one in kept}
        left = [name for name in self.names() if name not in known]
        for name in left:
            self._remove(name)
        return left

    @abstractmethod
    def _remove(self, name: str) -> None: ...


@dataclass(frozen=True)
class DirectoryPlace(Place):
    """The experiment's own directory. With `durable` each checkpoint is flushed to the disk before it counts.

    A worker knows it by the `token` of the run that holds it: its machine may have a directory of the same name, with
    an experiment that ran there once.
    """

    address: str
    durable: bool = False
    token: str | None = None

    def held(self, token: str) -> Place:
        return replace(self, token=token)

    def is_seen(self) -> bool:
        return self.token is not None and is_held_by(Path(self.address), self.token)

    def _folder_for(self, name: str) -> Path:
        place = self._path(name)
        unfinished = place.with_name(f"{_UNFINISHED}{place.name}")
        if unfinished.exists():
            shutil.rmtree(unfinished)
        while True:  # `delete` removes the trial's folder whenever it finds it empty
            with contextlib.suppress(FileNotFoundError):
                unfinished.mkdir(parents=True)
                return unfinished

    def begin(self, trial_id: str, attempt: int, name: str) -> Staged:
        """Stage nothing yet of the checkpoint `name`, which is to be this attempt's.

        Raises:
            ValueError: it would be another's.
        """
        if not (own := re.fullmatch(rf"{FOLDER}/{re.escape(trial_id)}/([0-9]{{6,}})-{attempt}", name)):
            raise ValueError(f"{name!r} is no checkpoint of {trial_id}'s attempt {attempt}")
        return Staged(name, int(own[1]), self._folder_for(name))

    def keep(self, staged: Staged) -> None:
        """Make a checkpoint of what has its manifest already, and was compared with it."""
        self._keep(staged)

    def _keep(self, staged: Staged) -> None:
        place = self._path(staged.name)
        if self.durable:
            flushing.flush_tree(staged.folder)
        staged.folder.rename(place)
        if self.durable:
            flushing.flush_up(place.parent, Path(self.address))

    def fetch(self, checkpoint: CheckpointRef, reader: str = "") -> Path:
        path = self._path(checkpoint.path)
        manifest.verify(path)
        return path

    def clear_unfinished(self, trial_id: str) -> None:
        with contextlib.suppress(FileNotFoundError):  # `delete` may remove the folder at this moment
            for unfinished in self._path(FOLDER, trial_id).glob(f"{_UNFINISHED}*"):
                shutil.rmtree(unfinished, ignore_errors=True)

    def post(self, trial_id: str, attempt: int, content: bytes) -> None:
        place = rendezvous(Path(self.address), trial_id, attempt)
        place.mkdir(parents=True, exist_ok=True)
        unfinished = place / f"{_POST}.unfinished"
        unfinished.write_bytes(content)
        unfinished.replace(place / _POST)

    def posted(self, trial_id: str, attempt: int) -> bytes | None:
        with contextlib.suppress(FileNotFoundError):
            return (rendezvous(Path(self.address), trial_id, attempt) / _POST).read_bytes()
        return None

    def has(self, checkpoint: CheckpointRef) -> bool:
        return self._path(checkpoint.path).is_dir()

    def delete(self, checkpoint: CheckpointRef) -> None:
        self._remove(checkpoint.path)
        with contextlib.suppress(OSError):
            self._path(checkpoint.path).parent.rmdir()

    def set_aside(self, checkpoint: CheckpointRef) -> str:
        path = self._path(checkpoint.path)
        target = self._path(DAMAGED, *path.relative_to(self._path(FOLDER)).parts)
        if not path.is_dir():
            return ""
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(target, ignore_errors=True)
        path.rename(target)
        return str(target)

    def names(self, folder: str = FOLDER) -> list[str]:
        return sorted(str(path.relative_to(self.address)) for path in self._path(folder).glob("*/*"))

    def _remove(self, name: str) -> None:
        shutil.rmtree(self._path(manifest.inside(name)), ignore_errors=True)

    def _path(self, *parts: str) -> Path:
        return Path(self.address, *parts)


class Away(Access):
    """Access to what is elsewhere: files are written in temporary directories here, and copied there and back."""

    address: str

    def is_seen(self) -> bool:
        return True

    def _folder_for(self, name: str) -> Path:
        _, trial_id, number = name.split("/")
        return self._folder_of(trial_id, number)

    def _folder_of(self, trial_id: str, number: str) -> Path:
        return Path(tempfile.mkdtemp(prefix=f"{self._prefix(trial_id)}{number}."))

    def fetch(self, checkpoint: CheckpointRef, reader: str = "") -> Path:
        # Named after its reader: a copy's files are not its donor's to clear.
        copied = self._folder_of(reader, checkpoint.path.rpartition("/")[2])
        try:
            self._copy_here(checkpoint, copied)
        except BaseException:
            self.release(copied)
            raise
        return copied

    @abstractmethod
    def _copy_here(self, checkpoint: CheckpointRef, target: Path) -> None:
        """Copy a checkpoint's files into the directory `target`; raises as `fetch` does."""

    def release(self, fetched: Path) -> None:
        shutil.rmtree(fetched, ignore_errors=True)

    def clear_unfinished(self, trial_id: str) -> None:
        for unfinished in Path(tempfile.gettempdir()).glob(f"{self._prefix(trial_id)}*"):
            with contextlib.suppress(FileNotFoundError):  # a reader may release it at this moment
                if unfinished.stat().st_uid == os.getuid():
                    shutil.rmtree(unfinished, ignore_errors=True)

    def _prefix(self, trial_id: str) -> str:
        """What the temporary directories of a trial's attempts begin with."""
        return f"audition-{hashlib.blake2b(self.address.encode(), digest_size=6).hexdigest()}-{trial_id}-"


@dataclass(frozen=True)
class UrlPlace(Away, Place):
    """Somewhere behind a URL. Files are written on the trial's machine and copied up, and down when they are read."""

    address: str
    run_mark: str = ""

    def held(self, token: str) -> Place:
        return replace(self, run_mark=f"-{token[:_MARK_LENGTH]}")

    def _keep(self, staged: Staged) -> None:
        url = self._url(staged.name)
        try:
            remote.upload(staged.folder, url)
        except BaseException:
            with contextlib.suppress(OSError):  # the storage may be what is wrong; a sweep finds it
                remote.remove(url)
            raise
        self.discard(staged)

    def _copy_here(self, checkpoint: CheckpointRef, target: Path) -> None:
        remote.download(self._url(checkpoint.path), target)

    def post(self, trial_id: str, attempt: int, content: bytes) -> None:
        remote.write(self._post(trial_id, attempt), content)

    def posted(self, trial_id: str, attempt: int) -> bytes | None:
        return remote.read(self._post(trial_id, attempt))

    def _post(self, trial_id: str, attempt: int) -> str:
        """Among the trial's checkpoints, where it is swept."""
        return self._url(f"{FOLDER}/{trial_id}/{_POST}-{attempt}{self.run_mark}/{_POST}")

    def has(self, checkpoint: CheckpointRef) -> bool:
        return remote.exists(f"{self._url(checkpoint.path)}/{manifest.MANIFEST}")

    def delete(self, checkpoint: CheckpointRef) -> None:
        self._remove(checkpoint.path)

    def set_aside(self, checkpoint: CheckpointRef) -> str:
        elsewhere = self._url(checkpoint.path.replace(FOLDER, DAMAGED, 1))
        return elsewhere if remote.move(self._url(checkpoint.path), elsewhere) else ""

    def names(self, folder: str = FOLDER) -> list[str]:
        parts = [name.split("/") for name in remote.files(self._url(folder))]
        return sorted({f"{folder}/{part[0]}/{part[1]}" for part in parts if len(part) > 2})

    def _remove(self, name: str) -> None:
        remote.remove(self._url(manifest.inside(name)))

    def _url(self, name: str) -> str:
        return f"{self.address}/{name}"


def place_at(address: str | os.PathLike[str], *, durable: bool = False) -> Place:
    """The place that `address` names: a directory, or a URL."""
    if remote.is_url(address):
        return UrlPlace(str(address).rstrip("/"))
    return DirectoryPlace(os.fspath(address), durable)
