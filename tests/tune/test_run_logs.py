"""What trials print: kept in files of their own, shown in errors, or let through."""

from __future__ import annotations

import logging
import os
import subprocess
import sys

import pytest

import tune


def talkative(config):
    print("to stdout", config["x"])
    print("to stderr", config["x"], file=sys.stderr)
    tune.report(a=1)
    os.write(1, b"by descriptor\n")
    subprocess.run(["echo", "by a child"], check=True)
    logging.getLogger("mine").warning("by logging")


def quiet(_config):
    tune.report(a=1)


def test_what_a_trial_prints_is_in_its_log(run, tmp_path, capfd):
    results = run(talkative, config={"x": tune.grid_search([1, 2])})

    for one in results:
        x = one.config["x"]
        told = (tmp_path / "e" / "logs" / f"{one.trial_id}.log").read_text()
        assert sorted(told.splitlines()) == sorted(
            [f"to stdout {x}", f"to stderr {x}", "by descriptor", "by a child", "by logging"]
        )
        assert one.log == told
    assert capfd.readouterr() == ("", "")


def test_a_silent_trial_leaves_no_log(run, tmp_path):
    result = run(quiet)[0]

    assert not list((tmp_path / "e").glob("logs/*"))
    assert result.log == ""


@pytest.mark.parametrize("reuse", [False, True], ids=["fresh", "reused"])
def test_a_silent_run_leaves_nothing_but_its_journal(run, tmp_path, reuse):
    run(quiet, num_samples=3, reuse_actors=reuse).get_dataframe()
    assert {path.name for path in (tmp_path / "e").iterdir()} == {".lock", ".mark", "experiment.db"}

    run(quiet, num_samples=4, reuse_actors=reuse, resume=True).get_dataframe()
    assert {path.name for path in (tmp_path / "e").iterdir()} == {".lock", ".mark", "experiment.db"}


def test_attempts_share_a_log(run):
    def train(_config):
        print("attempt", tune.get_context().get_attempt())
        if tune.get_context().get_attempt() == 1:
            os._exit(1)
        tune.report(a=1)

    assert run(train, max_failures=1)[0].log == "attempt 1\nattempt 2\n"


@pytest.mark.parametrize("reuse", [False, True], ids=["fresh", "reused"])
def test_each_trial_has_a_log_of_its_own(run, reuse):
    results = run(talkative, config={"x": tune.grid_search([1, 2, 3])}, reuse_actors=reuse, max_concurrent_trials=1)

    for one in results:
        assert f"to stdout {one.config['x']}" in one.log
        assert len(one.log.splitlines()) == 5


def test_output_passes_through_when_it_is_not_kept(run, tmp_path, capfd):
    run(talkative, config={"x": 1}, log_to_file=False)

    out, err = capfd.readouterr()
    assert sorted(out.splitlines()) == ["by a child", "by descriptor", "to stdout 1"]
    assert "to stderr 1" in err
    assert not (tmp_path / "e" / "logs").exists()


@pytest.mark.parametrize(
    "end", [lambda: os._exit(7), os.abort, lambda: sys.exit("no more")], ids=["exit", "abort", "SystemExit"]
)
def test_the_last_lines_are_in_the_error_of_a_death(run, end):
    def train(_config):
        for line in range(1000):
            print("line", line)
        end()

    with pytest.raises(tune.TrialFailedError, match="line 999") as raised:
        run(train)
    result = raised.value.results[0]
    assert "line 999" in str(result.error)
    assert "line 1\n" not in str(result.error)
    assert "line 0\n" in result.log


def test_a_silent_run_prints_nothing_even_when_a_trial_fails(run, capfd, caplog):
    with pytest.raises(tune.TrialFailedError):
        run(lambda config: 1 / 0)

    assert capfd.readouterr() == ("", "")
    assert caplog.text == ""


def test_output_that_is_no_text_is_kept_and_read(run):
    def train(_config):
        os.write(1, b"\xff\xfe odd\n")
        os._exit(1)

    with pytest.raises(tune.TrialFailedError, match="odd") as raised:
        run(train)
    assert "odd" in raised.value.results[0].log


def test_a_trial_that_reads_its_input_finds_it_empty(run):
    def train(_config):
        return {"read": sys.stdin.read()}

    assert run(train)[0].metrics["read"] == ""
