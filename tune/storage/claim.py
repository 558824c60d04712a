"""Who runs an experiment at a URL: a file there says so, and shows by its changes that its writer lives.

No store behind a URL can be locked. Whoever takes an experiment up writes the file with a token of its own, and writes
it again every few seconds. Nobody else takes the experiment up meanwhile; once the file stays as it is for a while, its
writer counts as dead. If that was wrong, as when a machine slept, the writer finds another's token when it next looks,
which it does before it publishes: then it publishes nothing any more, and its run ends. So the file stays when its
writer has ended, and says that it has.
"""

from __future__ import annotations

import json
import logging
import os
import secrets
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from tune.errors import ExperimentBusyError
from tune.storage import remote

log = logging.getLogger(__name__)

NAME = ".owner"
_BEAT_S = 10.0
_PATIENCE = 3
"""After so many beats that did not come a writer counts as dead."""
_LOOKS = 5
"""How often whoever waits looks in the time of one beat."""


class Claim:
    """The right to run the experiment at the URL `address`: taken on entering, given up on leaving.

    `live` is the experiment's directory of this machine, which the caller holds: whoever took the experiment up there
    before is dead, so nobody waits for a token that is remembered there.
    """

    def __init__(self, address: str, live: Path, *, beat_s: float = _BEAT_S) -> None:
        self._address = address
        self._url = f"{address}/{NAME}"
        self._remembered = live / NAME
        self._beat_s = beat_s
        self._said = {"token": secrets.token_hex(16), "pid": os.getpid(), "host": socket.gethostname()}
        self._beats = 0
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._go_on_saying, name="claim", daemon=True)
        self._when_lost: Callable[[ExperimentBusyError], None] | None = None

    def __enter__(self) -> Self:
        """Take the experiment up; where its last writer may live, only once nothing is heard of it.

        Raises:
            ExperimentBusyError: it is run on another machine.
            StorageUnreachableError: what is there cannot be read, or nothing can be written.
        """
        with remote.reaching(self._address):
            found = self._read()
        here = self._token_here()
        if found is not None and not found.get("ended") and (here is None or found.get("token") != here):
            self._outwait(found)
        with remote.reaching(self._address):
            self._say()
            self._remembered.write_text(str(self._said["token"]))
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self._thread.join(_PATIENCE * self._beat_s)  # a storage may not answer: then it is let be
        try:
            if self._is_ours(self._read()):
                self._say(ended=True)
        except Exception as error:  # noqa: BLE001 (every library behind a URL has errors of its own)
            log.warning("%s: on other machines it can be taken up in a while only (%s)", self._address, error)
        self._remembered.unlink(missing_ok=True)

    def check(self) -> None:
        """Look whether it is still ours.

        Raises:
            ExperimentBusyError: another has taken the experiment up.
        """
        found = self._read()
        if found and not self._is_ours(found):
            raise ExperimentBusyError(
                f"experiment {self._address} was taken up by {_told(found)}, where nothing was heard of this run any"
                f" more; what this one reached since it was last published is in {self._remembered.parent}"
            )

    def when_lost(self, call: Callable[[ExperimentBusyError], None]) -> None:
        """Call `call`, on another thread, when another has taken the experiment up."""
        self._when_lost = call

    def _go_on_saying(self) -> None:
        while not self._ending.wait(self._beat_s):
            try:
                self.check()
                self._say()
            except ExperimentBusyError as error:
                if self._when_lost is not None:
                    self._when_lost(error)
            except Exception as error:  # noqa: BLE001 (the same)
                log.debug("%s: nothing can be said there now (%s)", self._address, error)

    def _outwait(self, found: dict[str, Any]) -> None:
        patience_s = _PATIENCE * self._beat_s
        log.warning("%s may be run by %s: taken up in %.0f s if it is not", self._address, _told(found), patience_s)
        until = time.monotonic() + patience_s
        while time.monotonic() < until:
            time.sleep(self._beat_s / _LOOKS)
            with remote.reaching(self._address):
                now = self._read()
            if now is None or now.get("ended"):
                return
            if now and now != found:
                raise ExperimentBusyError(
                    f"experiment {self._address} is run by {_told(now)}: wait for it, or end it first"
                )

    def _token_here(self) -> str | None:
        return self._remembered.read_text() if self._remembered.is_file() else None

    def _is_ours(self, found: dict[str, Any] | None) -> bool:
        return found is not None and found.get("token") == self._said["token"]

    def _read(self) -> dict[str, Any] | None:
        """What the file says, an empty dictionary when that cannot be read; None when there is no file."""
        content = remote.read(self._url)
        if content is None:
            return None
        try:
            found = json.loads(content)
        except ValueError:  # it is being written: not every storage replaces a file at once
            return {}
        return found if isinstance(found, dict) else {}

    def _say(self, *, ended: bool = False) -> None:
        self._beats += 1
        remote.write(self._url, json.dumps({**self._said, "beats": self._beats, "ended": ended}).encode())


def _told(found: dict[str, Any]) -> str:
    return f"process {found.get('pid', '?')} on {found.get('host', '?')}"
