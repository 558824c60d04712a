"""What the workers of a gang agree on without a word to the experiment: the checkpoint that all of them start from.

Rank 0 alone finds out which one is whole, as it alone can ask for another. It posts the answer where checkpoints are,
for the attempt's other workers to read.
"""

from __future__ import annotations

import json
from dataclasses import asdict

from tune.machine.events import CheckpointRef
from tune.storage.places import Place
from tune.worker.messages import Task


def announce(place: Place, task: Task, checkpoint: CheckpointRef | None) -> None:
    """Tell the other ranks what they start from."""
    place.post(task.trial_id, task.attempt, json.dumps(asdict(checkpoint) if checkpoint else None).encode())


def announced(place: Place, task: Task) -> list[CheckpointRef | None]:
    """What rank 0 has told; empty as long as it has told nothing."""
    content = place.posted(task.trial_id, task.attempt)
    if content is None:
        return []
    try:
        found = json.loads(content)
    except ValueError:  # it is being written: not every storage replaces a file at once
        return []
    return [CheckpointRef(**found) if found else None]
