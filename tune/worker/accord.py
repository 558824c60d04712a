"""What the workers of a gang agree on without a word to the experiment: the checkpoint that all of them start from.

Rank 0 alone finds out which one is whole, as it alone can ask for another. It leaves the answer in a file where the
attempt's workers meet.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from tune.machine.events import CheckpointRef

_FILE = ".checkpoint"


def announce(place: Path, checkpoint: CheckpointRef | None) -> None:
    """Tell the other ranks what they start from."""
    place.mkdir(parents=True, exist_ok=True)
    unfinished = place / f"{_FILE}.unfinished"
    unfinished.write_text(json.dumps(asdict(checkpoint) if checkpoint else None))
    unfinished.replace(place / _FILE)


def announced(place: Path) -> list[CheckpointRef | None]:
    """What rank 0 has told; empty as long as it has told nothing."""
    try:
        found = json.loads((place / _FILE).read_text())
    except FileNotFoundError:
        return []
    return [CheckpointRef(**found) if found else None]
