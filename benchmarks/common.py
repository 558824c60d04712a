"""What the benchmarks share: each part is measured in its own process, round by round; one line of JSON is printed."""

from __future__ import annotations

import compileall
import json
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

Figures = dict[str, float]

_MARK = "figures: "
_PATIENCE_S = 900


@dataclass(frozen=True)
class Part:
    """One side of a comparison: `measure` returns named figures, the one that is compared first.

    `needs` is the module that it cannot do without; it is measured `rounds` times.
    """

    measure: Callable[[], Figures]
    needs: str = "tune"
    rounds: int = 3


def compare(
    benchmark: str,
    ours: Part,
    peers: dict[str, Part],
    *,
    unit: str,
    at_least: float | None = None,
    at_most: float | None = None,
    most_of_all: bool = False,
) -> None:
    """Measure ours and the peers', the rounds of all interleaved, and print one JSON line.

    The target is a figure, or with `most_of_all` to have more than each of the peers.

    A figure is the median of its rounds, followed by the lowest and the highest when there are several. A ratio says
    how many times better ours is than the peer's: above 1 we are ahead.
    """
    parts = {"audition": ours, **peers}
    if len(sys.argv) > 1:
        print(_MARK + json.dumps(parts[sys.argv[1]].measure()))
        return
    for package in ("executor", "schedulers", "searchers", "tune"):
        # As pip does with what it installs; where PYTHONDONTWRITEBYTECODE is set only the peers would have that.
        compileall.compile_dir(Path(__file__).parents[1] / package, quiet=1)
    found, missing = _measure(parts)
    figures = {name: _summary(rounds) for name, rounds in found.items()}
    mine = _first(figures.pop("audition"))
    line = {"benchmark": benchmark, "unit": unit, "audition": _summary(found["audition"])}
    if at_least is not None or at_most is not None:
        line["target"] = f"at least {at_least:g}" if at_least is not None else f"at most {at_most:g}"
        line["met"] = mine >= at_least if at_least is not None else mine <= at_most
    more_is_better = at_least is not None or most_of_all
    better = (lambda theirs: mine / theirs) if more_is_better else (lambda theirs: theirs / mine)
    ratios = {name: _rounded(better(_first(theirs))) for name, theirs in figures.items()}
    if most_of_all:
        line["target"] = "ahead of all peers"
        line["met"] = min(ratios.values()) > 1
    line["peers"] = figures
    line["ratio"] = ratios
    line["n"] = {name: len(rounds) for name, rounds in found.items()}
    if missing:
        line["peer"] = ", ".join(dict.fromkeys(missing))
    print(json.dumps(line), flush=True)


def _measure(parts: dict[str, Part]) -> tuple[dict[str, list[Figures]], list[str]]:
    """The figures of every round of every part that can be measured, and why the others cannot."""
    missing = [f"{part.needs} is not installed" for part in parts.values() if find_spec(part.needs) is None]
    parts = {name: part for name, part in parts.items() if find_spec(part.needs) is not None}
    found: dict[str, list[Figures]] = {name: [] for name in parts}
    for number in range(max(part.rounds for part in parts.values())):
        for name, part in parts.items():
            if number < part.rounds:
                found[name].append(_in_own_process(name))
    return found, missing


def _in_own_process(part: str) -> Figures:
    done = subprocess.run(
        [sys.executable, sys.argv[0], part], capture_output=True, text=True, timeout=_PATIENCE_S, check=False
    )
    for line in done.stdout.splitlines():
        if line.startswith(_MARK):
            return json.loads(line.removeprefix(_MARK))
    sys.exit(f"{sys.argv[0]} {part} printed no figures (exit code {done.returncode}):\n{done.stderr[-4000:]}")


def _summary(rounds: list[Figures]) -> dict[str, float | list[float]]:
    return {name: _spread([figures[name] for figures in rounds]) for name in rounds[0]}


def _spread(values: list[float]) -> float | list[float]:
    if len(values) == 1:
        return _rounded(values[0])
    return [_rounded(median(values)), _rounded(min(values)), _rounded(max(values))]


def _first(figures: dict[str, float | list[float]]) -> float:
    value = next(iter(figures.values()))
    return value[0] if isinstance(value, list) else value


def _rounded(value: float) -> float:
    """Four digits that count; yes and no stay what they are."""
    return value if isinstance(value, bool | int) else float(f"{value:.4g}")


@contextmanager
def storage() -> Iterator[Path]:
    """A directory for one experiment's storage, removed at the end."""
    with TemporaryDirectory(prefix="benchmark-") as path:
        yield Path(path)


def run_script(text: str, *arguments: str, environment: dict[str, str] | None = None) -> str:
    """What a script prints, run from a file in a fresh interpreter, as a user would."""
    with storage() as folder:
        path = folder / "script.py"
        path.write_text(text)
        command = [sys.executable, str(path), *arguments]
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_PATIENCE_S, check=True, cwd=folder, env=environment
        )
        return done.stdout


def journal_times(experiment: Path, kind: str) -> list[float]:
    """When each event of a kind was taken in, in seconds of the experiment's life."""
    with closing(sqlite3.connect(experiment / "experiment.db")) as connection:
        rows = connection.execute("SELECT time FROM events WHERE kind = ? ORDER BY position", (kind,))
        return [time for (time,) in rows]


def rate(times: list[float]) -> float:
    """Events a second, from the first to the last of them."""
    return (len(times) - 1) / (times[-1] - times[0])


def steady_rate(times: list[float]) -> float:
    """Events a second while all run: without the first tenth, when processes are still started, and the last."""
    tenth = len(times) // 10
    return rate(times[tenth : len(times) - tenth])
