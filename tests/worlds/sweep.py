"""Many worlds in a row: how many were played and how fast, and what was found in those that broke an invariant."""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import cache
from itertools import islice

from tests.worlds.play import Errors, Play, play, play_heard
from tests.worlds.policies import SCHEDULERS, SEARCHERS
from tests.worlds.story import tell
from tests.worlds.world import World, draw

_CHUNK = 500
_GARBAGE = 20_000


@dataclass(frozen=True)
class Finding:
    """A world in which something does not hold, as small as it was made, and what that is."""

    seed: int
    without: tuple[int, ...]
    what: str
    story: str

    @property
    def command(self) -> str:
        """What plays it again."""
        without = f" --without {' '.join(map(str, self.without))}" if self.without else ""
        return f"python -m tests.worlds --seed {self.seed}{without}"

    def __str__(self) -> str:
        return f"{self.story}\n\n{self.what}\n\nplay it again with: {self.command}"


@dataclass(frozen=True)
class Sweep:
    """What came of many worlds; `cpu_s` is of all processes together, but for what they import."""

    worlds: int
    events: int
    cpu_s: float
    findings: tuple[Finding, ...]

    def __add__(self, other: Sweep) -> Sweep:
        return Sweep(
            self.worlds + other.worlds,
            self.events + other.events,
            self.cpu_s + other.cpu_s,
            self.findings + other.findings,
        )

    def __str__(self) -> str:
        rate = self.worlds / self.cpu_s if self.cpu_s else 0.0
        return (
            f"{self.worlds} worlds, {self.events} events, {len(self.findings)} with a broken invariant, "
            f"{rate:.0f} worlds a second and core"
        )


def sweep(seeds: Iterable[int], *, most_findings: int = 3) -> Sweep:
    """Play the worlds of these seeds, until so many broke something."""
    _import_all()
    findings: list[Finding] = []
    worlds = events = 0
    began = time.process_time()
    with _seldom_tidied(), Errors() as errors:
        for seed in seeds:
            world = draw(seed)
            worlds += 1
            try:
                events += len(play_heard(world, errors).rows)
            except Exception as error:
                findings.append(find(world, error))
                if len(findings) == most_findings:
                    break
    return Sweep(worlds, events, time.process_time() - began, tuple(findings))


@cache
def _import_all() -> None:
    """Import what only some worlds do, so that none of them pays for it; what breaks here does in the others too."""
    calm = [World(seed=0, searcher=one) for one in SEARCHERS] + [World(seed=0, scheduler=one) for one in SCHEDULERS]
    for world in calm:
        with suppress(Exception):
            play(world)


@contextmanager
def _seldom_tidied() -> Iterator[None]:
    """Collect garbage every few worlds, and not several times in each; never look through what was imported."""
    usual = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(_GARBAGE)
    try:
        yield
    finally:
        gc.set_threshold(*usual)
        gc.unfreeze()


def sweep_in_parallel(seeds: Iterable[int]) -> Iterator[Sweep]:
    """The same on every core; what came of it so far, again and again."""
    everything = iter(seeds)
    chunks = iter(lambda: list(islice(everything, _CHUNK)), [])
    total = Sweep(0, 0, 0.0, ())
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        for found in pool.map(sweep, chunks):
            total += found
            yield total


def find(world: World, error: Exception) -> Finding:
    """The smallest world, with less of what goes wrong in `world`, in which the same does not hold."""
    without: tuple[int, ...] = ()
    for number in reversed(range(len(world.moves))):
        if again := _fails_alike(omit(world, (number, *without)), error):
            without, error = (number, *without), again
    played: Play = error.played  # type: ignore[attr-defined]
    return Finding(world.seed, without, f"{type(error).__name__}: {error}", tell(played))


def omit(world: World, without: Iterable[int]) -> World:
    """`world` without the moves of these numbers."""
    left_out = set(without)
    return replace(world, moves=tuple(move for at, move in enumerate(world.moves) if at not in left_out))


def _fails_alike(world: World, error: Exception) -> Exception | None:
    try:
        play(world)
    except Exception as again:
        alike = type(again) is type(error) and getattr(again, "number", None) == getattr(error, "number", None)
        return again if alike else None
    return None
