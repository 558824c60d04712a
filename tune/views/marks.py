"""What marks a trial in a table, beside its numbers: whether it is on the Pareto front, and what it breaks."""

from __future__ import annotations

from typing import Any

from tune.views.snapshot import Snapshot

FRONT, BREAKS = "front", "breaks"


def columns(snapshot: Snapshot) -> list[str]:
    """The columns for it: of several metrics ``front``, of constraints on outcomes ``breaks``."""
    objectives = snapshot.objectives
    return [*([FRONT] if len(objectives.modes) > 1 else []), *([BREAKS] if objectives.constraints else [])]


def cells(snapshot: Snapshot, trial_id: str) -> dict[str, Any]:
    """A trial's cells in these columns; a trial that reported nothing breaks nothing yet."""
    last = snapshot.compared.get(trial_id)
    broken = snapshot.objectives.broken(last) if last else []
    marked = {FRONT: "*" if trial_id in snapshot.front else None, BREAKS: ", ".join(broken) or None}
    return {name: marked[name] for name in columns(snapshot)}
