"""What a person sees while experiments run that the story tells: lines in a pipe, a picture on a terminal."""

from __future__ import annotations

import io
import re
import time
from pathlib import Path

import pyte
import pytest
from rich.console import Console

from schedulers.base import Pause, Stop
from searchers.space import uniform
from tests.tune.story import BOOM, Story
from tune.machine.events import Closing, Failure, ParameterGiven
from tune.views.picture import Picture, draw
from tune.views.progress import Progress, progress
from tune.views.screen import Screen
from tune.views.tally import Tally
from tune.views.wording import clock_text, duration_text, value_text

WIDTH, HEIGHT = 100, 30


class Terminal(io.StringIO):
    """A stream that says it is a terminal, and can be looked at as one."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return True

    def lines(self, width: int = WIDTH, height: int = HEIGHT) -> list[str]:
        """What stands on the screen, and above it where it has scrolled."""
        screen = pyte.HistoryScreen(width, height, history=1000)
        pyte.Stream(screen).feed(self.getvalue().replace("\n", "\r\n"))
        above = ["".join(line[at].data for at in range(width)) for line in screen.history.top]
        return [line.rstrip() for line in [*above, *screen.display]]


@pytest.fixture(autouse=True)
def surroundings(monkeypatch, tmp_path):
    """A terminal of a known size, a known time zone, and a short path."""
    monkeypatch.chdir(tmp_path)
    for name, value in {"COLUMNS": WIDTH, "LINES": HEIGHT, "TERM": "xterm-256color", "TZ": "UTC"}.items():
        monkeypatch.setenv(name, str(value))
    monkeypatch.delenv("NO_COLOR", raising=False)
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.fixture
def story(tmp_path):
    told = Story(tmp_path / "digits")
    yield told
    told.closes()


def watched(story, stream, *, total=None, verbose=1, plain=False):
    shown = progress(
        story.experiment,
        name="digits",
        directory=story.directory,
        total=total,
        verbose=verbose,
        stream=stream,
        plain=plain,
        clock=lambda: 0.0,
    )
    if shown is not None:
        story.observers.append(shown)
    return shown


class Watch:
    """A picture that is drawn when the test asks for it."""

    def __init__(self, story, total=10):
        self.now = 0.0
        self.terminal = Terminal()
        tally = Tally(story.experiment)
        self.screen = Screen(
            tally,
            self.terminal,
            name="digits",
            directory=story.directory,
            total=total,
            clock=lambda: self.now,
            auto_refresh=False,
        )
        self.progress = Progress(tally, self.screen, story.directory, total)
        story.observers.append(self.progress)

    def __enter__(self):
        self.progress.start()
        return self

    def __exit__(self, *_):
        self.progress.finish()

    def lines(self, **size):
        self.screen.refresh()
        return self.terminal.lines(**size)


# Lines.


def test_each_change_of_a_trials_state_is_one_line(story):
    out = io.StringIO()
    with watched(story, out, total=5):
        story.opens()
        first = story.starts({"lr": 0.00312345, "batch": 128, "data": "/data"})
        second = story.starts({"lr": 0.0022, "batch": 64, "data": "/data"})
        third = story.starts({"lr": 0.06, "batch": 96, "data": "/data"})
        story.reports(first, accuracy=0.98712345, seconds=200.0)
        story.reports(second, Stop("9th at rung 2"), accuracy=0.984, seconds=3.9)
        story.returns(second, by_order=True)
        story.fails(third, Failure("raised", "ValueError: bad batch\nmore", where="train.py:84 in train"))
        story.saves(first)
        story.reports(first, Pause("waits"), accuracy=0.9, seconds=31.0)
        story.returns(first, by_order=True)
        story.launches(first)
        story.reports(first, accuracy=0.95, seconds=30.0)
        story.returns(first)
        lines = out.getvalue().splitlines()
        story.finishes()
    assert lines == [
        "22:13:23 t0 started lr=0.003123 batch=128 data=/data | 0/5",
        "22:13:25 t1 started lr=0.0022 batch=64 | 0/5",
        "22:13:27 t2 started lr=0.06 batch=96 | 0/5",
        "22:13:30 t1 stopped accuracy=0.984 iteration=1 3.9s lr=0.0022 batch=64 | best t0 0.9871 | 1/5 (9th at rung 2)",
        "22:13:31 t2 failed lr=0.06 batch=96 | best t0 0.9871 | 2/5 (ValueError: bad batch, train.py:84 in train)",
        "22:13:34 t0 paused accuracy=0.9 iteration=2 3m51s lr=0.003123 batch=128 | best t0 0.9871 | 2/5 (waits)",
        "22:13:35 t0 started lr=0.003123 batch=128 | best t0 0.9871 | 2/5 (attempt 2, from iteration 1)",
        "22:13:37 t0 done accuracy=0.95 iteration=2 3m50s lr=0.003123 batch=128 | best t0 0.9871 | 3/5",
    ]


def test_a_failure_that_is_tried_again_is_told_as_such(tmp_path):
    story = Story(tmp_path / "again", max_failures=1)
    out = io.StringIO()
    with watched(story, out):
        trial_id = story.starts({})
        story.fails(trial_id, Failure("died", "the process was ended by SIGSEGV", signal="SIGSEGV"))
        story.launches(trial_id)
        story.fails(trial_id, Failure("died", "the process was ended by SIGSEGV", signal="SIGSEGV"))
        lines = [line.split(" ", 1)[1] for line in out.getvalue().splitlines()]
    assert lines == [
        "t0 started | 0 ended",
        "t0 retries | 0 ended (the process was ended by SIGSEGV)",
        "t0 started | 0 ended (attempt 2, from the beginning)",
        "t0 failed | 1 ended (the process was ended by SIGSEGV)",
    ]
    story.closes()


def test_why_a_trial_rests_is_told_and_drawn(tmp_path):
    killed = Failure("died", "the process was ended by SIGKILL", signal="SIGKILL")
    story = Story(tmp_path / "resting", max_infra_failures=9)
    out, terminal = io.StringIO(), io.StringIO()
    with watched(story, out):
        trial_id = story.starts({})
        story.fails(trial_id, killed)
        story.launches(trial_id)
        story.reports(trial_id, accuracy=0.5, seconds=1.0)
        story.fails(trial_id, killed)
        line = out.getvalue().splitlines()[-1]
    assert re.search(
        r"t0 retries .*\(the process was ended by SIGKILL; rests [\d.]+m?s before it starts again\)$", line
    )
    tally = Tally(story.experiment)
    console = Console(file=terminal, width=140)
    console.print(draw(tally, Picture("resting", tmp_path, 1, 0, 0.0), 5.0, 140, 40))
    assert "◌ 1 resting" in terminal.getvalue()
    assert re.search(r"◌ resting .*rests [\d.]+m?s before it starts again; the process was ended", terminal.getvalue())
    story.closes()


def test_without_a_metric_lines_have_the_first_numbers_that_were_reported(tmp_path):
    story = Story(tmp_path / "unnamed", metrics=(), modes=())
    out = io.StringIO()
    with watched(story, out, total=1):
        trial_id = story.starts({})
        story.reports(trial_id, loss=0.5, note="text", accuracy=0.25)
        story.returns(trial_id)
        last = out.getvalue().splitlines()[-1]
    assert last.endswith("t0 done loss=0.5 accuracy=0.25 iteration=1 1.0s | 1/1")
    assert "last      t0  loss=0.5 accuracy=0.25 at iteration 1\n" in out.getvalue()
    story.closes()


def test_what_users_named_cannot_break_a_line_or_steer_the_terminal(story):
    out = io.StringIO()
    with watched(story, out):
        trial_id = story.starts({"name": "red\x1b[31m\nnext line", "[bold]": "[/]"})
        story.fails(trial_id, Failure("raised", "ValueError: first\r\x1b[2J\nsecond"))
        lines = out.getvalue().splitlines()
    assert len(lines) == 2
    assert "\x1b" not in out.getvalue()
    assert "[bold]=[/]" in lines[0]
    assert lines[1].endswith("(ValueError: first)")


def test_lines_are_flushed_one_by_one_and_hold_no_escape_codes(story):
    class Counting(io.StringIO):
        flushes = 0

        def flush(self) -> None:
            self.flushes += 1

    out = Counting()
    with watched(story, out):
        story.starts({})
        assert out.flushes == 1
        assert "\x1b" not in out.getvalue()


def test_each_result_is_a_line_with_verbose_2(story):
    out = io.StringIO()
    with watched(story, out, verbose=2):
        trial_id = story.starts({"lr": 0.1})
        story.reports(trial_id, accuracy=0.5)
        line = out.getvalue().splitlines()[-1]
    assert line.endswith("t0 reported accuracy=0.5 iteration=1 1.0s lr=0.1 | best t0 0.5 | 0 ended")


def test_verbose_0_writes_not_a_byte(story, capfd):
    out = Terminal()
    assert watched(story, out, verbose=0) is None
    story.starts({})
    story.finishes()
    assert out.getvalue() == ""
    assert capfd.readouterr() == ("", "")


def test_a_reader_that_is_gone_does_not_end_the_run(story):
    class Gone(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError(32, "Broken pipe")

    with watched(story, Gone()):
        trial_id = story.starts({})
        story.reports(trial_id, accuracy=0.5)
    assert story.experiment.results == 1


@pytest.mark.parametrize("surrounding", ["plain", "dumb", "ascii", "pipe"])
def test_lines_are_written_where_a_picture_cannot_be_drawn(story, surrounding, monkeypatch):
    out: io.StringIO = io.StringIO() if surrounding == "pipe" else Terminal()
    if surrounding == "dumb":
        monkeypatch.setenv("TERM", "dumb")
    if surrounding == "ascii":
        monkeypatch.setattr(Terminal, "encoding", "ascii")
    with watched(story, out, plain=surrounding == "plain"):
        story.starts({})
    assert out.getvalue().startswith("22:13:22 t0 started")


# The summary.


def summary_of(story, **how):
    out = io.StringIO()
    with watched(story, out, **how):
        yield
    start = next(at for at, line in enumerate(out.getvalue().splitlines()) if line.startswith(("best ", "trials ")))
    yield out.getvalue().splitlines()[start:]


def test_the_summary_says_what_was_best_what_became_of_all_and_how_to_load_it(story):
    summary = summary_of(story, total=3)
    next(summary)
    for lr, value in ((0.1, 0.5), (0.2, 0.75)):
        trial_id = story.starts({"lr": lr, "data": "/data"})
        story.reports(trial_id, accuracy=value)
        story.returns(trial_id)
    story.finishes()
    assert next(summary) == [
        "best      t1  accuracy=0.75 at iteration 1",
        "          lr=0.2",
        "trials    2 of 3 in 9.0s: 2 done",
        "results   digits",
        'load      tune.ResultGrid("digits")',
    ]


def test_an_interrupted_run_says_the_line_that_resumes_it(tmp_path):
    story = Story(tmp_path / "two words")
    summary = summary_of(story, total=3)
    next(summary)
    trial_id = story.starts({"lr": 0.1})
    story.reports(trial_id, accuracy=0.5)
    story.happens(Closing("interrupted", keep=True))
    story.returns(trial_id, by_order=True)
    story.finishes()
    assert next(summary)[2:] == [
        "trials    1 of 3 in 6.0s: 1 to go on (interrupted)",
        "results   two words",
        'load      tune.ResultGrid("two words")',
        "resume    audition resume 'two words'",
    ]
    story.closes()


def test_a_crash_of_the_driver_leaves_the_line_that_resumes_it(story):
    out = io.StringIO()
    shown = watched(story, out)
    shown.start()
    story.starts({})
    shown.__exit__(MemoryError, MemoryError(), None)
    assert out.getvalue().splitlines()[-1] == "resume    audition resume digits"


def test_the_first_failure_is_told_with_the_users_traceback_and_how_many_others(story):
    summary = summary_of(story, total=3)
    next(summary)
    for batch, failure in (
        (96, BOOM),
        (97, BOOM),
        (98, Failure("died", "the process exited with code 3", exit_code=3)),
    ):
        story.fails(story.starts({"batch": batch}), failure)
    story.finishes()
    assert next(summary) == [
        "trials    3 in 10.0s: 3 failed",
        "failed    t0 with batch=96, 1 more in the same way, 1 in other ways",
        "          Traceback (most recent call last):",
        '            File "train.py", line 84, in train_epoch',
        "              loss = F.cross_entropy(out, y)",
        "          ValueError: Expected input batch_size (96) to match target (128)",
        "results   digits",
        'load      tune.ResultGrid("digits")',
    ]


def test_a_death_is_told_with_what_was_printed_last(story):
    summary = summary_of(story, total=1)
    next(summary)
    told = "the process was ended by SIGSEGV"
    story.fails(story.starts({}), Failure("died", told, signal="SIGSEGV", log_tail="epoch 1\nepoch 2\n"))
    story.finishes()
    assert next(summary)[1:5] == [
        "failed    t0",
        "          the process was ended by SIGSEGV",
        "          epoch 1",
        "          epoch 2",
    ]


# The picture.


def test_the_picture_has_the_best_the_counts_and_a_table(story):
    with Watch(story) as watch:
        story.opens()
        first = story.starts({"lr": 0.00312345, "batch": 128, "data": "/data"})
        second = story.starts({"lr": 0.0022, "batch": 64, "data": "/data"})
        third = story.starts({"lr": 0.06, "batch": 96, "data": "/data"})
        story.suggests({"lr": 0.07, "batch": 32, "data": "/data"})
        story.reports(first, accuracy=0.98712345, seconds=200.0)
        story.reports(second, Stop("9th of 12 at rung 2"), accuracy=0.984, seconds=3.9)
        story.returns(second, by_order=True)
        story.fails(third, BOOM)
        watch.now = 3725.0
        lines = watch.lines()
        story.returns(first)
        story.finishes()
    assert [line for line in lines if line] == [
        "digits  ● running  01:02:05                                                               accuracy ↑",
        "████████░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░  2/10 trials",
        "best  t0  accuracy 0.9871  iteration 1",
        "      lr=0.003123 batch=128",
        "● 1 running   ◌ 1 waiting   ■ 1 stopped   ✗ 1 failed",
        "trial  state      iter  accuracy   time        lr  batch",
        "t0     ● running     1    0.9871  3m20s  0.003123    128",
        "t2     ✗ failed                              0.06     96",
        "t1     ■ stopped     1     0.984   3.9s    0.0022     64  9th of 12 at rung 2",
        "✗ t2 failed  ValueError: Expected input batch_size (96) to match target (128), train.py:84 in train…",
        "Ctrl-C stops and keeps the results in digits",
    ]


def test_the_final_picture_stays_with_the_summary_below(story):
    with Watch(story, total=2) as watch:
        for lr, values in ((0.1, (0.5, 0.9, 0.6)), (0.2, (0.75,))):
            trial_id = story.starts({"lr": lr})
            for value in values:
                story.reports(trial_id, accuracy=value)
            story.returns(trial_id)
        watch.screen.refresh()
        story.finishes()
    assert [line for line in watch.terminal.lines() if line] == [
        "digits  ✓ finished  00:00:00                                                              accuracy ↑",
        "████████████████████████████████████████  2/2 trials",
        "trial  state   iter  best accuracy  time   lr",
        "t0     ✓ done     3            0.9  3.0s  0.1",
        "t1     ✓ done     1           0.75  1.0s  0.2",
        "best      t0  accuracy=0.9 at iteration 2",
        "          lr=0.1",
        "trials    2 in 11.0s: 2 done",
        "results   digits",
        'load      tune.ResultGrid("digits")',
    ]


def test_a_run_with_its_own_thread_leaves_the_same_final_picture(story):
    terminal = Terminal()
    with watched(story, terminal, total=1):
        trial_id = story.starts({"lr": 0.1})
        story.reports(trial_id, accuracy=0.5)
        story.returns(trial_id)
        story.finishes()
    lines = [line for line in terminal.lines() if line]
    assert lines[0].startswith("digits  ✓ finished")
    assert lines[-1] == 'load      tune.ResultGrid("digits")'
    assert sum(line.startswith("digits  ") for line in lines) == 1


def test_less_is_better_is_shown_by_an_arrow_down_and_the_least_value(tmp_path):
    story = Story(tmp_path / "falling", metrics=("loss",), modes=("min",))
    with Watch(story) as watch:
        trial_id = story.starts({})
        for value in (0.5, 0.2, 0.4):
            story.reports(trial_id, loss=value)
        assert watch.lines()[0].endswith("loss ↓")
        assert any(line.startswith("best  t0  loss 0.2  iteration 2") for line in watch.lines())
        story.returns(trial_id)
        story.finishes()
    assert any(line.split() == ["t0", "✓", "done", "3", "0.2", "3.0s"] for line in watch.terminal.lines())
    story.closes()


def test_a_guess_of_what_is_left_waits_for_three_trials(story):
    with Watch(story) as watch:
        for at in range(4):
            trial_id = story.starts({"lr": at})
            story.reports(trial_id, accuracy=0.5)
            story.returns(trial_id)
            watch.now += 60.0
            if at == 1:
                assert not any("left" in line for line in watch.lines())
        assert "████████████████░░░░░░░░░░░░░░░░░░░░░░░░  4/10 trials   ~6m00s left" in watch.lines()


def test_a_resumed_run_counts_what_ended_before_but_does_not_guess_by_it(story):
    for at in range(4):
        trial_id = story.starts({"lr": at})
        story.reports(trial_id, accuracy=at / 10)
        story.returns(trial_id)
    story.fails(story.starts({"lr": 9}), BOOM)
    story.finishes()
    with Watch(story) as watch:
        story.opens()
        lines = watch.lines()
    assert "████████████████████░░░░░░░░░░░░░░░░░░░░  5/10 trials" in lines
    assert "best  t3  accuracy 0.3  iteration 1" in lines
    assert "● 0 running   ✓ 4 done   ✗ 1 failed" in lines
    assert any(line.startswith("✗ t4 failed  ValueError") for line in lines)


def test_failures_that_look_the_same_share_a_line(story):
    with Watch(story) as watch:
        for batch in (96, 97, 98):
            summary = f"ValueError: Expected input batch_size ({batch})"
            story.fails(story.starts({"batch": batch}), Failure("raised", summary, where="train.py:84 in f"))
        lines = [line for line in watch.lines() if line.startswith("✗ t")]
    assert lines == ["✗ t0 and 2 more failed  ValueError: Expected input batch_size (96), train.py:84 in f   batch=96"]


def test_more_trials_than_fit_are_counted_and_the_picture_fits_the_screen(story, monkeypatch):
    monkeypatch.setenv("LINES", "20")
    with Watch(story, total=100) as watch:
        for at in range(40):
            story.starts({"lr": at})
        lines = watch.lines(height=20)
    assert "... and 31 more running" in lines
    assert lines[0].startswith("digits  ● running")
    assert lines[-1].startswith("Ctrl-C stops")


def test_columns_that_do_not_fit_are_left_out_whole(story, monkeypatch):
    monkeypatch.setenv("COLUMNS", "50")
    with Watch(story) as watch:
        story.starts({"learning_rate": 0.1, "batch": 1, "a_long_parameter": 3})
        lines = watch.lines(width=50)
    assert "trial  state      learning_rate  batch" in lines
    assert all(len(line) <= 50 for line in lines)


def test_what_users_named_is_no_markup_and_does_not_steer_the_picture(story):
    with Watch(story) as watch:
        trial_id = story.starts({"[red]x[/red]": "[/bold]", "y": "\x1b[2J\n:smile:"})
        story.fails(trial_id, Failure("raised", "[link=http://x]E[/link]: \x1b[31m"))
        lines = watch.lines()
    assert any("[red]x[/red]" in line and "[/bold]" in line for line in lines)
    assert any("[link=http://x]E[/link]" in line for line in lines)
    assert any(":smile:" in line for line in lines)
    assert lines[0].startswith("digits")


def test_no_color_means_none(story, monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    with Watch(story) as watch:
        trial_id = story.starts({"lr": 0.1})
        story.reports(trial_id, accuracy=0.5)
        story.fails(trial_id, BOOM)
        watch.lines()
    colours = [f"\x1b[{code}" for code in ("31m", "32m", "33m", "34m", "36m", "1;32m", "38;")]
    assert not any(colour in watch.terminal.getvalue() for colour in colours)


def test_a_pause_and_the_end_of_the_run_are_seen_in_the_header(story):
    with Watch(story) as watch:
        trial_id = story.starts({"lr": 0.1})
        story.happens(Closing("interrupted", keep=True))
        assert "‖ saving and stopping" in watch.lines()[0]
        story.returns(trial_id, by_order=True)
        story.finishes()
    assert "‖ interrupted" in watch.terminal.lines()[0]


def test_a_run_that_cannot_go_on_does_not_offer_to_be_resumed_as_it_is(story):
    with Watch(story) as watch:
        trial_id = story.starts({})
        story.happens(Closing("a name was never reported", keep=True, error="metric 'acc' was not reported"))
        story.returns(trial_id, by_order=True)
        story.finishes()
    assert "✗ cannot go on" in watch.terminal.lines()[0]
    assert "audition resume" not in watch.terminal.getvalue()


def test_define_by_run_parameters_are_columns_as_they_are_given(story):
    with Watch(story) as watch:
        trial_id = story.starts({})
        story.happens(ParameterGiven(trial_id, 1, 1, "x", uniform(0, 1), 0.25))
        lines = watch.lines()
    assert "trial  state         x" in lines
    assert "t0     ● running  0.25" in lines


def test_a_picture_costs_entries_nothing_however_many_trials_there_are(story):
    tally = Tally(story.experiment)
    story.observers.append(tally.take)
    for at in range(300):
        trial_id = story.starts({"lr": at})
        story.reports(trial_id, accuracy=at / 300)
        story.returns(trial_id)
    assert len(tally.best) <= 8
    assert len(tally.recent) <= 16
    assert not tally._reasons
    assert tally.done == 300


# Words.


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.98712345, "0.9871"),
        (3.1e-05, "3.1e-05"),
        (100.0, "100"),
        (1234567.8, "1.235e+06"),
        (128, "128"),
        (True, "True"),
        (None, "None"),
        (float("nan"), "nan"),
        (float("-inf"), "-inf"),
        ("adamw", "adamw"),
        ("x" * 30, "x" * 17 + "..."),
        ((1, 2), "(1, 2)"),
        (max, "max"),
    ],
)
def test_values_are_short(value, text):
    assert value_text(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.012, "12ms"), (3.94, "3.9s"), (59.99, "1m00s"), (231, "3m51s"), (7440, "2h04m"), (266400, "3d02h")],
)
def test_durations_are_short(seconds, text):
    assert duration_text(seconds) == text


def test_elapsed_time_reads_as_a_clock():
    assert clock_text(3725.9) == "01:02:05"
    assert clock_text(360000) == "100:00:00"


def test_paths_outside_of_the_working_directory_stay_whole(story):
    out = io.StringIO()
    shown = progress(story.experiment, name="x", directory=Path("/elsewhere/x"), total=None, verbose=1, stream=out)
    assert shown is not None
    shown.finish()
    assert 'tune.ResultGrid("/elsewhere/x")' in out.getvalue()
