"""The journal of an experiment whose home is not a local disk: published there while it is written here.

What is published is a database of its own, whole at any moment: a backup of the live one, put in the place of the
backup before. It is behind by some seconds at most, which are lost only with this machine. A checkpoint that the
published journal still counts on is not deleted before the next is published: whoever goes on from it elsewhere finds
what it names.
"""

from __future__ import annotations

import contextlib
import logging
import shutil
import sqlite3
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from tune.errors import ExperimentBusyError
from tune.machine.events import CheckpointRef
from tune.storage import chain, flushing, journal, published, remote
from tune.storage.claim import Claim
from tune.storage.directory import LOCK, Hold
from tune.storage.home import Home
from tune.storage.journal import DATABASE
from tune.storage.mark import Reached
from tune.storage.places import Place

log = logging.getLogger(__name__)

_INTERVAL_S = 10.0
_SHARE = 20
"""Publishing takes at most one part in so many of the time."""


class Publisher:
    """Publishes a journal whenever it has grown, on a thread of its own, until it is closed or `claim` is lost."""

    def __init__(
        self, home: Home, place: Place, claim: Claim | None = None, *, interval_s: float = _INTERVAL_S
    ) -> None:
        self._home = home
        self._place = place
        self._claim = claim
        self._interval_s = interval_s
        self._doomed: list[CheckpointRef] = []
        self._published: tuple[int, bytes] | None = None
        self._said = ""
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="publisher", daemon=True)
        self._thread.start()

    def delete(self, checkpoint: CheckpointRef) -> None:
        """Remove a checkpoint once the published journal no longer counts on it."""
        self._doomed.append(checkpoint)

    def set_aside(self, checkpoint: CheckpointRef) -> str:
        """Move a damaged checkpoint out of the way, which nobody can count on anyway.

        Raises:
            ExperimentBusyError: the claim is lost; what looks damaged may be at work.
        """
        self._check_claim()
        return self._place.set_aside(checkpoint)

    def close(self) -> None:
        """Publish the end, and delete what is left to delete."""
        self._ending.set()
        self._thread.join()

    def _run(self) -> None:
        pause_s = 0.0
        while not self._ending.wait(pause_s):
            pause_s = max(self._interval_s, _SHARE * self._publish_if_grown())
        self._said = ""  # what stands in the way at the end is said, although it was before
        self._publish_if_grown()

    def _publish_if_grown(self) -> float:
        """How many seconds that took."""
        began = time.monotonic()
        try:
            self._publish()
            self._say("")
        except ExperimentBusyError as error:
            self._say(str(error))
        except Exception as error:  # noqa: BLE001 (every library behind a URL has errors of its own)
            address = self._home.address
            later = f"is published once that works, or by: audition doctor {address} --mend"
            kept = f"everything is kept in {self._home.live}, and {later}"
            self._say(f"{address}: its journal could not be published ({error}); {kept}")
        return time.monotonic() - began

    def _say(self, trouble: str) -> None:
        """Warn of what stands in the way of publishing, when that is another thing than it was the last time."""
        if trouble and trouble != self._said:
            log.warning("%s", trouble)
        self._said = trouble

    def _publish(self) -> None:
        doomed = list(self._doomed)  # their entries are in the journal by now
        with journal.reading(self._home.live) as connection:
            reached = chain.last(connection)
            if reached != self._published:
                publish(connection, self._home, self._claim)
                self._published = reached
        if doomed:
            self._check_claim()
        for checkpoint in doomed:
            self._place.delete(checkpoint)
            self._doomed.remove(checkpoint)

    def _check_claim(self) -> None:
        """Whether what is at the experiment's home is this run's still; raises as `Claim.check` does."""
        if self._claim is not None:
            self._claim.check()


def publish_now(home: Home, claim: Claim | None) -> None:
    """Publish the live journal of `home` as it stands.

    Raises:
        ExperimentBusyError: `claim` is lost.
    """
    with journal.reading(home.live) as connection:
        publish(connection, home, claim)


def publish_the_end(home: Home, claim: Claim | None) -> bool:
    """Publish how the experiment in `home` has ended, after which nobody does; whether that was possible.

    Raises:
        ExperimentBusyError: `claim` is lost.
    """
    try:
        publish_now(home, claim)
    except ExperimentBusyError:
        raise
    except Exception as error:  # noqa: BLE001 (every library behind a URL has errors of its own)
        kept = f"everything is kept in {home.live}, and is published by: audition doctor {home.address} --mend"
        log.warning("%s: the end of its journal could not be published (%s); %s", home.address, error, kept)
        return False
    return True


def publish(connection: sqlite3.Connection, home: Home, claim: Claim | None) -> None:
    """Put a copy of the journal that `connection` reads in the place of the one at `home`.

    Raises:
        ExperimentBusyError: `claim` is lost.
    """
    copy = home.live / f".{DATABASE}.published"
    copy.unlink(missing_ok=True)
    with contextlib.closing(sqlite3.connect(copy, isolation_level=None)) as target:
        connection.backup(target)
        reached = Reached(*chain.last(target))
        target.execute("PRAGMA journal_mode = DELETE")  # so that it is one file, and can be read where nobody may write
    try:
        if claim is not None:
            claim.check()
        if remote.is_url(home.address):
            remote.replace(copy, f"{home.address}/{DATABASE}")
        else:
            _replace(copy, Path(home.address, DATABASE))
    finally:
        copy.unlink(missing_ok=True)
    published.remember(home, reached)


def _replace(source: Path, path: Path) -> None:
    unfinished = path.with_name(f".{path.name}.new")
    shutil.copyfile(source, unfinished)
    flushing.flush(unfinished)
    unfinished.replace(path)
    flushing.flush(path.parent)


@contextlib.contextmanager
def holding(home: Home) -> Iterator[Hold]:
    """Hold the experiment's directory, which is made for that; gone again if nothing comes of it.

    Raises:
        ExperimentBusyError: another process of this machine holds it, or of one that shares the directory.
    """
    home.make()
    hold = Hold(home.directory, shared=home.is_published)
    try:
        yield hold
    finally:
        if not (home.live / DATABASE).is_file():
            (home.directory / LOCK).unlink(missing_ok=True)
            home.remove_if_empty()
        hold.release()


def claiming(home: Home) -> contextlib.AbstractContextManager[Claim | None]:
    """Claim the experiment among the machines that may run it; in a directory the hold does."""
    return Claim(home.address, home.live) if remote.is_url(home.address) else contextlib.nullcontext()
