"""Checkpoints: how they are given, which are kept, and what happens to damaged ones."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

import tune
from schedulers import ASHAScheduler
from tests.tune.trainables import counting, iterations, saving, steps_done, steps_in
from tune.machine.events import Reported, SaveBegun
from tune.storage import journal
from tune.storage.places import place_at


def kept(tmp_path, trial_id="t0"):
    """The steps of the checkpoints of a trial that are on disk, oldest first."""
    return [int((path / "step").read_text()) for path in sorted((tmp_path / "e" / "checkpoints" / trial_id).iterdir())]


def given_as_directory(step):
    with tempfile.TemporaryDirectory() as directory:
        saving(step)(directory)
        tune.report({"step": step}, checkpoint=directory)


def given_as_path(step):
    with tempfile.TemporaryDirectory() as directory:
        saving(step)(directory)
        tune.report({"step": step}, checkpoint=Path(directory))


def given_as_checkpoint(step):
    with tempfile.TemporaryDirectory() as directory:
        saving(step)(directory)
        tune.report({"step": step}, checkpoint=tune.Checkpoint.from_directory(directory))


def given_as_function(step):
    tune.report({"step": step}, checkpoint=saving(step))


@pytest.mark.parametrize("asynchronous", [False, True], ids=["at once", "aside"])
@pytest.mark.parametrize("give", [given_as_directory, given_as_path, given_as_checkpoint, given_as_function])
def test_a_trial_goes_on_from_its_checkpoint_however_it_was_given(run, tmp_path, give, asynchronous):
    def train(_config):
        for step in range(steps_done() + 1, 7):
            if step == 4 and tune.get_context().get_attempt() == 1:
                os._exit(1)
            give(step)

    result = run(train, max_failures=1, checkpoint_config=tune.CheckpointConfig(asynchronous=asynchronous))[0]

    assert list(result.metrics_dataframe["step"]) == [1, 2, 3, 4, 5, 6]
    assert steps_in(result.checkpoint) == 6
    assert kept(tmp_path) == [5, 6]


def test_a_checkpoint_read_can_be_given_back(run):
    def train(_config):
        checkpoint = tune.get_checkpoint()
        if checkpoint is None:
            tune.report({"a": 1}, checkpoint=saving(1))
            os._exit(1)
        tune.report({"a": 2}, checkpoint=checkpoint)

    result = run(train, max_failures=1)[0]

    assert list(result.metrics_dataframe["a"]) == [1, 2]
    assert steps_in(result.checkpoint) == 1


@pytest.mark.parametrize(("number", "expected"), [(0, []), (1, [6]), (2, [5, 6]), (None, [1, 2, 3, 4, 5, 6])])
def test_as_many_are_kept_as_asked_for(run, tmp_path, number, expected):
    result = run(counting, checkpoint_config=tune.CheckpointConfig(num_to_keep=number))[0]

    assert (kept(tmp_path) if expected else []) == expected
    assert [steps_in(checkpoint) for checkpoint, _ in result.best_checkpoints] == expected


def test_the_best_by_the_runs_metric_are_kept_and_always_the_latest(run, tmp_path):
    def train(_config):
        for step, loss in enumerate([5, 1, 4, 2, 3, 6], 1):
            tune.report({"loss": loss}, checkpoint=saving(step))

    keep = tune.CheckpointConfig(num_to_keep=3)
    result = run(train, metric="loss", mode="min", checkpoint_config=keep)[0]

    assert kept(tmp_path) == [2, 4, 6]
    assert [metrics["loss"] for _, metrics in result.best_checkpoints] == [1, 2, 6]
    assert steps_in(result.checkpoint) == 6
    assert steps_in(result.get_best_checkpoint()) == 2


def test_the_best_by_another_attribute_are_kept(run, tmp_path):
    def train(_config):
        for step, size in enumerate([5, 1, 4, 2, 3, 6], 1):
            tune.report({"loss": step, "size": size}, checkpoint=saving(step))

    keep = tune.CheckpointConfig(num_to_keep=2, checkpoint_score_attribute="size", checkpoint_score_order="max")
    run(train, metric="loss", mode="min", checkpoint_config=keep)

    assert kept(tmp_path) == [1, 6]


def test_a_function_is_called_only_when_a_save_is_wanted(run, tmp_path):
    def train(_config):
        for step in range(1, 8):

            def save(directory, step=step):
                with (tmp_path / "saved").open("a") as file:
                    file.write(str(step))
                saving(step)(directory)

            tune.report({"step": step}, checkpoint=save)

    run(train, checkpoint_config=tune.CheckpointConfig(checkpoint_frequency=3))

    assert (tmp_path / "saved").read_text() == "36"
    assert kept(tmp_path) == [3, 6]


@pytest.mark.parametrize(("at_end", "expected"), [(True, [4]), (False, [])])
def test_a_stopped_trial_saves_at_its_end_when_asked_to(run, tmp_path, at_end, expected):
    keep = tune.CheckpointConfig(checkpoint_frequency=0, checkpoint_at_end=at_end)
    result = run(counting, stop={"step": 4}, checkpoint_config=keep)[0]

    assert iterations(result) == [1, 2, 3, 4]
    assert (kept(tmp_path) if expected else []) == expected
    assert steps_in(result.checkpoint) == sum(expected)


def test_a_paused_trial_goes_on_from_where_it_paused(run):
    results = run(
        counting,
        config={"x": tune.grid_search([1, 2, 3, 4, 5, 6]), "steps": 9},
        metric="score",
        mode="max",
        scheduler=ASHAScheduler(max_t=9, reduction_factor=3, type="promotion"),
        checkpoint_config=tune.CheckpointConfig(checkpoint_frequency=0),
    )

    longest = max(results, key=lambda one: len(iterations(one)))
    assert len({len(iterations(one)) for one in results}) > 1
    for one in results:
        assert iterations(one) == list(range(1, len(iterations(one)) + 1))
        assert list(one.metrics_dataframe["step"]) == iterations(one)
    assert longest.attempts > 1


def damage_changed(path):
    (path / "step").write_text("9")


def damage_missing(path):
    (path / "step").unlink()


def damage_no_manifest(path):
    (path / ".manifest.json").unlink()


@pytest.mark.fault("F16")
@pytest.mark.parametrize("damage", [damage_changed, damage_missing, damage_no_manifest, shutil.rmtree])
def test_a_damaged_checkpoint_is_passed_over_for_the_one_before_it(run, tmp_path, damage, caplog):
    def train(_config):
        for step in range(steps_done() + 1, 7):
            if step == 5 and tune.get_context().get_attempt() == 1:
                damage(tmp_path / "e" / "checkpoints" / "t0" / "000004-1")
                os.kill(os.getpid(), signal.SIGKILL)
            tune.report({"step": step, "attempt": tune.get_context().get_attempt()}, checkpoint=saving(step))

    result = run(train, max_failures=1)[0]

    assert iterations(result) == [1, 2, 3, 4, 5, 6]
    assert list(result.metrics_dataframe["step"]) == [1, 2, 3, 4, 5, 6]
    assert list(result.metrics_dataframe["attempt"]) == [1, 1, 1, 2, 2, 2]
    assert "t0: a damaged checkpoint is passed over" in caplog.text
    assert result.metrics["iterations_since_restore"] == 3
    assert [steps_in(checkpoint) for checkpoint, _ in result.best_checkpoints] == [5, 6]


def test_a_trial_all_whose_checkpoints_are_damaged_starts_from_the_beginning(run, tmp_path):
    def train(_config):
        if tune.get_context().get_attempt() == 2:
            assert tune.get_checkpoint() is None
        for step in range(steps_done() + 1, 7):
            if step == 5 and tune.get_context().get_attempt() == 1:
                for name in ("000003-1", "000004-1"):
                    damage_changed(tmp_path / "e" / "checkpoints" / "t0" / name)
                os._exit(1)
            tune.report({"step": step}, checkpoint=saving(step))

    result = run(train, max_failures=1)[0]

    assert iterations(result) == [1, 2, 3, 4, 5, 6]
    assert result.metrics["iterations_since_restore"] == 6
    assert [steps_in(checkpoint) for checkpoint, _ in result.best_checkpoints] == [5, 6]


def test_a_trial_that_dies_while_it_saves_goes_on_from_the_save_before(run, tmp_path):
    def train(_config):
        def save(directory):
            saving(step)(directory)
            if step == 4 and tune.get_context().get_attempt() == 1:
                os.kill(os.getpid(), signal.SIGKILL)

        for step in range(steps_done() + 1, 7):
            tune.report({"step": step}, checkpoint=save)

    result = run(train, max_failures=1)[0]

    assert list(result.metrics_dataframe["step"]) == [1, 2, 3, 4, 5, 6]
    assert result.metrics["iterations_since_restore"] == 3
    assert kept(tmp_path) == [5, 6]


def test_a_save_that_raises_is_a_failure_of_the_trial(run):
    def train(_config):
        def save(_directory):
            raise OSError("disk full")

        tune.report({"a": 1}, checkpoint=save)

    with pytest.raises(tune.TrialFailedError, match="(?s)in train.*in save.*OSError: disk full") as raised:
        run(train)
    assert str(raised.value).count('File "') == 2  # the user's own


def test_a_directory_that_cannot_be_copied_is_told_by_the_users_line(run, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "gone").symlink_to(tmp_path / "nowhere")

    with pytest.raises(tune.TrialFailedError, match="(?s)in <lambda>.*gone") as raised:
        run(lambda config: tune.report({"a": 1}, checkpoint=tmp_path / "mine"))
    assert "tune/storage" not in str(raised.value)


@pytest.mark.parametrize(
    ("checkpoint", "said"),
    [("/nowhere/at/all", "FileNotFoundError: checkpoint '/nowhere/at/all'"), (7, "TypeError: checkpoint must be")],
)
def test_what_is_no_checkpoint_is_refused_saying_so(run, checkpoint, said):
    def train(_config):
        tune.report({"a": 1}, checkpoint=checkpoint)

    with pytest.raises(tune.TrialFailedError, match=said):
        run(train)


def test_a_directory_that_is_saved_before_its_report_is_no_silence(run, tmp_path):
    def train(_config):
        given_as_directory(1)

    run(train, report_timeout_s=60)

    with journal.reading(tmp_path / "e") as connection:
        kinds = [type(entry.event) for _, entry in journal.entries(connection)]
    assert kinds[kinds.index(SaveBegun) + 1] is Reported


def test_a_results_checkpoint_is_a_directory_to_use(run, tmp_path):
    def train(_config):
        with tempfile.TemporaryDirectory() as directory:
            saving(3)(directory)
            Path(directory, "deep").mkdir()
            Path(directory, "deep", "file").write_bytes(b"\0" * 1000)
            checkpoint = tune.Checkpoint(directory)
            checkpoint.set_metadata({"epoch": 3})
            checkpoint.update_metadata({"kind": "good"})
            tune.report({"a": 1}, checkpoint=checkpoint)

    checkpoint = run(train)[0].checkpoint

    assert checkpoint is not None
    with checkpoint.as_directory() as directory:
        assert steps_in(tune.Checkpoint(directory)) == 3
        assert Path(directory, "deep", "file").stat().st_size == 1000
    copy = checkpoint.to_directory(tmp_path / "copy")
    assert steps_in(tune.Checkpoint(copy)) == 3
    assert checkpoint.get_metadata() == {"epoch": 3, "kind": "good"}
    checkpoint.update_metadata({"seen": True})
    assert tune.Checkpoint(checkpoint.path).get_metadata() == {"epoch": 3, "kind": "good", "seen": True}


def test_metadata_added_to_a_checkpoint_does_not_damage_it(run):
    def train(_config):
        checkpoint = tune.get_checkpoint()
        if checkpoint is None:
            tune.report({"a": 1}, checkpoint=saving(1))
            os._exit(1)
        checkpoint.update_metadata({"seen": 1})
        if tune.get_context().get_attempt() == 2:
            os._exit(1)
        return {"a": 2}

    assert run(train, max_failures=2)[0].state == "TERMINATED"


def test_a_trial_without_checkpoints_leaves_no_directory(run, tmp_path):
    result = run(lambda config: {"a": 1})[0]

    assert result.checkpoint is None
    assert result.best_checkpoints == []
    assert [path.name for path in (tmp_path / "e").iterdir() if path.is_dir()] == []


@pytest.mark.parametrize("asynchronous", [False, True], ids=["at once", "aside"])
def test_a_paused_trial_goes_on_from_where_it_paused_however_it_saves(run, asynchronous):
    results = run(
        counting,
        config={"x": tune.grid_search([1, 2, 3]), "steps": 9},
        metric="score",
        mode="max",
        scheduler=ASHAScheduler(max_t=9, reduction_factor=3, type="promotion"),
        checkpoint_config=tune.CheckpointConfig(checkpoint_frequency=0, asynchronous=asynchronous),
    )

    for one in results:
        assert list(one.metrics_dataframe["step"]) == iterations(one) == list(range(1, len(iterations(one)) + 1))
    assert max(one.attempts for one in results) > 1


def fill_up(folder):
    """Use all the room of a file system."""
    with Path(folder, "ballast").open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"x" * 4096)


@pytest.mark.fault("F15")
@pytest.mark.skipif(os.geteuid() != 0, reason="mounts a file system")
def test_a_trial_goes_on_when_there_is_no_room_for_its_checkpoint(run, tmp_path, caplog):
    storage = tmp_path / "e" / "checkpoints"
    storage.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", storage], check=True)
    try:

        def train(_config):
            for step in range(steps_done() + 1, 7):
                if step == 3:
                    fill_up(storage)
                if step == 5:
                    (storage / "ballast").unlink()
                tune.report({"step": step}, checkpoint=saving(step))

        result = run(train, checkpoint_config=tune.CheckpointConfig(num_to_keep=None))[0]

        assert list(result.metrics_dataframe["step"]) == [1, 2, 3, 4, 5, 6]
        assert (result.attempts, kept(tmp_path)) == (1, [1, 2, 5, 6])
        assert "t0 could not save a checkpoint: there is no room for the checkpoint" in caplog.text
    finally:
        subprocess.run(["umount", storage], check=True)


@pytest.mark.fault("F16")
def test_a_damaged_checkpoint_is_kept_to_look_at_and_that_is_said(run, tmp_path, caplog):
    def train(_config):
        for step in range(steps_done() + 1, 4):
            if step == 3 and tune.get_context().get_attempt() == 1:
                damage_changed(tmp_path / "e" / "checkpoints" / "t0" / "000002-1")
                os.kill(os.getpid(), signal.SIGKILL)
            tune.report({"step": step}, checkpoint=saving(step))

    run(train, max_failures=1)

    aside = tmp_path / "e" / "damaged" / "t0" / "000002-1"
    assert (aside / "step").read_text() == "9"
    assert f"the damaged checkpoint checkpoints/t0/000002-1 is kept as {aside}" in caplog.text


@pytest.mark.fault("F42")
@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed: it tells what the system is asked")
def test_durable_checkpoints_are_flushed_before_they_are_told_of(tmp_path):
    """As the system is asked to: every file and directory of the checkpoint, then, once it is renamed, its folder."""
    program = (
        "import sys; from pathlib import Path; from tune.storage.places import place_at; "
        "place_at(sys.argv[1], durable=True).save('t0', 1, 1, lambda path: Path(path, 'weights').write_text('w'))"
    )
    trace = tmp_path / "trace"
    command = ["strace", "-f", "-y", "-e", "trace=fsync,rename", "-o", trace, sys.executable, "-c", program]
    subprocess.run([*command, tmp_path / "e"], check=True, cwd=Path(__file__).parents[2])
    told = re.findall(r"(fsync|rename)\(.*?e(/checkpoints[^\">]*|>)", trace.read_text())
    unfinished = "/checkpoints/t0/.unfinished-000001-1"
    assert sorted(told[:2]) == [("fsync", f"{unfinished}/.manifest.json"), ("fsync", f"{unfinished}/weights")]
    assert told[2:] == [
        ("fsync", unfinished),
        ("rename", unfinished),
        ("fsync", "/checkpoints/t0"),
        ("fsync", "/checkpoints"),
        ("fsync", ">"),
    ]


def test_a_checkpoint_that_was_complete_when_its_process_died_but_not_told_of_is_gone_at_the_end(run, tmp_path):
    def train(_config):
        for step in range(steps_done() + 1, 5):
            if step == 3 and tune.get_context().get_attempt() == 1:
                place_at(tmp_path / "e").save("t0", 1, 3, saving(3))
                os._exit(1)
            tune.report({"step": step}, checkpoint=saving(step))

    result = run(train, max_failures=1)[0]

    assert list(result.metrics_dataframe["step"]) == [1, 2, 3, 4]
    assert kept(tmp_path) == [3, 4]
