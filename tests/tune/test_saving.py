"""How an attempt saves: at once, or aside while it goes on, and what it tells of it."""

from __future__ import annotations

import errno
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from executor.interface import Channel
from tune.machine.events import CheckpointRef
from tune.storage.places import DirectoryPlace, Place, Staged
from tune.worker.messages import Save, Stage, Task, Unsaved
from tune.worker.saving import Saving

DEADLINE_S = 30.0
TASK = Task("t0", 1, {}, None, {})


class Line(Channel):
    """Keeps what is told."""

    def __init__(self) -> None:
        self.told: list[object] = []

    def emit(self, payload: object) -> object:
        raise AssertionError("a save asks nothing")

    def tell(self, payload: object) -> None:
        self.told.append(payload)

    @property
    def cancelled(self) -> bool:
        return False


@dataclass(frozen=True)
class SlowPlace(DirectoryPlace):
    """A directory whose storage takes its time, and may then be at fault."""

    let: threading.Event = field(default_factory=threading.Event)
    faults: list[Exception] = field(default_factory=list)

    def _keep(self, staged: Staged) -> None:
        assert self.let.wait(DEADLINE_S)
        if self.faults:
            raise self.faults.pop()
        super()._keep(staged)


@pytest.fixture
def place(tmp_path: Path) -> SlowPlace:
    return SlowPlace(str(tmp_path))


@pytest.fixture
def line() -> Line:
    return Line()


@pytest.fixture
def saving(place: Place, line: Line) -> Iterator[Saving]:
    saving = Saving(place, TASK, line, aside=True)
    yield saving
    saving.close()


def fill(target: str) -> None:
    Path(target, "weights").write_text("weights")


def full(target: str) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def ref(iteration: int) -> CheckpointRef:
    return CheckpointRef(f"checkpoints/t0/{iteration:06d}-1", iteration, 7)


def test_at_once_a_save_is_complete_when_it_is_told(place: SlowPlace, line: Line) -> None:
    place.let.set()
    saving = Saving(place, TASK, line, aside=False)
    assert saving.take(fill, 1) == Save(ref(1))
    place.fetch(ref(1))
    assert line.told == []


def test_aside_the_trial_goes_on_before_it_is_complete(saving: Saving, place: SlowPlace, line: Line) -> None:
    assert saving.take(fill, 1) == Stage()
    saving.go_on_aside()
    assert line.told == []
    assert not place.has(ref(1))
    place.let.set()
    saving.finish()
    assert line.told == [Save(ref(1))]
    place.fetch(ref(1))


def test_nothing_is_told_of_a_save_before_the_experiment_knows_that_it_was_begun(
    saving: Saving, place: SlowPlace, line: Line
) -> None:
    place.let.set()
    saving.take(fill, 1)
    saving.finish()
    assert line.told == []
    saving.go_on_aside()
    saving.finish()
    assert line.told == [Save(ref(1))]


def test_one_is_under_way_at_a_time(saving: Saving, place: SlowPlace, line: Line) -> None:
    saving.take(fill, 1)
    saving.go_on_aside()
    second = threading.Thread(target=saving.take, args=(fill, 2))
    second.start()
    assert place.names() == ["checkpoints/t0/.unfinished-000001-1"]
    place.let.set()
    second.join(DEADLINE_S)
    assert line.told == [Save(ref(1))]
    saving.go_on_aside()
    saving.finish()
    assert line.told == [Save(ref(1)), Save(ref(2))]


def test_an_error_aside_is_raised_at_the_next_save_or_at_the_end(saving: Saving, place: SlowPlace, line: Line) -> None:
    place.let.set()
    for last_words in (lambda: saving.take(fill, 2), saving.finish):
        place.faults.append(PermissionError("not yours"))
        saving.take(fill, 1)
        saving.go_on_aside()
        with pytest.raises(PermissionError, match="not yours"):
            last_words()
    assert (
        line.told == [Unsaved("PermissionError: not yours")] * 3
    )  # the experiment waits for neither that nor the next
    assert place.names() == []


def test_no_room_is_told_and_harms_nobody(saving: Saving, place: SlowPlace, line: Line) -> None:
    place.let.set()
    place.faults.append(OSError(errno.ENOSPC, "No space left on device"))
    saving.take(fill, 1)
    saving.go_on_aside()
    saving.finish()
    (told,) = line.told
    assert isinstance(told, Unsaved)
    assert "No space left" in told.why
    assert isinstance(saving.take(full, 2), Unsaved)
    assert place.names() == []


def test_what_the_user_raises_is_his_and_the_experiment_knows_that_nothing_was_saved(
    saving: Saving, line: Line
) -> None:
    def missing(target: str) -> None:
        Path(target, "nowhere").read_text()

    with pytest.raises(FileNotFoundError):
        saving.take(missing, 1)
    (told,) = line.told
    assert "FileNotFoundError" in told.why


def test_the_end_of_an_attempt_completes_what_is_under_way(place: SlowPlace, line: Line) -> None:
    place.let.set()
    saving = Saving(place, TASK, line, aside=True)
    saving.take(fill, 1)
    saving.go_on_aside()
    saving.close()
    assert line.told == [Save(ref(1))]
    begun = Saving(place, TASK, line, aside=True)
    begun.take(fill, 2)
    begun.close()
    assert place.names() == [ref(1).path]
