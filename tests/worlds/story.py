"""What happened in a world, for people to read: a line for each committed entry and for each thing that went wrong."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from schedulers.base import Continue
from tests.worlds.play import Play
from tests.worlds.world import Move
from tune.machine.events import CheckpointRef, Entry, Failure

_TOLD_ELSEWHERE = frozenset(("trial_id", "attempt", "seq"))


def tell(played: Play) -> str:
    """The whole story, after what the world is like."""
    lines = [_line(one) for one in played.told]
    not_kept = len(played.experiment.take_entries())
    lines += [f"and {not_kept} events that nobody has kept yet"] if not_kept else []
    return "\n".join([str(played.world), "", *lines])


def _line(one: str | Move | Entry) -> str:
    if isinstance(one, Entry):
        return _of_entry(one)
    return f"        --- {one}"


def _of_entry(entry: Entry) -> str:
    event = entry.event
    who = getattr(event, "trial_id", "")
    if attempt := getattr(event, "attempt", None):
        who = f"{who}.{attempt}"
    words = [f"{entry.time:7.2f} {who:5} {type(event).__name__.lower()}"]
    words += [f"at {entry.iteration}"] if entry.iteration is not None else []
    words += [_shown(each.name, getattr(event, each.name), each.default) for each in fields(event)]
    if entry.verdict is not None:
        decision = entry.verdict.decision
        words += [f"-> {decision}"] if not isinstance(decision, Continue) else []
        words += ["-> save"] if entry.verdict.save else []
    words += [f"[{entry.state}]"] if entry.state else []
    return " ".join(filter(None, words))


def _shown(name: str, value: Any, default: Any) -> str:
    if name in _TOLD_ELSEWHERE or value == default:
        return ""
    match value:
        case CheckpointRef(path):
            return f"{name}={path.removeprefix('checkpoints/')}"
        case Failure(kind, summary):
            return f"{kind}: {summary}"
        case _:
            return f"{name}={value}"
