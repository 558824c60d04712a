"""Entries as rows and back."""

from __future__ import annotations

import dataclasses
import json
import math
import typing
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schedulers.base import Decision
from searchers.domain import Domain
from searchers.space import choice, uniform
from tune.machine import events
from tune.machine.events import CheckpointRef, Entry, ExperimentEvent, Failure, ParameterGiven, TrialEvent, Verdict
from tune.storage.codec import KINDS, to_entry, to_row

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=2) | st.tuples(inner) | st.dictionaries(st.text(), inner, max_size=2),
    max_leaves=4,
)
COUNTS = st.integers(0, 2**40)
TEXTS = st.sampled_from(["", "a", "a 'b' \n c"]) | st.text()
CHECKPOINTS = st.builds(CheckpointRef, TEXTS, COUNTS, COUNTS)
BY_TYPE: dict[Any, st.SearchStrategy[Any]] = {
    str: TEXTS,
    int: COUNTS,
    float: st.floats(0, 1e12),
    bool: st.booleans(),
    int | None: st.none() | COUNTS,
    float | None: st.none() | st.floats(0, 1e12),
    Mapping[str, Any]: st.dictionaries(st.text(), VALUES, max_size=3),
    Mapping[str, float]: st.dictionaries(st.text(), st.floats(0, 1e12), max_size=2),
    dict[str, float]: st.dictionaries(st.text(), st.floats(0, 1e12), max_size=2),
    Any: VALUES,
    dict[str, Any]: st.dictionaries(st.text(), VALUES, max_size=3),
    tuple[str, ...]: st.lists(TEXTS, max_size=2).map(tuple),
    dict[str, Any] | None: st.none() | st.dictionaries(st.text(), VALUES, max_size=3),
    CheckpointRef: CHECKPOINTS,
    CheckpointRef | None: st.none() | CHECKPOINTS,
    Failure: st.builds(Failure, TEXTS, TEXTS, TEXTS, TEXTS, TEXTS),
    Domain: st.sampled_from([uniform(0, 1), choice([1, "a", (2, 3)])]),
}


def built(kind: type) -> st.SearchStrategy[Any]:
    hints = typing.get_type_hints(kind)
    return st.builds(kind, **{each.name: BY_TYPE[hints[each.name]] for each in dataclasses.fields(kind)})


BY_TYPE[Decision] = st.one_of(*(built(kind) for kind in typing.get_args(Decision)))
KINDS_OF_EVENTS = [*typing.get_args(ExperimentEvent), *typing.get_args(TrialEvent)]


def is_same(one: Any, other: Any) -> bool:
    """Equal, of the same types, and NaN where there was NaN."""
    return repr(one) == repr(other)


def test_every_event_has_a_name() -> None:
    assert set(KINDS.values()) == set(KINDS_OF_EVENTS)


@pytest.mark.parametrize("kind", KINDS_OF_EVENTS, ids=lambda kind: kind.__name__)
@given(data=st.data())
def test_every_event_comes_back_with_every_field(kind: type, data: st.DataObject) -> None:
    event = data.draw(built(kind))
    verdict = None
    if kind is events.Reported:
        verdict = data.draw(st.builds(Verdict, BY_TYPE[Decision], st.booleans()))
    state = "RUNNING" if hasattr(event, "trial_id") else None
    entry = Entry(data.draw(BY_TYPE[float]), 1.5e9, event, verdict, data.draw(st.none() | COUNTS), state)
    row = to_row(entry)
    json.loads(row.text, parse_constant=pytest.fail)
    assert is_same(to_entry(row, code=True), entry)


@pytest.mark.parametrize("value", [False, None, "", 0, 0.0, [], {}, (), math.nan])
def test_a_parameter_that_is_false_or_empty_comes_back(value: Any) -> None:
    entry = Entry(0.0, 0.0, ParameterGiven("t0", 1, 1, "x", uniform(0, 1), value), None, None, "RUNNING")
    assert is_same(to_entry(to_row(entry), code=True), entry)


def test_whole_seconds_are_kept_as_the_database_returns_them() -> None:
    row = to_row(Entry(3, 4, events.Finished()))
    assert is_same((row.time, row.wall), (3.0, 4.0))


def test_what_is_at_its_default_takes_no_room() -> None:
    row = to_row(Entry(0.0, 0.0, events.Reported("t0", 1, 1, {}, 0.5), Verdict()))
    assert json.loads(row.text) == {"seq": 1, "metrics": {}, "seconds": 0.5, "decision": "continue"}
