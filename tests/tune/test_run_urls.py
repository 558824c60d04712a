"""Experiments at a URL: checkpoints go there, the journal is published there, and they go on from there."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import sqlite3
import tempfile
import time
from pathlib import Path

import pytest
from s3fs import S3FileSystem
from typer.testing import CliRunner

import tune
from tests.tune.s3 import s3  # noqa: F401 (a fixture)
from tests.tune.trainables import counting, iterations, saving, steps_done, steps_in
from tune.cli import app
from tune.storage import remote
from tune.storage.claim import Claim
from tune.storage.home import Home
from tune.storage.places import place_at

SPACE = {"config": {"x": tune.uniform(0, 1)}, "metric": "score", "mode": "max", "seed": 3}


@pytest.fixture
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A URL to keep experiments at: that of a directory, which is as good as any, unless S3 is wanted."""
    if getattr(request, "param", "file") == "s3":
        return f"{request.getfixturevalue('s3')}/{tmp_path.name}"
    return (tmp_path / "far").as_uri()


@pytest.fixture
def home(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """Where the experiment ``e`` of these tests is; its live database is in the test's own directory."""
    monkeypatch.setenv("AUDITION_LIVE", str(tmp_path / "live"))
    (tmp_path / "tmp").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return Home.at(f"{url}/e")


@pytest.fixture
def run(run, home: Home):
    return lambda trainable, **settings: run(trainable, storage_path=home.address.rpartition("/")[0], **settings)


def forget(home: Home) -> None:
    """Be another machine: one that has never heard of the experiment."""
    shutil.rmtree(home.live.parent)


@pytest.mark.parametrize("url", ["file", "s3"], indirect=True)
def test_a_trial_goes_on_from_a_checkpoint_at_a_url(run, home, tmp_path):
    def train(_config):
        for step in range(steps_done() + 1, 7):
            if step == 4 and tune.get_context().get_attempt() == 1:
                os.kill(os.getpid(), signal.SIGKILL)
            tune.report({"step": step}, checkpoint=saving(step))

    result = run(train, max_failures=1)[0]

    assert list(result.metrics_dataframe["step"]) == [1, 2, 3, 4, 5, 6]
    of_this_run = r"-[0-9a-f]{8}"
    assert re.fullmatch(f"{re.escape(home.address)}/checkpoints/t0/000006-2{of_this_run}", result.checkpoint.path)
    with result.checkpoint.as_directory() as path:
        assert Path(path, "step").read_text() == "6"
    kept = [re.sub(f"{of_this_run}$", "", name) for name in place_at(home.address).names()]
    assert kept == ["checkpoints/t0/000005-2", "checkpoints/t0/000006-2"]
    assert list((tmp_path / "tmp").iterdir()) == []


def test_another_machine_reads_it_and_goes_on(run, home):
    first = run(counting, num_samples=2, **SPACE)
    before = [dict(one.metrics) for one in first]
    forget(home)

    found = tune.ResultGrid(home.address)
    assert [dict(one.metrics) for one in found] == before
    assert [steps_in_url(one.checkpoint) for one in found] == [6, 6]

    more = tune.resume(home.address, num_samples=1, verbose=0)
    assert [iterations(one) for one in more] == [[1, 2, 3, 4, 5, 6]] * 3
    assert [dict(one.metrics) for one in more][:2] == before
    forget(home)
    assert len(tune.ResultGrid(home.address)) == 3


def test_a_journal_is_fetched_once_by_who_goes_on_with_it_and_never_by_who_published_it(run, home, monkeypatch):
    fetched = []

    def fetch(url, target):
        fetched.append(url)
        return copy_of(url, target)

    copy_of = remote.fetch
    monkeypatch.setattr(remote, "fetch", fetch)
    run(counting, num_samples=1, **SPACE)
    tune.ResultGrid(home.address)
    assert fetched == []
    forget(home)
    assert len(tune.resume(home.address, num_samples=1, verbose=0)) == 2
    assert fetched == [f"{home.address}/experiment.db"]


@pytest.mark.parametrize("waits", [False, True], ids=["at its end", "while it runs"])
def test_a_run_that_another_machine_took_over_ends_and_publishes_nothing_any_more(run, home, monkeypatch, waits):
    monkeypatch.setitem(Claim.__init__.__kwdefaults__, "beat_s", 0.05 if waits else 3600.0)

    def train(_config):
        other = json.dumps({"token": "other", "pid": 7, "host": "elsewhere"}).encode()
        remote.write(f"{home.address}/.owner", other)
        while waits:  # again and again: ours may write between what it reads and what we write
            time.sleep(0.01)
            remote.write(f"{home.address}/.owner", other)
        tune.report(score=1)

    with pytest.raises(tune.ExperimentBusyError, match="taken up by process 7 on elsewhere"):
        run(train, **SPACE)
    forget(home)
    assert remote.read(f"{home.address}/.owner")
    assert all(not one.metrics for one in tune.ResultGrid(home.address))


def steps_in_url(checkpoint) -> int:
    with checkpoint.as_directory() as path:
        return steps_in(tune.Checkpoint(path))


def test_what_ran_elsewhere_since_takes_the_place_of_what_was_here(run, home, tmp_path, caplog):
    run(counting, num_samples=1, **SPACE)
    shutil.copytree(home.live.parent, tmp_path / "this machine")
    tune.resume(home.address, num_samples=1, verbose=0)
    forget(home)
    shutil.move(tmp_path / "this machine", home.live.parent)
    with sqlite3.connect(home.live / "experiment.db") as connection:  # and it has a past of its own
        connection.execute("DELETE FROM events WHERE position = (SELECT max(position) FROM events)")
    connection.close()
    (home.live / ".mark").unlink()

    assert len(tune.ResultGrid(home.address)) == 2
    assert len(tune.resume(home.address, num_samples=1, verbose=0)) == 3
    assert "ran elsewhere since" in caplog.text
    assert (home.live / "experiment.db.other").is_file()


def test_an_end_that_was_not_published_is_had_from_here(run, home, tmp_path):
    run(counting, num_samples=1, **SPACE)
    (tmp_path / "far" / "e" / "experiment.db").unlink()
    assert len(tune.ResultGrid(home.address)) == 1
    assert len(tune.resume(home.address, num_samples=1, verbose=0)) == 2
    forget(home)
    assert len(tune.ResultGrid(home.address)) == 2


def test_storage_that_cannot_be_reached_is_said_before_anything_starts(tmp_path, monkeypatch):
    settings = {"ENDPOINT_URL": "http://127.0.0.1:9", "MAX_ATTEMPTS": "1"}
    settings |= {"ACCESS_KEY_ID": "tests", "SECRET_ACCESS_KEY": "tests"}
    for name, value in settings.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    monkeypatch.setenv("AUDITION_LIVE", str(tmp_path / "live"))
    S3FileSystem.clear_instance_cache()
    try:
        with pytest.raises(tune.StorageUnreachableError, match="look at its name, its credentials"):
            tune.run(counting, storage_path="s3://bucket", name="e", verbose=0, **SPACE)
    finally:
        S3FileSystem.clear_instance_cache()
    assert not any((tmp_path / "live").glob("*/experiment.db"))


def test_a_taken_name_is_refused_and_one_that_is_not_there_is_said(run, home):
    with pytest.raises(tune.NotAnExperimentError, match="there is no experiment"):
        tune.ResultGrid(home.address)
    with pytest.raises(tune.NotAnExperimentError, match="there is no experiment"):
        tune.resume(home.address)
    with pytest.raises(tune.NotAnExperimentError, match="no experiment to resume"):
        run(counting, resume=True, **SPACE)
    assert list(home.live.parent.iterdir()) == []
    assert not tune.Tuner.can_restore(home.address)
    run(counting, **SPACE)
    forget(home)
    assert tune.Tuner.can_restore(home.address)
    with pytest.raises(tune.InvalidArgumentError, match="holds an experiment already"):
        run(counting, **SPACE)
    assert len(run(counting, resume="AUTO", **SPACE)) == 1


@pytest.mark.parametrize(
    ("url", "said"),
    [("memory://e", "one process's own"), ("nonsense://e", "nonsense"), ("s4://bucket", "s4")],
)
def test_a_url_that_cannot_be_is_refused_before_anything_starts(url, said):
    with pytest.raises(tune.InvalidArgumentError, match=said):
        tune.run(counting, storage_path=url, verbose=0, **SPACE)


def test_the_command_line_knows_urls(run, home, tmp_path):
    run(counting, num_samples=1, **SPACE)
    (damaged,) = (tmp_path / "far" / "e" / "checkpoints" / "t0").glob("000006-1-*/step")
    forget(home)

    def audition(*words):
        done = CliRunner().invoke(app, words)
        return done.exit_code, done.output

    assert "iteration 6  checkpoints/t0/000006-1" in audition("show", home.address, "--trial", "t0")[1]
    code, told = audition("doctor", home.address)
    assert (code, "healthy" in told) == (0, True)
    assert audition("resume", home.address, "--num-samples", "1", "--quiet")[0] == 0
    assert len(tune.ResultGrid(home.address)) == 2
    damaged.write_text("7")
    assert "step is not what was saved" in audition("doctor", home.address)[1]


def test_what_killed_processes_left_at_a_url_is_mended_from_any_machine(run, home):
    run(counting, num_samples=1, **SPACE)
    forget(home)
    left = f"{home.address}/checkpoints/t0/000009-1"
    remote.write(f"{left}/weights", b"cut short")
    assert "is of no use" in CliRunner().invoke(app, ["doctor", home.address]).output
    mended = CliRunner().invoke(app, ["doctor", home.address, "--mend"])
    assert (mended.exit_code, "removed checkpoints/t0/000009-1" in mended.output) == (0, True)
    assert remote.files(left) == []


def test_a_damaged_journal_at_a_url_is_given_up_from_there_on_and_published_so(run, home, tmp_path):
    run(counting, num_samples=1, **SPACE)
    forget(home)
    with contextlib.closing(sqlite3.connect(tmp_path / "far" / "e" / "experiment.db", isolation_level=None)) as found:
        found.execute("UPDATE events SET wall = wall + 1 WHERE position = 6")
    mended = CliRunner().invoke(app, ["doctor", home.address, "--accept-loss"])
    assert "rows from row 6 on" in mended.output
    forget(home)
    (result,) = tune.resume(home.address, verbose=0)
    assert iterations(result)[-1] == 6
