"""Journal entries as rows of text and numbers, and back."""

from __future__ import annotations

from typing import Any, NamedTuple

from schedulers.base import Continue, Pause, Save, Stop
from tune.machine.events import (
    CheckpointRef,
    CheckpointRefused,
    Closing,
    Dismissed,
    Ended,
    Entry,
    Event,
    Failed,
    Failure,
    Finished,
    Interrupted,
    Launched,
    Opened,
    Overdue,
    ParameterGiven,
    Reported,
    Saved,
    SearchEnded,
    Suggested,
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
    "parameter": ParameterGiven,
    "reported": Reported,
    "saved": Saved,
    "refused": CheckpointRefused,
    "ended": Ended,
    "failed": Failed,
    "overdue": Overdue,
    "interrupted": Interrupted,
    "dismissed": Dismissed,
}
_NAMES = {kind: name for name, kind in KINDS.items()}
_DECISIONS: dict[str, type[Continue | Save | Pause | Stop]] = {
    "continue": Continue,
    "save": Save,
    "pause": Pause,
    "stop": Stop,
}
_DECISION_NAMES = {kind: name for name, kind in _DECISIONS.items()}
_COLUMNS = ("trial_id", "attempt")


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
    content = {
        name: _plain(value)
        for name in type(event).__slots__
        if name not in _COLUMNS and (value := getattr(event, name)) is not None and value is not False and value != ""
    }
    if entry.verdict is not None:
        content.update(_verdict_to_data(entry.verdict))
    return Row(
        entry.time,
        entry.wall,
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
    verdict = _verdict_from_data(content)
    kind = KINDS[row.kind]
    if row.trial is not None:
        content["trial_id"] = row.trial
    if row.attempt is not None and "attempt" in kind.__slots__:
        content["attempt"] = row.attempt
    if "checkpoint" in content:
        content["checkpoint"] = CheckpointRef(**content["checkpoint"])
    if "failure" in content:
        content["failure"] = Failure(**content["failure"])
    defaults = _REQUIRED.get(row.kind, {})
    return Entry(row.time, row.wall, kind(**{**defaults, **content}), verdict, row.iteration, row.state)


# Fields without a default that `to_row` leaves out when they are empty.
_REQUIRED: dict[str, dict[str, Any]] = {"parameter": {"value": None}, "closing": {"reason": ""}, "refused": {"why": ""}}


def _plain(value: Any) -> Any:
    if isinstance(value, CheckpointRef | Failure):
        return {name: part for name in value.__slots__ if (part := getattr(value, name)) not in ("", None)}
    return value


def _verdict_to_data(verdict: Verdict) -> dict[str, Any]:
    decision = verdict.decision
    content: dict[str, Any] = {"decision": _DECISION_NAMES[type(decision)]}
    if isinstance(decision, Pause | Stop) and decision.reason:
        content["reason"] = decision.reason
    if verdict.save:
        content["save"] = True
    return content


def _verdict_from_data(content: dict[str, Any]) -> Verdict | None:
    name = content.pop("decision", None)
    if name is None:
        return None
    save = content.pop("save", False)
    kind = _DECISIONS[name]
    decision = kind(content.pop("reason", "")) if kind in (Pause, Stop) else kind()
    return Verdict(decision, save)
