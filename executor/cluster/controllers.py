"""Controllers that live beside the head: each a process of its own, started again until it says that it is over.

What the head and such a process say to each other lies in a folder of the cluster's: it outlives both. The head does
not know what a controller does, and opens nothing that it is given for it.
"""

from __future__ import annotations

import fcntl
import hmac
import json
import logging
import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any

from executor.cluster.security.credentials import make_private, read_secret, write_secret
from executor.errors import ClusterError
from executor.processes.logs import LOG_CAP_BYTES, cut

_log = logging.getLogger(__name__)

FOLDER = "controllers"

ACTORS = "actors"
"""The kind of those that have actors which outlive their drivers; what follows it is a namespace."""

_CALLED = {"": "detached experiment", ACTORS: "process of detached actors"}
_NAME = re.compile(r"([a-z]+:)?[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_LOCK, _CONTENT, _TOKEN, _ORDER, _STATE = "lock", "content", "token", "order.json", "state.json"
_HOLD_S, _LOOK_S = 5.0, 0.02
_SOON_S, _LONGEST_PAUSE_S = 10.0, 60.0


@dataclass(frozen=True, slots=True)
class Order:
    """Who wants a controller, and since when; `ended_by` says who wants it to end, if anybody does."""

    owner: str = ""
    created: float = 0.0
    ended_by: str = ""


@dataclass(frozen=True, slots=True)
class State:
    """How far a controller has come, in its own words: ``running``, then ``finished``, ``ended`` or ``failed``.

    `place` is where it keeps what it does, a directory of the head's machine; `actors` are those that it has, by their
    names, for drivers that may have gone.
    """

    state: str = "starting"
    why: str = ""
    place: str = ""
    actors: Sequence[str] = ()

    @property
    def over(self) -> bool:
        """Whether it is not to be started again."""
        return self.state in ("finished", "ended", "failed")


class Post:
    """One controller's folder, as the head and its process see it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.name = folder.name
        self._lock: IO[str] | None = None

    @property
    def log(self) -> Path:
        """What its process prints."""
        return self.folder / "controller.log"

    @property
    def content(self) -> bytes:
        """What the controller was given to begin with."""
        return read_secret(self.folder / _CONTENT)

    @property
    def token(self) -> str:
        """By which its process proves to the head that it is this controller."""
        return read_secret(self.folder / _TOKEN).decode()

    @property
    def order(self) -> Order:
        """What is wanted of it."""
        return Order(**_read(self.folder / _ORDER))

    @property
    def state(self) -> State:
        """What it said last."""
        return State(**_read(self.folder / _STATE))

    def say(self, state: State) -> None:
        """Say how far it has come; only the controller itself, or the head that gives it up."""
        write_secret(self.folder / _STATE, json.dumps(asdict(state)).encode())

    def set(self, order: Order, content: bytes | None = None) -> None:
        """Want something of it, for the first time with what it is given."""
        make_private(self.folder)
        if content is not None:
            write_secret(self.folder / _CONTENT, content)
            self._make_token()
            self.say(State())
        write_secret(self.folder / _ORDER, json.dumps(asdict(order)).encode())

    def _make_token(self) -> None:
        write_secret(self.folder / _TOKEN, secrets.token_hex(16).encode())

    def have_token(self) -> None:
        """Make a token for a controller of before there were any."""
        if not (self.folder / _TOKEN).exists():
            self._make_token()

    def hold(self) -> None:
        """Be this controller from now on, until this process ends.

        Raises:
            ClusterError: another process is.
        """
        self._lock = (self.folder / _LOCK).open("a+")
        until = time.monotonic() + _HOLD_S
        while True:
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:  # somebody who only looks lets go at once
                if time.monotonic() > until:
                    raise ClusterError(f"controller {self.name} runs already") from None
                time.sleep(_LOOK_S)
        self._lock.truncate(0)
        self._lock.write(str(os.getpid()))
        self._lock.flush()

    def say_ended(self) -> None:
        """Say of a controller that does not run that it is not to run any more, as was wanted."""
        if not (state := self.state).over:
            self.say(State("ended", f"{self.order.ended_by} ended it, and it does not run any more", state.place))

    def running(self) -> int | None:
        """The process that is this controller; None when none is."""
        try:
            with (self.folder / _LOCK).open("r+") as lock:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
                lock.truncate(0)  # whoever holds it next is not taken for the process before it
        except FileNotFoundError:
            return None
        except BlockingIOError:
            text = (self.folder / _LOCK).read_text()
            return int(text) if text else None
        return None


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(read_secret(path))
    except (ClusterError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


@dataclass(slots=True)
class _Started:
    process: subprocess.Popen[bytes] | None
    """None when the system could not start it, for the reason `why`."""
    at: float
    deaths: int = 0
    """How often it has died before, each time soon."""
    why: str = ""


@dataclass
class Controllers:
    """The head's: starts what is to run and does not. Not for many threads at a time.

    `modules` are what controllers run, as ``python -m MODULE FOLDER``, by their kind: what stands before a colon in
    their names, nothing where there is none. One that dies rests before it is started again, `pause_s` at first and
    twice as long each time that it dies soon; after `most_deaths` such deaths it has failed. A log larger than
    `log_cap_bytes` loses its oldest part.
    """

    folder: Path
    modules: Mapping[str, str]
    pause_s: float = 1.0
    most_deaths: int = 6
    log_cap_bytes: int = LOG_CAP_BYTES
    _started: dict[str, _Started] = field(default_factory=dict)
    _over: set[str] = field(default_factory=set)

    def submit(self, name: str, owner: str, content: bytes, *, again: bool) -> None:
        """Have a controller; with `again` also where one of that name is over, which then goes on.

        Raises:
            ClusterError: the name is taken, or cannot be one.
        """
        post = self._post(name)
        if post.folder.exists() and not (again and post.state.over and post.running() is None):
            state = post.state.state
            hint = "" if again else "; resume=True goes on with one that is over"
            raise ClusterError(f"there is a {called(name)} already, and it is {state}{hint}")
        post.set(Order(owner, time.time()), content)
        self._let_go(name)
        self.look()

    def end(self, name: str, who: str) -> None:
        """Ask a controller to end in good order; a second time at once.

        Raises:
            ClusterError: there is none.
        """
        post = self._known(name)
        order = post.order
        post.set(Order(order.owner, order.created, who or "somebody"))
        if (pid := post.running()) is not None:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
        elif not self._starts(name):  # one that starts sees it once it has taken its post
            post.say_ended()

    def forget(self, name: str) -> str:
        """Have one that is over be no more; where what it has kept stays.

        Raises:
            ClusterError: there is none, or it is not over.
        """
        post = self._known(name)
        state = post.state
        if not state.over or post.running() is not None:
            raise ClusterError(
                f"{called(name)} is {state.state}: it can be forgotten once it is over, and "
                f"`audition cluster end {name}` asks it to end"
            )
        self._let_go(name)
        shutil.rmtree(post.folder)
        return state.place

    def proves(self, name: str, token: str) -> bool:
        """Whether this is the token of a controller of that name."""
        try:
            known = self._post(name).token
        except ClusterError:
            return False
        return hmac.compare_digest(known.encode(), token.encode())

    def posts(self) -> list[Post]:
        """All that there are."""
        folder = self.folder / FOLDER
        return [Post(one) for one in sorted(folder.iterdir()) if one.is_dir()] if folder.is_dir() else []

    def look(self) -> None:
        """Start each that is neither over nor running, and cut its log; one that dies again and again is given up.

        What is wrong with one of them is logged, and keeps nobody from looking after the others.
        """
        for post in [post for post in self.posts() if post.name not in self._over]:
            try:
                self._look_at(post)
            except Exception:  # noqa: BLE001 (whatever it is, the next look may go better)
                _log.exception("controller %s cannot be looked after just now", post.name)

    def _look_at(self, post: Post) -> None:
        cut(post.log, self.log_cap_bytes)
        started = self._started.get(post.name)
        if self._starts(post.name) or post.running() is not None:
            return
        if post.state.over:
            self._over.add(post.name)
        elif post.order.ended_by:
            post.say_ended()
        elif started is None:
            self._start(post, 0)
        else:
            self._start_again(post, started)

    def _starts(self, name: str) -> bool:
        """Whether there is a process of ours for it, which may not have taken its post yet."""
        started = self._started.get(name)
        return started is not None and started.process is not None and started.process.poll() is None

    def _let_go(self, name: str) -> None:
        """Know nothing any more of the process that held a post."""
        before = self._started.pop(name, None)
        if before is not None and before.process is not None:
            before.process.wait()  # it holds its post no more, and so has all but ended
        self._over.discard(name)

    def _start_again(self, post: Post, died: _Started) -> None:
        lived_s = time.monotonic() - died.at
        deaths = died.deaths + 1 if lived_s < self._rest_s(died) + _SOON_S else 0
        if deaths > self.most_deaths:
            post.say(State("failed", _last_words(post, died, deaths), post.state.place))
        elif lived_s >= self._rest_s(died):
            if died.process is not None:
                _log.warning("controller %s ended with %s: it is started again", post.name, died.process.returncode)
            self._start(post, deaths)

    def _rest_s(self, died: _Started) -> float:
        return min(self.pause_s * (2.0**died.deaths - 1), _LONGEST_PAUSE_S)

    def _start(self, post: Post, deaths: int) -> None:
        process, why = None, ""
        try:
            process = self._spawn(post)
        except OSError as error:
            why = str(error)
            _log.warning("controller %s cannot be started: %s", post.name, why)
        self._started[post.name] = _Started(process, time.monotonic(), deaths, why)

    def _spawn(self, post: Post) -> subprocess.Popen[bytes]:
        post.have_token()
        log = os.open(post.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            return subprocess.Popen(
                [sys.executable, "-m", self.modules[kind_of(post.name)], str(post.folder)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        finally:
            os.close(log)

    def _known(self, name: str) -> Post:
        post = self._post(name)
        if not post.folder.exists():
            known = ", ".join(one.name for one in self.posts()) or "none"
            raise ClusterError(f"there is no {called(name)}; there is: {known}")
        return post

    def _post(self, name: str) -> Post:
        if not _NAME.fullmatch(name):
            raise ClusterError(f"a {called(name)} cannot be: it is called by letters, digits, '.', '_' and '-'")
        if (kind := kind_of(name)) not in self.modules:
            raise ClusterError(f"{name!r}: there are no controllers of the kind {kind!r} beside this head")
        return Post(self.folder / FOLDER / name)


def kind_of(name: str) -> str:
    """The kind of a controller: what stands before the colon in its name, nothing for an experiment's."""
    return name.rpartition(":")[0]


def called(name: str) -> str:
    """A controller as its users speak of it."""
    return f"{_CALLED.get(kind_of(name), 'controller')} {name!r}"


def _last_words(post: Post, died: _Started, deaths: int) -> str:
    """Why it is given up."""
    if died.process is None:
        return f"its process could not be started, {deaths} times: {died.why}"
    last = next(_lines(post.log), "it said nothing")
    return f"it died {deaths} times, each soon after its start: {last}"


def _lines(path: Path) -> Iterator[str]:
    """What a log says last, its last line first."""
    with suppress(OSError):
        yield from (line for line in reversed(path.read_text(errors="replace").splitlines()) if line.strip())
