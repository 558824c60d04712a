"""Journal entries as rows of text and numbers, and back."""

from __future__ import annotations

from dataclasses import fields
from typing import Any, NamedTuple

from schedulers.base import Continue, Decision, Exploit, Pause, Resize, Save, Stop
from tune.machine.events import (
    Begun,
    CheckpointRef,
    CheckpointRefused,
    Closing,
    Decided,
    Dismissed,
    Ended,
    Entry,
    Event,
    Evicted,
    ExploitDropped,
    Exploited,
    Failed,
    Failure,
    Finished,
    HeldUp,
    Interrupted,
    Launched,
    Opened,
    Overdue,
    ParameterGiven,
    Reopened,
    Reported,
    ResizeDropped,
    Rested,
    SaveBegun,
    Saved,
    SaveFailed,
    SearchEnded,
    SpaceChanged,
    Suggested,
    SwitchedOff,
    TimedOut,
    Verdict,
)
from tune.storage import data

KINDS: dict[str, type[Event]] = {
    "opened": Opened,
    "search_ended": SearchEnded,
    "closing": Closing,
    "finished": Finished,
    "suggested": Suggested,
    "launched": Launched,
    "begun": Begun,
    "parameter": ParameterGiven,
    "reported": Reported,
    "decided": Decided,
    "exploited": Exploited,
    "exploit_dropped": ExploitDropped,
    "resize_dropped": ResizeDropped,
    "evicted": Evicted,
    "save_begun": SaveBegun,
    "saved": Saved,
    "save_failed": SaveFailed,
    "refused": CheckpointRefused,
    "ended": Ended,
    "failed": Failed,
    "overdue": Overdue,
    "timed_out": TimedOut,
    "rested": Rested,
    "interrupted": Interrupted,
    "dismissed": Dismissed,
    "reopened": Reopened,
    "space_changed": SpaceChanged,
    "switched_off": SwitchedOff,
    "held_up": HeldUp,
}
_NAMES = {kind: name for name, kind in KINDS.items()}
_DECISIONS: dict[str, type[Decision]] = {
    "continue": Continue,
    "save": Save,
    "pause": Pause,
    "stop": Stop,
    "exploit": Exploit,
    "resize": Resize,
}
_DECISION_NAMES = {kind: name for name, kind in _DECISIONS.items()}
_COLUMNS = ("trial_id", "attempt")
_NESTED = (CheckpointRef, Failure)
# What is equal to a field's default is left out of the text.
_FIELDS = {
    kind: tuple((each.name, each.default) for each in fields(kind) if each.name not in _COLUMNS)
    for kind in (*_NAMES, *_NESTED, *_DECISION_NAMES)
}


class Row(NamedTuple):
    """One journal row but for its position and checksum; `text` is a JSON object with the rest of the event."""

    time: float
    wall: float
    kind: str
    trial: str | None
    attempt: int | None
    iteration: int | None
    state: str | None
    text: str


def to_row(entry: Entry) -> Row:
    """An entry as a row."""
    event = entry.event
    content = _unusual(event)
    if isinstance(event, Decided):
        content.update(_decision_to_data(content.pop("decision")))
    elif entry.verdict is not None:
        content.update(_verdict_to_data(entry.verdict))
    return Row(
        float(entry.time),  # SQLite makes it one, and the checksum is to be of what is read back
        float(entry.wall),
        _NAMES[type(event)],
        getattr(event, "trial_id", None),
        getattr(event, "attempt", None),
        entry.iteration,
        entry.state,
        data.dumps(content),
    )


def to_entry(row: Row, *, code: bool = False) -> Entry:
    """A row as an entry. With `code`, objects in configurations are made again; otherwise they stay `data.Lost`."""
    content = data.loads(row.text, code=code)
    kind = KINDS[row.kind]
    verdict = None
    if kind is Decided:
        content["decision"] = _decision_from_data(content)
    elif "decision" in content:
        save, free_until = content.pop("save", False), content.pop("free_until", 0)
        verdict = Verdict(_decision_from_data(content), save, free_until)
    if row.trial is not None:
        content["trial_id"] = row.trial
    if row.attempt is not None and "attempt" in kind.__slots__:
        content["attempt"] = row.attempt
    if "checkpoint" in content:
        content["checkpoint"] = CheckpointRef(**content["checkpoint"])
    if "failure" in content:
        content["failure"] = Failure(**content["failure"])
    return Entry(row.time, row.wall, kind(**content), verdict, row.iteration, row.state)


def _unusual(value: Any) -> dict[str, Any]:
    """The fields of an event, or of a value in one, that are not at their defaults. Hot: once for every row."""
    content: dict[str, Any] = {}
    for name, default in _FIELDS[type(value)]:
        part = getattr(value, name)
        if part is default or (type(part) is type(default) and part == default):
            continue
        content[name] = _unusual(part) if type(part) in _NESTED else part
    return content


def _verdict_to_data(verdict: Verdict) -> dict[str, Any]:
    content = _decision_to_data(verdict.decision)
    if verdict.save:
        content["save"] = True
    if verdict.free_until:
        content["free_until"] = verdict.free_until
    return content


def _decision_to_data(decision: Decision) -> dict[str, Any]:
    return {"decision": _DECISION_NAMES[type(decision)], **_unusual(decision)}


def _decision_from_data(content: dict[str, Any]) -> Decision:
    """Take a decision out of the rest of a row."""
    kind = _DECISIONS[content.pop("decision")]
    return kind(**{name: content.pop(name) for name, _ in _FIELDS[kind] if name in content})
