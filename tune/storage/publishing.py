"""The journal of an experiment whose home is not a local disk: published there while it is written here.

What is published is a database of its own, whole at any moment: a backup of the live one, put in the place of the
backup before. It is behind by some seconds at most, which are lost only with this machine. A checkpoint that the
published journal still counts on is not deleted before the next is published: whoever goes on from it elsewhere finds
what it names.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import shutil
import sqlite3
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from tune.errors import ExperimentBusyError, NotAnExperimentError
from tune.machine.events import CheckpointRef
from tune.storage import chain, flushing, journal, mark, remote
from tune.storage.claim import Claim
from tune.storage.directory import LOCK, Hold
from tune.storage.home import Home, make_live
from tune.storage.journal import DATABASE
from tune.storage.places import Place

log = logging.getLogger(__name__)

_SEEN = ".published"

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
            kept = f"everything is kept in {self._home.live}, and is published once that works"
            self._say(f"{self._home.address}: its journal could not be published ({error}); {kept}")
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


def publish(connection: sqlite3.Connection, home: Home, claim: Claim | None) -> None:
    """Put a copy of the journal that `connection` reads in the place of the one at `home`.

    Raises:
        ExperimentBusyError: `claim` is lost.
    """
    copy = home.live / f".{DATABASE}.published"
    copy.unlink(missing_ok=True)
    with contextlib.closing(sqlite3.connect(copy, isolation_level=None)) as target:
        connection.backup(target)
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
    _see(home.live, _version(home))


def _replace(source: Path, path: Path) -> None:
    unfinished = path.with_name(f".{path.name}.new")
    shutil.copyfile(source, unfinished)
    flushing.flush(unfinished)
    unfinished.replace(path)
    flushing.flush(path.parent)


def is_published(home: Home) -> bool:
    """Whether there is a journal at `home`."""
    return _version(home) is not None


def exists(home: Home) -> bool:
    """Whether there is an experiment at `home`, or one here that was never published there."""
    return (home.live / DATABASE).is_file() or is_published(home)


def bring_back(home: Home) -> None:
    """Hold the experiment's directory, and `bring_up_to_date` its live journal.

    Raises:
        NotAnExperimentError: nothing is at `home`, nor here.
        ExperimentBusyError: it is run on this machine now.
    """
    with holding(home):
        bring_up_to_date(home)


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


def bring_up_to_date(home: Home) -> None:
    """See to it that the live journal of `home`, before it goes on here, has all that was published.

    It has when the experiment ran here last. When it ran elsewhere since, what is published takes its place, and the
    one that was here is kept beside it.

    Raises:
        NotAnExperimentError: nothing is at `home`, nor here.
    """
    found = home.live / f".{DATABASE}.brought"
    if (version := _fetch_newer(home, found)) is not None:
        _set_aside(home.live)
        found.rename(home.live / DATABASE)
        _see(home.live, version)


def readable(address: str) -> Path:
    """A directory of this machine to read the experiment at a URL from, as far as it is known here.

    It is where its database is written when it runs, or ran last, on this machine; otherwise a copy of what is
    published, made anew each time.

    Raises:
        NotAnExperimentError: nothing is there.
    """
    home = Home.at(address)
    digest = hashlib.blake2b(home.address.encode(), digest_size=6).hexdigest()
    copy = home.live.with_name(f".read-{digest}")
    found = home.live.with_name(f"{copy.name}.{threading.get_ident()}")
    try:
        if _fetch_newer(home, found) is None:
            return home.live
        make_live(copy, home.address)
        found.replace(copy / DATABASE)
        return copy
    finally:
        found.unlink(missing_ok=True)


def _fetch_newer(home: Home, target: Path) -> str | None:
    """Copy what is published to `target`, unless the live journal of `home` has all of it; which version that is.

    Raises:
        NotAnExperimentError: nothing is published, nor here.
    """
    version = _version(home)
    if version is not None and _has_seen(home.live, version):
        return None
    if version is None or not _fetch(home, target):
        if not (home.live / DATABASE).is_file():
            raise NotAnExperimentError(f"there is no experiment at {home.address}")
        return None
    if not _has_all_of(home.live, target):
        return version
    _see(home.live, version)
    target.unlink()
    return None


def _fetch(home: Home, target: Path) -> bool:
    target.parent.mkdir(parents=True, exist_ok=True)
    if remote.is_url(home.address):
        with remote.reaching(home.address):
            return remote.fetch(f"{home.address}/{DATABASE}", target)
    shutil.copyfile(Path(home.address, DATABASE), target)
    return True


def _version(home: Home) -> str | None:
    """What is another whenever the journal at `home` is; None when there is none."""
    if remote.is_url(home.address):
        with remote.reaching(home.address):
            return remote.version(f"{home.address}/{DATABASE}")
    try:
        found = Path(home.address, DATABASE).stat()
    except FileNotFoundError:
        return None
    return f"{found.st_ino} {found.st_size} {found.st_mtime_ns}"


def _see(live: Path, version: str | None) -> None:
    """Remember that the journal in `live` has all of the published one of this version: it need not be fetched."""
    (live / _SEEN).write_text(version or "")


def _has_seen(live: Path, version: str) -> bool:
    seen = live / _SEEN
    return (live / DATABASE).is_file() and seen.is_file() and seen.read_text() == version


def _has_all_of(live: Path, published: Path) -> bool:
    """Whether the journal in `live` goes on from where the published one ends."""
    if not (live / DATABASE).is_file():
        return False
    with contextlib.closing(sqlite3.connect(published)) as connection:
        position, checksum = chain.last(connection)
    with journal.reading(live) as connection:
        return chain.last(connection)[0] >= position and chain.at(connection, position) == checksum


def _set_aside(live: Path) -> None:
    """Keep a journal that is of another past than the published one."""
    if not (live / DATABASE).is_file():
        return
    log.warning("%s ran elsewhere since; the journal that was here is kept as %s.other", live, DATABASE)
    with contextlib.closing(journal.connect(live / DATABASE)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")  # so that it is one file
    (live / DATABASE).replace(live / f"{DATABASE}.other")
    (live / mark.NAME).unlink(missing_ok=True)
