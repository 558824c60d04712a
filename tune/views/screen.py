"""A running experiment as one picture on a terminal, redrawn in place; the last one stays. Imports rich."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

from rich.console import Console, RenderableType
from rich.live import Live
from rich.text import Text

from tune.machine.events import Entry
from tune.views.picture import Picture, draw
from tune.views.tally import Change, Tally

_FRAMES_PER_SECOND = 4


class Screen:
    """Redraws on a thread of its own, so that time goes on while nothing happens; entries cost nothing here."""

    def __init__(
        self,
        tally: Tally,
        stream: TextIO,
        *,
        name: str,
        directory: Path,
        total: int | None,
        clock: Callable[[], float],
        auto_refresh: bool = True,
    ) -> None:
        self._tally = tally
        self._clock = clock
        self._picture = Picture(name, directory, total, tally.ended, tally.experiment.time)
        self._console = Console(file=stream, force_terminal=True)
        self._started = clock()
        self._over = False
        self._last: RenderableType = Text()
        self._live = Live(
            get_renderable=self._frame,
            console=self._console,
            refresh_per_second=_FRAMES_PER_SECOND,
            auto_refresh=auto_refresh,
            # What the driver prints meanwhile appears above the picture; what goes to a file is left alone.
            redirect_stdout=stream is sys.stdout,
            redirect_stderr=stream is sys.stdout and sys.stderr.isatty(),
        )

    def start(self) -> None:
        """Draw the first picture."""
        self._started = self._clock()
        self._live.start(refresh=True)

    def refresh(self) -> None:
        """Draw now."""
        self._live.refresh()

    def show(self, entry: Entry, change: Change | None) -> None:
        """Nothing: the next picture has it."""

    def finish(self, summary: list[str]) -> None:
        """Leave the final picture, and the last words below it."""
        self._over = True
        self._live.stop()
        for line in summary:
            self._console.print(Text(line), soft_wrap=True)

    def _frame(self) -> RenderableType:
        """The picture now. The run goes on meanwhile: one that cannot be drawn is left out, and the last one stays."""
        try:
            elapsed = self._clock() - self._started
            size = self._console.size
            self._last = draw(self._tally, self._picture, elapsed, size.width, size.height, over=self._over)
        except RuntimeError:  # something changed size while it was looked through
            pass
        return self._last
