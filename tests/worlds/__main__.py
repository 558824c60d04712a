"""``python -m tests.worlds``: play the world of one seed and tell its story, or look for one in which something fails.

python -m tests.worlds --seed 529              the story of this world, and what does not hold in it
python -m tests.worlds --seed 529 --without 0  without the first of what goes wrong there
python -m tests.worlds --count 100000          many worlds, on every core
"""

from __future__ import annotations

import argparse
import sys

from tests.worlds.play import Play, play
from tests.worlds.story import tell
from tests.worlds.sweep import omit, sweep_in_parallel
from tests.worlds.world import draw


def main() -> int:
    """What the command line asks for; 1 when something does not hold."""
    parser = argparse.ArgumentParser(prog="python -m tests.worlds", description=str(__doc__).partition("\n")[0])
    parser.add_argument("--seed", type=int, help="the world to play, or the first of many")
    parser.add_argument("--without", type=int, nargs="*", default=[], help="numbers of moves to leave out")
    parser.add_argument("--count", type=int, default=0, help="how many worlds to play")
    asked = parser.parse_args()
    first = asked.seed or 0
    return _look(first, asked.count) if asked.count else _replay(first, asked.without)


def _replay(seed: int, without: list[int]) -> int:
    world = omit(draw(seed), without)
    try:
        print(tell(play(world)), "\n\nevery invariant holds")
    except Exception as error:
        played: Play = error.played  # type: ignore[attr-defined]
        print(f"{tell(played)}\n\n{type(error).__name__}: {error}")
        return 1
    return 0


def _look(first: int, count: int) -> int:
    told = 0
    for found in sweep_in_parallel(range(first, first + count)):
        for finding in found.findings[told:]:
            print(f"\n{finding}\n", flush=True)
        told = len(found.findings)
        print(f"\r{found}", end="", file=sys.stderr, flush=True)
    print(f"\n{found}" if count else "no worlds")
    return 1 if told else 0


if __name__ == "__main__":
    sys.exit(main())
