"""The command line as a person uses it: real processes, their output and their exit codes."""

import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.tune.story import Story
from tune.cli import main
from tune.machine.events import Closing

ROOT = Path(__file__).parents[2]

TRAINABLE = """
import pathlib
import time

import tune


def train(config):
    for epoch in range(3):
        if config["opt"] == "[red]bad" and epoch == 1:
            print("about to fail")
            raise ValueError("batch [bold]96[/bold] does not fit")
        tune.report({"accuracy": config["lr"] * (epoch + 1), "nested": {"loss": 1.5}})


def wait(config):
    place = pathlib.Path(config["place"])
    if (place / "seen").exists():
        return {"accuracy": 2.0}
    (place / "seen").touch()
    (place / "pipe").write_text("here")  # waits for its reader
    while True:
        time.sleep(0.01)
        tune.report({"accuracy": 1.0})
"""

SWEEP = """
name: tiny
trainable: cli_trainable.py:train
metric: {name: accuracy, goal: maximize}
parameters:
  lr: {grid: [0.1, 0.3, 0.2]}
  opt: {value: sgd}
seed: 1
max_concurrent_trials: 2
"""


def audition(directory: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tune", *arguments],
        cwd=directory,
        env=environ(**environment),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def environ(**changes: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in ("AUDITION_STORAGE", "NO_COLOR")}
    return {**kept, "PYTHONPATH": str(ROOT), **changes}


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a sweep that was run, and one in which a trial failed."""
    directory = tmp_path_factory.mktemp("workplace")
    (directory / "cli_trainable.py").write_text(TRAINABLE)
    (directory / "sweep.yaml").write_text(SWEEP)
    done = audition(directory, "run", "sweep.yaml", "--quiet")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    failing = "parameters.opt={grid: [sgd, '[red]bad']}"
    done = audition(directory, "run", "sweep.yaml", "--name", "failing", "--set", failing, "-q")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"3 of 6 trials failed: audition show {directory}/results/failing\n"
    return directory


class Told(NamedTuple):
    code: int
    out: str
    err: str


Tell = Callable[..., Told]
Read = Callable[..., Any]


@pytest.fixture
def told(workplace: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Tell:
    """A command in this process: quicker, and as good where nothing depends on the process."""
    monkeypatch.chdir(workplace)
    monkeypatch.delenv("AUDITION_STORAGE", raising=False)
    monkeypatch.setattr(sys, "path", list(sys.path))

    def tell(*arguments: str) -> Told:
        monkeypatch.setattr(sys, "argv", ["audition", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        return Told(int(ended.value.code or 0), *capfd.readouterr())

    return tell


@pytest.fixture
def document(told: Tell) -> Read:
    """What a command prints as JSON."""

    def read(*arguments: str) -> Any:
        code, out, err = told(*arguments, "--json")
        assert (code, err) == (0, "")
        return json.loads(out)

    return read


# -------------------------------------------------------------------------------------------------------------- run


def test_a_dry_run_prints_the_plan_and_starts_nothing(told: Tell, workplace: Path) -> None:
    done = told("run", "sweep.yaml", "--dry-run", "--name", "other", "--set", "scheduler=asha")
    assert done.code == 0, done.err
    lines = [" ".join(line.split()) for line in done.out.splitlines()]
    assert f"experiment {workplace}/results/other" in lines
    assert f"trainable {workplace}/cli_trainable.py:train" in lines
    assert "trials 3, at most 2 at a time" in lines
    assert "scheduler ASHAScheduler()" in lines
    assert "t1 lr=0.3 opt=sgd" in lines
    assert not (workplace / "results" / "other").exists()


def test_all_mistakes_of_a_file_are_printed_without_a_traceback(workplace: Path) -> None:
    (workplace / "bad.yaml").write_text("trainable: cli_trainable.py:trian\nnum_sample: 3\nseed: x\n")
    done = audition(workplace, "run", "bad.yaml", "--num-samples", "0")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: 4 mistakes in bad.yaml\nbad.yaml:1:12: cli_trainable.py has no 'trian'")
    assert "bad.yaml:2:1: unknown key `num_sample`; did you mean 'num_samples'?\n    2 | num_sample: 3\n" in done.stderr
    assert "bad.yaml:3:7: expected a whole number, got the text 'x'\n" in done.stderr
    assert "--num-samples 0: must be at least 1" in done.stderr
    assert "Traceback" not in done.stderr
    assert "Traceback" in audition(workplace, "run", "bad.yaml", "--debug").stderr


def test_a_file_that_is_not_there_is_named(told: Tell) -> None:
    done = told("run", "sweeep.yaml")
    assert (done.code, done.err) == (2, "error: there is no file sweeep.yaml; did you mean 'sweep.yaml'?\n")


def test_an_experiment_is_not_overwritten(told: Tell) -> None:
    done = told("run", "sweep.yaml")
    assert done.code == 2
    assert "holds an experiment already: --resume goes on with it, --name NAME begins another" in done.err


def test_a_misspelt_metric_ends_with_how_to_go_on(told: Tell) -> None:
    arguments = ("run", "sweep.yaml", "-q", "--name", "misspelt")
    done = told(*arguments, "--set", "metric.name=acuracy")
    assert done.code == 2
    assert "did you mean 'accuracy'?" in done.err
    assert "audition run sweep.yaml --resume" in done.err
    done = told(*arguments, "--resume")
    assert (done.code, done.err) == (0, "")


@pytest.mark.parametrize(
    ("end", "state", "code"),
    [
        (signal.SIGINT, "interrupted", 130),
        (signal.SIGTERM, "interrupted", 143),
        (signal.SIGHUP, "interrupted", 129),
        (signal.SIGKILL, "unfinished", -signal.SIGKILL),
    ],
    ids=["Ctrl-C", "SIGTERM", "SIGHUP", "kill -9"],
)
def test_a_run_that_was_cut_short_says_so_and_is_resumed(
    document: Read, workplace: Path, tmp_path: Path, end: signal.Signals, state: str, code: int
) -> None:
    changes = [f"parameters={{place: {tmp_path}}}", "trainable=cli_trainable.py:wait", "name=cut"]
    command = [sys.executable, "-m", "tune", "run", "sweep.yaml", "-q", f"--storage-path={tmp_path}"]
    command += [part for change in changes for part in ("--set", change)]
    os.mkfifo(tmp_path / "pipe")
    with subprocess.Popen(command, cwd=workplace, env=environ()) as running:
        assert (tmp_path / "pipe").read_text() == "here"
        (found,) = document("ls", str(tmp_path))
        assert (found["state"], found["pid"]) == ("running", running.pid)
        running.send_signal(end)
        assert running.wait(30) == code
    (found,) = document("ls", str(tmp_path))
    assert (found["state"], found["pid"], found["ended"], found["total"]) == (state, None, 0, 1)
    done = audition(tmp_path, "resume", str(tmp_path / "cut"), "-q")
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr.startswith("t0 starts again from the beginning")  # it saves no checkpoints
    assert done.stderr.count("\n") == 1
    (found,) = document("ls", str(tmp_path))
    assert (found["state"], found["trials"]) == ("finished", {"TERMINATED": 1})


def test_an_experiment_that_has_ended_goes_on_with_more_samples(told: Tell, document: Read, workplace: Path) -> None:
    assert told("run", "sweep.yaml", "--name", "more", "-q").code == 0
    done = told("resume", "more", "-q", "--num-samples", "+1")
    assert (done.code, done.out, done.err) == (0, "", "")
    found = {one["name"]: one["trials"] for one in document("ls")}
    assert found["more"] == {"TERMINATED": 6}
    assert "had finished already" in told("resume", "more").out
    wrong = told("resume", "more", "--stop", "accuracy", "--stop", "loss=x")
    assert wrong.code == 2
    assert wrong.err.count("expected NAME=NUMBER, such as training_iteration=54") == 2


# --------------------------------------------------------------------------------------------------------------- ls


def test_experiments_are_listed_the_newest_first(document: Read, told: Tell, workplace: Path) -> None:
    found = {one["name"]: one for one in document("ls")}
    names = list(found)
    assert names.index("failing") < names.index("tiny")
    tiny = found["tiny"]
    assert (tiny["state"], tiny["ended"], tiny["total"], tiny["path"]) == (
        "finished",
        3,
        3,
        f"{workplace}/results/tiny",
    )
    assert tiny["best"] == {"trial_id": "t1", "value": pytest.approx(0.9), "config": {"lr": 0.3, "opt": "sgd"}}
    lines = [line.split() for line in told("ls").out.splitlines()]
    assert lines[0] == ["name", "state", "trials", "failed", "metric", "best", "trial", "age"]
    assert ["failing", "finished", "6/6", "3"] in [line[:4] for line in lines]


def test_a_run_whose_last_trials_were_dismissed_is_finished(document: Read, tmp_path: Path) -> None:
    story = Story(tmp_path / "spent")
    story.opens()
    ran = story.starts({"lr": 0.1})
    story.reports(ran, accuracy=0.5)
    story.suggests({"lr": 0.2})
    story.happens(Closing("the time budget of 60 s is spent"))
    story.returns(ran, by_order=True)
    story.finishes()
    story.closes()
    (found,) = document("ls", str(tmp_path))
    assert (found["state"], found["ended"], found["total"]) == ("finished", 2, 2)
    shown = document("show", str(tmp_path / "spent"))
    assert shown["state"] == "finished"
    assert [one["reason"] for one in shown["results"]] == ["the time budget of 60 s is spent"] * 2


def test_the_storage_directory_may_come_from_the_environment(workplace: Path, tmp_path: Path) -> None:
    done = audition(tmp_path, "ls", AUDITION_STORAGE=str(workplace / "results"))
    assert "tiny" in done.stdout
    assert audition(tmp_path, "ls").stdout == f"no experiments in {tmp_path}/results\n"


def test_a_damaged_experiment_does_not_hide_the_others(document: Read, told: Tell, tmp_path: Path) -> None:
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "experiment.db").write_bytes(b"SQLite format 3\0" + bytes(range(256)) * 8)
    (found,) = document("ls", str(tmp_path))
    assert (found["name"], found["state"]) == ("broken", "unreadable")
    done = told("show", str(tmp_path / "broken"))
    assert done.code in (1, 2)
    assert "Traceback" not in done.err


def test_a_changed_row_is_named(document: Read, told: Tell, tmp_path: Path) -> None:
    path = tmp_path / "changed"
    story = Story(path)
    story.reports(story.starts({"lr": 0.1}), accuracy=0.5)
    story.closes()
    with contextlib.closing(sqlite3.connect(path / "experiment.db", isolation_level=None)) as connection:
        connection.execute("UPDATE events SET data = replace(data, '0.5', '0.9')")
    (found,) = document("ls", str(tmp_path))
    assert found["state"] == "unreadable"
    for command in (("show", str(path)), ("show", str(path), "--trial", "t0")):
        done = told(*command)
        assert (done.code, done.out) == (1, "")
        assert done.err == (
            f"error: {path}/experiment.db: row 3 of the journal (reported) was changed since it was written\n"
        )


# ------------------------------------------------------------------------------------------------------------- show


def test_trials_are_shown_best_first(told: Tell) -> None:
    lines = [line.split() for line in told("show", "tiny").out.splitlines()]
    assert ["state", "finished"] in lines
    assert ["metric", "accuracy", "(max)"] in lines
    assert [line[0] for line in lines if line and line[0] in ("t0", "t1", "t2")] == ["t1", "t2", "t0"]


def test_trials_are_sorted_and_cut_as_asked(told: Tell) -> None:
    done = told("show", "results/tiny", "--sort", "lr", "--limit", "2", "--columns", "lr,nested/loss")
    lines = [line.split() for line in done.out.splitlines()]
    assert ["trial", "state", "lr", "nested/loss"] in lines
    assert [line[0] for line in lines if line and line[0].startswith("t") and line[1] == "TERMINATED"] == ["t0", "t2"]
    assert ["...", "and", "1", "more", "(--limit", "0", "shows", "all)"] in lines


def test_a_terminal_gets_colours_and_the_columns_that_fit(workplace: Path) -> None:
    shown = on_terminal(workplace, "show", "tiny", COLUMNS="30")
    assert "not shown for want of room: time, accuracy, nested/loss, lr (choose with --columns)" in shown
    assert "\x1b[32mTERMINATED" in shown
    assert "\x1b" not in on_terminal(workplace, "show", "tiny", COLUMNS="30", NO_COLOR="1")


def on_terminal(directory: Path, *arguments: str, **environment: str) -> str:
    """What a command shows on a terminal."""
    own, its = os.openpty()
    environment = environ(TERM="xterm", **environment)
    with subprocess.Popen([sys.executable, "-m", "tune", *arguments], cwd=directory, env=environment, stdout=its):
        os.close(its)
        shown = b"".join(iter(lambda: _read(own), b"")).decode()
    os.close(own)
    return shown


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 4096)
    except OSError:  # how Linux says that the other side has closed the terminal
        return b""


def test_whoever_reads_may_stop_reading(workplace: Path) -> None:
    command = [sys.executable, "-m", "tune", "show", "tiny"]
    with subprocess.Popen(
        command, cwd=workplace, env=environ(PYTHONUNBUFFERED="1"), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as shown:
        assert shown.stdout is not None
        assert shown.stderr is not None
        shown.stdout.close()
        assert (shown.stderr.read(), shown.wait(30)) == (b"", 0)


def test_an_experiment_is_one_json_document(document: Read) -> None:
    shown = document("show", "failing", "--reverse")
    assert (shown["name"], shown["metric"], shown["mode"]) == ("failing", "accuracy", "max")
    assert {one["state"] for one in shown["results"]} == {"TERMINATED", "ERROR"}
    values = [one["metrics"]["accuracy"] for one in shown["results"]]
    assert values == sorted(values)


def test_failures_are_told_with_the_users_own_traceback_as_plain_text(told: Tell) -> None:
    done = told("show", "failing")
    assert "3 failed\n" in done.out
    assert [line.split()[-1] for line in done.out.splitlines() if line.startswith("trial ")] == ["reason"]
    assert 'cli_trainable.py", line 12, in train' in done.out
    assert "ValueError: batch [bold]96[/bold] does not fit" in done.out
    assert "[red]bad" in done.out
    assert "\x1b" not in done.out
    assert "/tune/worker/" not in done.out


def test_one_trial_is_shown_in_full(document: Read, told: Tell) -> None:
    failed = next(one for one in document("show", "failing")["results"] if one["state"] == "ERROR")
    done = told("show", "failing", "--trial", failed["trial_id"])
    assert "state      ERROR" in done.out
    assert '  opt  "[red]bad"' in done.out
    assert "results (1)" in done.out
    assert "about to fail" in done.out
    shown = document("show", "failing", "--trial", failed["trial_id"])
    assert [one["training_iteration"] for one in shown["results"]] == [1]
    assert shown["error"].startswith("Traceback")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["show", "tinny"], "there is no experiment 'tinny' in {}/results; did you mean 'tiny'?"),
        (["show", "."], "{} is no experiment: it has no experiment.db"),
        (["show", "tiny", "--trial", "t9"], "tiny has no trial 't9'"),
        (["show", "tiny", "--sort", "acuracy"], "no trial has 'acuracy'; did you mean 'accuracy'?"),
        (["resume", "tinny"], "there is no experiment 'tinny' in {}/results; did you mean 'tiny'?"),
        (["ls", "nowhere"], "there is no directory {}/nowhere"),
    ],
)
def test_what_is_not_there_is_said_with_exit_code_2(
    told: Tell, workplace: Path, arguments: list[str], message: str
) -> None:
    done = told(*arguments)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith(f"error: {message.format(workplace)}")


# ------------------------------------------------------------------------------------------------------------- help


def test_asking_for_help_imports_nothing_heavy() -> None:
    program = "import sys; from tune.cli import app; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )
    assert set(done.stdout.split()) & {"pydantic", "yaml", "rich", "numpy", "optuna", "sqlite3", "tune.job"} == set()
    assert "Usage: audition" in audition(ROOT, "--help").stdout
