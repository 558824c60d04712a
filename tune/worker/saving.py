"""How an attempt saves its checkpoints: while it waits, or aside, on a thread of its own.

The user's code always writes its files on its own thread: they are of this very moment. What happens aside are their
checksums, their flush to the disk, their way to where they are kept. One save is under way at a time. What goes wrong
with it is told to the experiment, so that nobody waits for it, and raised at the next report, as if it had been saved
there.
"""

from __future__ import annotations

import errno
import threading

from executor.interface import Channel
from tune.storage.checkpoints import SaveFunction
from tune.storage.places import Access, Staged
from tune.worker.messages import Save, Stage, Task, Unsaved

__audition_internal__ = True


class Saving:
    """The saves of one attempt. In virtual time, where there is no `channel`, nothing happens aside."""

    def __init__(self, place: Access, task: Task, channel: Channel | None, *, aside: bool) -> None:
        self._place = place
        self._task = task
        self._channel = channel
        self._aside = aside and channel is not None
        self._staged: Staged | None = None
        self._thread: threading.Thread | None = None
        self._error: Exception | None = None

    def take(self, fill: SaveFunction, iteration: int) -> Save | Stage | Unsaved:
        """Save a checkpoint of `iteration`; when that happens aside, only begin: `go_on_aside` follows.

        Raises:
            Exception: what `fill` raises, or what went wrong with this save, or with the one before that was aside.
        """
        try:
            self.finish()
            staged = self._place.stage(self._task.trial_id, self._task.attempt, iteration, fill)
            if self._aside:
                self._staged = staged
                return Stage()
            return Save(self._place.commit(staged))
        except Exception as error:
            if _is_full(error):
                return _unsaved(error)
            if self._channel is not None:
                self._channel.tell(_unsaved(error))
            raise

    def go_on_aside(self) -> None:
        """Finish on a thread of its own what `take` has begun, once the experiment knows that it was."""
        if self._staged is not None:
            self._thread = threading.Thread(target=self._commit, args=(self._staged,), name="checkpoint", daemon=True)
            self._staged = None
            self._thread.start()

    def finish(self) -> None:
        """Wait for the save that is under way; raises what went wrong with it."""
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        error, self._error = self._error, None
        if error is not None:
            raise error

    def close(self) -> None:
        """The attempt ends: let a save that is under way come to its end, and give up one that never began."""
        if self._thread is not None:
            self._thread.join()
        if self._staged is not None:
            self._place.discard(self._staged)

    def _commit(self, staged: Staged) -> None:
        assert self._channel is not None
        try:
            self._channel.tell(self._committed(staged))
        except Exception as error:  # noqa: BLE001 (raised again where the trial hears of it)
            self._error = error

    def _committed(self, staged: Staged) -> Save | Unsaved:
        try:
            return Save(self._place.commit(staged))
        except Exception as error:  # noqa: BLE001 (the same)
            if not _is_full(error):
                self._error = error
            return _unsaved(error)


def _unsaved(error: Exception) -> Unsaved:
    """What to tell the experiment of a save that failed by `error`."""
    if _is_full(error):
        return Unsaved(f"there is no room for the checkpoint ({error})")
    return Unsaved(f"{type(error).__name__}: {error}")


def _is_full(error: Exception) -> bool:
    """Whether there was no room, which is no fault of the trial's: any other error is its to raise."""
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
