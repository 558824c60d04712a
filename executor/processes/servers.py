"""The fork servers of one machine: one for each program and environment, started before they are needed."""

from __future__ import annotations

import linecache
import os
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from weakref import WeakValueDictionary

from executor.platform import Poller, here
from executor.processes.launcher import Launcher
from executor.processes.protocol import Load

_MOST_IDLE = 4
_PATIENCE_S = 0.5


@dataclass(slots=True, weakref_slot=True)
class Source:
    """What a server of a prepared program loads. It lives as long as somebody who can start the program holds it."""

    digest: str
    load: Load


class Servers:
    """Fork servers by the digest of what they have loaded, and one spare that gets ready for the next program.

    `appeared` is told of each new one.
    """

    def __init__(self, poller: Poller, appeared: Callable[[Launcher], None], scratch: str = "") -> None:
        self._poller = poller
        self._appeared = appeared
        self._scratch = scratch
        self._sources: WeakValueDictionary[str, Source] = WeakValueDictionary()
        self._launchers: dict[str, Launcher] = {}
        self._spare: Launcher | None = self._launch()

    def prepare(self, load: Load) -> Source:
        """Have a server load a pickled program; its digest names it as long as the source is held."""
        load = load._replace(scratch=self._scratch)
        digest = _digest(load)
        source = self._sources.setdefault(digest, Source(digest, load))
        source.load = load
        self.launcher(digest)
        return source

    def launcher(self, digest: str) -> Launcher:
        """The server of a prepared program, a new one if there is none.

        Raises:
            ValueError: no such program was prepared here.
        """
        launcher = self._launchers.get(digest)
        if launcher is None:
            source = self._sources.get(digest)
            if source is None:
                raise ValueError(f"this executor has not prepared the program {digest}: call its `prepare` first")
            launcher = self._spare = self._spare or self._launch()
            launcher.load(source.load)  # where this fails, it stays the spare
            self._launchers[digest], self._spare = launcher, None
        return launcher

    def preload(self, digest: str, modules: Sequence[str]) -> None:
        """Have the server of a prepared program import more modules before it starts another worker."""
        source = self._sources[digest]
        source.load = source.load._replace(preload=(*source.load.preload, *modules))
        if digest in self._launchers:
            self._launchers[digest].preload(modules)

    def _launch(self) -> Launcher:
        launcher = Launcher(self._poller)
        self._appeared(launcher)
        return launcher

    def retire(self, busy: Collection[str]) -> list[Launcher]:
        """Forget the longest unused servers but a few, for the caller to end: each edited notebook cell adds one."""
        idle = [digest for digest in self._launchers if digest not in busy]
        return [self._launchers.pop(digest) for digest in idle[:-_MOST_IDLE]]

    def forget(self, launcher: Launcher) -> None:
        """Take a server that has ended off the list; its program gets a new one when it is needed."""
        self._launchers = {digest: other for digest, other in self._launchers.items() if other is not launcher}
        if launcher is self._spare:
            self._spare = None

    def close(self) -> None:
        """End all servers, and so all their workers."""
        launchers = [*self._launchers.values(), *([self._spare] if self._spare else [])]
        for launcher in launchers:
            launcher.ask_to_end()
        for launcher in launchers:
            launcher.end(_PATIENCE_S)


def load_here(pickled: bytes, preload: Sequence[str], environment: Mapping[str, str]) -> Load:
    """What a server takes over of this process for a pickled program."""
    folder = str(Path.cwd())
    return Load(
        path=[entry or folder for entry in sys.path],
        arguments=list(sys.argv),
        folder=folder,
        environment={**os.environ, **environment},
        overrides=dict(environment),
        sources=sources_without_files(),
        preload=tuple(preload),
        program=pickled,
        can_fork=here.can_fork(),
        scratch="",
    )


def sources_without_files() -> dict[str, list[str]]:
    """The lines of code that is in no file, as a notebook's cells, by the name that tracebacks know."""
    known = linecache.cache.items()
    return {name: entry[2] for name, entry in known if len(entry) > 2 and not Path(name).is_file()}


def _digest(load: Load) -> str:
    code = blake2b(load.program, digest_size=16)
    code.update(repr((load.preload, sorted(load.overrides.items()), load.path, load.folder)).encode())
    return code.hexdigest()
