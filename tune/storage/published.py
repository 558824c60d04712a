"""What is published of an experiment, and the journal of this machine: which of the two goes on.

The live journal has all that was published when the experiment ran here last. It has not when it ran elsewhere since,
when this machine lost power, or when its disk did harm to it. What is published may be damaged as well. Of two that are
whole the published one goes on, unless the live one has all of it; one that is damaged gives way to one that has all
that it had. Whatever gives way is kept beside the live journal.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import logging
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tune.errors import JournalCorruptError, NotAnExperimentError
from tune.storage import journal, mark, remote
from tune.storage.chain import Reach
from tune.storage.home import Home, make_live
from tune.storage.journal import DATABASE
from tune.storage.mark import Reached

log = logging.getLogger(__name__)

_SEEN = ".published"
_OTHER = f"{DATABASE}.other"
_BAD = f"{DATABASE}.published.bad"


def is_there(home: Home) -> bool:
    """Whether there is a journal at `home`."""
    return _version(home) is not None


def exists(home: Home) -> bool:
    """Whether there is an experiment at `home`, or one here that was never published there."""
    return (home.live / DATABASE).is_file() or is_there(home)


def remember(home: Home, reached: Reached) -> None:
    """Keep in mind that what is published at `home` now ends with what `reached` says: it need not be fetched."""
    _remember(home.live, _version(home), reached)


def bring_up_to_date(home: Home, *, accept_loss: bool = False) -> None:
    """See to it that the live journal of `home`, before it goes on here, has all that was published.

    With `accept_loss`, where neither journal has all that there was, the one goes on that is whole up to a later row.

    Raises:
        NotAnExperimentError: nothing is at `home`, nor here.
        JournalCorruptError: what is published is damaged, and the live journal does not have all of it.
    """
    version = _version(home)
    if _is_remembered(home.live, version) and journal.reach(home.live).damage is None:
        return
    with _fetched(home, version) as found:
        if found is None:
            return
        pair = _compare(home.live, found)
        reached = pair.published.reached
        if pair.prefers_published(accept_loss=accept_loss):
            _take_place(home.live, found, pair)
        elif pair.live is not None and pair.published.damage is not None:
            if not accept_loss:
                pair.check(home)
            log.warning("%s: what is published there is damaged, and kept as %s", home.address, home.live / _BAD)
            (found / DATABASE).replace(home.live / _BAD)
            reached = pair.live.reached
        _remember(home.live, version, reached)


def readable(address: str) -> Path:
    """A directory of this machine to read the experiment at a URL from, as far as it is known here.

    It is where its database is written when it runs, or ran last, on this machine; otherwise a copy of what is
    published, made anew each time.

    Raises:
        NotAnExperimentError: nothing is there.
    """
    home = Home.at(address)
    version = _version(home)
    if _is_remembered(home.live, version):
        return home.live
    digest = hashlib.blake2b(home.address.encode(), digest_size=6).hexdigest()
    copy = home.live.with_name(f".read-{digest}")
    with _fetched(home, version) as found:
        if found is None:
            return home.live
        pair = _compare(home.live, found)
        if pair.prefers_published():
            make_live(copy, home.address)
            (found / DATABASE).replace(copy / DATABASE)
            return copy
    if pair.published.damage is None:
        _remember(home.live, version, pair.published.reached)
    else:
        log.warning("%s: what is published there is damaged; this is what %s has", home.address, home.live)
    return home.live


class _Pair(NamedTuple):
    """How far two journals are whole; `live` is None when there is none."""

    live: Reach | None
    published: Reach
    live_has_all: bool
    """Whether the live journal has all that is whole of the published one."""

    def prefers_published(self, *, accept_loss: bool = False) -> bool:
        """Whether what is published goes on."""
        live, published = self.live, self.published
        if live is None:
            return True
        if published.damage is not None:
            return accept_loss and published.position > live.position
        return not self.live_has_all or (live.damage is not None and published.position >= live.position)

    def check(self, home: Home) -> None:
        """Whether nothing is lost when the live journal goes on in the place of a damaged one.

        Raises:
            JournalCorruptError: something would be.
        """
        assert self.live is not None
        if self.live.damage is None and not (self.live_has_all and self.published.end <= self.live.position):
            raise JournalCorruptError(
                f"what is published at {home.address} is damaged ({self.published.damage}), and the journal of this"
                f" machine, in {home.live}, does not have all of it: go on from the one that has more with:"
                f" audition doctor {home.address} --accept-loss"
            )


def _compare(live: Path, published: Path) -> _Pair:
    theirs = journal.reach(published)
    ours = journal.reach(live) if (live / DATABASE).is_file() else None
    return _Pair(ours, theirs, journal.has(live, theirs.reached) if ours else False)


@contextlib.contextmanager
def _fetched(home: Home, version: str | None) -> Iterator[Path | None]:
    """A folder with a copy of what is published, gone afterwards; None when there is only the live journal.

    It is on the live journal's disk, and nobody else's: others may be reading the same, as forked processes do.

    Raises:
        NotAnExperimentError: there is neither.
    """
    beside = home.live.parent
    if version is not None:
        beside.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=".fetched-", dir=beside))
        try:
            if _fetch(home, folder):
                yield folder
                return
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    if not (home.live / DATABASE).is_file():
        raise NotAnExperimentError(f"there is no experiment at {home.address}")
    yield None


def _fetch(home: Home, folder: Path) -> bool:
    if remote.is_url(home.address):
        with remote.reaching(home.address):
            return remote.fetch(f"{home.address}/{DATABASE}", folder / DATABASE)
    shutil.copyfile(Path(home.address, DATABASE), folder / DATABASE)
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


def _remember(live: Path, version: str | None, reached: Reached) -> None:
    """Remember that the journal in `live`, as far as `reached`, has all that can be had of what is published now.

    That it still does is looked at each time: without power a live journal may lose an end that was published already.
    """
    (live / _SEEN).write_text(f"{reached.position} {reached.checksum.hex()} {version or ''}")


def _is_remembered(live: Path, version: str | None) -> bool:
    try:
        position, checksum, seen = (live / _SEEN).read_text().split(" ", 2)
    except (OSError, ValueError):
        return False
    is_same = bool(version) and seen == version and (live / DATABASE).is_file()
    return is_same and journal.has(live, Reached(int(position), bytes.fromhex(checksum)))


def _take_place(live: Path, published: Path, pair: _Pair) -> None:
    """Put the published journal in the place of the live one, which is kept beside it.

    Where that had a past of its own, its mark says nothing of the other. Where it has only lost its end, or was
    damaged, the mark stays, and tells whether the other one has all that was acknowledged.
    """
    if pair.live is None:
        _clear(live, published)
    else:
        _keep(live, pair.live)
        if not journal.has(published, pair.live.reached):
            (live / mark.NAME).unlink(missing_ok=True)
        _, *logs = journal.parts_of(live / DATABASE)
        for one in logs:  # before: whose rows they have is not to be beside them
            one.unlink()
    (published / DATABASE).replace(live / DATABASE)


def _clear(live: Path, published: Path) -> None:
    """Remove what is left of a live journal that is gone, and say so if it had more than the published one."""
    before = mark.reached(live)
    if before is not None and not journal.has(published, before):
        log.warning("%s is gone, and had %d rows; what was published goes on", live / DATABASE, before.position)
    (live / mark.NAME).unlink(missing_ok=True)
    for left in journal.parts_of(live / DATABASE):
        left.unlink()


def _keep(live: Path, found: Reach) -> None:
    """Keep a copy of the live journal, and of its logs, under another name."""
    later = (f"{_OTHER}.{number}" for number in itertools.count(2))
    kept = next(name for name in itertools.chain([_OTHER], later) if not journal.parts_of(live / name))
    lacks = "does not have all that was published: it ran elsewhere since, or this machine lost its end"
    why = "is damaged" if found.damage else lacks
    log.warning("%s %s; it is kept as %s, and what was published goes on", live / DATABASE, why, kept)
    for one in journal.parts_of(live / DATABASE):
        shutil.copy2(one, live / one.name.replace(DATABASE, kept))
