"""What a person sees while an experiment runs: one picture in place on a terminal, plain lines anywhere else."""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self, TextIO

from tune.machine.events import Entry
from tune.machine.experiment import Experiment
from tune.views.lines import Lines
from tune.views.summary import summary
from tune.views.tally import Change, Tally

log = logging.getLogger(__name__)


class Display(Protocol):
    """Where progress is shown."""

    def start(self) -> None:
        """The run begins."""

    def show(self, entry: Entry, change: Change | None) -> None:
        """Something happened; `change` is set when a trial's state changed. Called very often: be quick."""

    def finish(self, summary: list[str]) -> None:
        """The run is over."""


class Progress:
    """An observer of a run, and a context manager around it: ``with progress(...) as shown: loop.observe(shown)``."""

    def __init__(self, tally: Tally, display: Display, directory: Path, total: int | None) -> None:
        self._tally = tally
        self._display: Display | None = display
        self._directory = directory
        self._total = total

    def __call__(self, entry: Entry) -> None:
        """Take in an entry."""
        change = self._tally.take(entry)
        if self._display is not None:
            self._guard(lambda display: display.show(entry, change))

    def start(self) -> None:
        """Begin to show; `__enter__` does."""
        self._guard(lambda display: display.start())

    def finish(self) -> None:
        """Show the final picture and the summary; `__exit__` does."""
        last_words = summary(self._tally, self._directory, self._total)
        self._guard(lambda display: display.finish(last_words))
        self._display = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.finish()

    def _guard(self, act: Callable[[Display], None]) -> None:
        """What fails here ends the showing, never the run; a reader that is gone (``| head``) does so silently."""
        if self._display is None:
            return
        try:
            act(self._display)
        except (OSError, ValueError) as error:
            self._display = None
            log.debug("progress is shown no more: %s", error)
        except Exception:
            self._display = None
            log.exception("progress is shown no more")


def progress(
    experiment: Experiment,
    *,
    name: str,
    directory: Path,
    total: int | None,
    verbose: int,
    stream: TextIO | None = None,
    plain: bool = False,
    clock: Callable[[], float] = time.monotonic,
) -> Progress | None:
    """What shows `experiment` on `stream` (stdout by default); None, and not a byte, with ``verbose=0``.

    On a terminal it is a picture, redrawn four times a second by a thread of its own. Otherwise, or with `plain`, it is
    a line for each change of a trial's state, with ``verbose=2`` for each result. `total` is how many trials there will
    be, None when nobody knows. Make it when the experiment stands where it starts from.
    """
    if verbose <= 0:
        return None
    stream = sys.stdout if stream is None else stream
    tally = Tally(experiment)
    display: Display
    if plain or not _can_draw(stream):
        display = Lines(tally, stream, total, every_result=verbose > 1)
    else:
        from tune.views.screen import Screen

        display = Screen(tally, stream, name=name, directory=directory, total=total, clock=clock)
    return Progress(tally, display, directory, total)


def _can_draw(stream: TextIO) -> bool:
    """Whether `stream` is a terminal that moves its cursor and knows the symbols."""
    known = os.environ.get("TERM", "") not in ("dumb", "unknown", "")
    return stream.isatty() and known and "utf" in (stream.encoding or "").lower()
