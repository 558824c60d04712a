"""Who runs an experiment at a URL: one at a time, as far as that can be told where nothing can be locked."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from queue import SimpleQueue

import pytest

from tune.errors import ExperimentBusyError
from tune.storage import remote
from tune.storage.claim import NAME, Claim

DEADLINE_S = 30.0
NEVER_S = 3600.0
OTHERS = {"token": "other", "pid": 7, "host": "elsewhere", "beats": 3}


@pytest.fixture
def address(tmp_path: Path) -> str:
    return f"memory://{tmp_path.name}/e"


def machine(tmp_path: Path, name: str) -> Path:
    """The directory of the experiment on this machine."""
    (tmp_path / name).mkdir(exist_ok=True)
    return tmp_path / name


def say(address: str, said: dict[str, object]) -> None:
    remote.write(f"{address}/{NAME}", json.dumps(said).encode())


def test_another_machine_is_refused_while_the_run_shows_that_it_lives(address: str, tmp_path: Path) -> None:
    with Claim(address, machine(tmp_path, "a"), beat_s=0.01):
        second = Claim(address, machine(tmp_path, "b"), beat_s=1.0)
        with pytest.raises(ExperimentBusyError, match="is run by process"), second:
            pass
    with Claim(address, machine(tmp_path, "b"), beat_s=NEVER_S):  # which has not to wait for one that has ended
        pass
    assert not list(tmp_path.rglob(NAME))


def test_one_that_was_taken_for_dead_finds_that_it_is_anothers_also_when_that_has_ended(
    address: str, tmp_path: Path
) -> None:
    with Claim(address, machine(tmp_path, "a"), beat_s=NEVER_S) as sleeping:
        say(address, {**OTHERS, "ended": True})
        with pytest.raises(ExperimentBusyError, match="taken up by process 7"):
            sleeping.check()


def test_one_that_cannot_be_read_just_now_is_waited_for_where_nothing_was_run_before(
    address: str, tmp_path: Path
) -> None:
    remote.write(f"{address}/{NAME}", b"")
    second = Claim(address, machine(tmp_path, "b"), beat_s=1.0)
    saying = threading.Timer(0.3, say, (address, OTHERS))
    saying.start()
    with pytest.raises(ExperimentBusyError, match="is run by process 7"), second:
        pass
    saying.join()


def test_one_that_is_heard_of_no_more_gives_way(address: str, tmp_path: Path, caplog) -> None:
    say(address, OTHERS)
    with Claim(address, machine(tmp_path, "a"), beat_s=0.02) as claim:
        claim.check()
    assert "may be run by process 7 on elsewhere" in caplog.text


def test_nobody_waits_for_a_run_that_died_on_this_very_machine(address: str, tmp_path: Path) -> None:
    live = machine(tmp_path, "a")
    say(address, OTHERS)
    (live / NAME).write_text(str(OTHERS["token"]))
    with Claim(address, live, beat_s=NEVER_S) as claim:
        claim.check()


def test_who_lost_it_is_told_and_leaves_the_others_claim_alone(address: str, tmp_path: Path) -> None:
    lost: SimpleQueue[ExperimentBusyError] = SimpleQueue()
    with Claim(address, machine(tmp_path, "a"), beat_s=0.01) as claim:
        claim.when_lost(lost.put)
        say(address, OTHERS)
        assert "process 7 on elsewhere" in str(lost.get(timeout=DEADLINE_S))
        with pytest.raises(ExperimentBusyError, match="taken up by process 7 on elsewhere"):
            claim.check()
    assert json.loads(remote.read(f"{address}/{NAME}") or b"") == OTHERS


def test_a_claim_that_cannot_be_read_is_no_obstacle_for_its_own_run(address: str, tmp_path: Path) -> None:
    with Claim(address, machine(tmp_path, "a"), beat_s=NEVER_S) as claim:
        remote.write(f"{address}/{NAME}", b'{"tok')
        claim.check()
