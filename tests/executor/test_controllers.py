"""Controllers beside the head: started, started again, given up, ended; what they say outlives them and the head."""

from __future__ import annotations

import fcntl
import os
import re
import signal
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from executor.cluster import client
from executor.cluster.controllers import ACTORS, Controllers, Post
from executor.errors import ClusterError
from tests.executor.conversation import DEADLINE_S

PROGRAM = "tests.executor.controller_programs"


@pytest.fixture
def heads(tmp_path: Path) -> Iterator[Callable[[], Controllers]]:
    """Makes what one head after the other has of the same controllers."""
    made: list[Controllers] = []

    def make() -> Controllers:
        made.append(Controllers(tmp_path, {"": PROGRAM, ACTORS: PROGRAM}, pause_s=0.01, most_deaths=2))
        return made[-1]

    yield make
    for process in [started.process for head in made for started in head._started.values()]:
        process.kill()
        process.wait()


@pytest.fixture
def controllers(heads: Callable[[], Controllers]) -> Controllers:
    return heads()


def looks_until(controllers: Controllers, name: str, there: Callable[[Post], bool]) -> Post:
    """Have the head look after its controllers until one of them is like this."""
    (post,) = (post for post in controllers.posts() if post.name == name)
    until = time.monotonic() + DEADLINE_S
    while not there(post):
        assert time.monotonic() < until, post.state
        controllers.look()
        time.sleep(0.01)
    return post


def runs(post: Post) -> bool:
    return post.state.state == "running" and post.running() is not None


def test_one_that_is_over_is_not_started_again(controllers: Controllers) -> None:
    controllers.submit("e", "me", b"finish", again=False)
    post = looks_until(controllers, "e", lambda post: post.state.over and post.running() is None)
    assert (post.state.state, post.state.place, post.order.owner) == ("finished", "here", "me")
    controllers.look()
    assert post.running() is None


def test_one_of_before_there_were_tokens_is_given_one_when_it_is_started(
    controllers: Controllers, heads: Callable[[], Controllers]
) -> None:
    controllers.submit("e", "me", b"wait", again=False)
    post = looks_until(controllers, "e", runs)
    (post.folder / "token").unlink()
    os.kill(post.running() or 0, signal.SIGKILL)
    looks_until(heads(), "e", lambda post: runs(post) and (post.folder / "token").exists())
    assert controllers.proves("e", post.token)
    assert not controllers.proves("e", "")


def test_one_that_is_killed_is_started_again_also_by_the_next_head(
    controllers: Controllers, heads: Callable[[], Controllers]
) -> None:
    controllers.submit("e", "me", b"wait", again=False)
    first = looks_until(controllers, "e", runs).running()
    next_head = heads()
    next_head.look()
    assert not next_head._started, "it runs, whoever started it"
    assert first is not None
    os.kill(first, signal.SIGKILL)
    assert looks_until(next_head, "e", lambda post: post.running() not in (None, first)).running() is not None


def test_one_that_dies_at_once_again_and_again_is_given_up_with_its_last_words(controllers: Controllers) -> None:
    controllers.submit("e", "me", b"die", again=False)
    post = looks_until(controllers, "e", lambda post: post.state.over)
    assert post.state.state == "failed"
    assert post.state.why == "it died 3 times, each soon after its start: a bad day"


def test_one_that_is_asked_to_end_knows_who_asked(controllers: Controllers) -> None:
    controllers.submit("e", "me", b"wait", again=False)
    looks_until(controllers, "e", runs)
    controllers.end("e", "her")
    post = looks_until(controllers, "e", lambda post: post.state.over and post.running() is None)
    assert post.state.why == "by her"
    controllers.submit("e", "me", b"finish", again=True)
    looks_until(controllers, "e", lambda post: post.state.state == "finished")


def test_one_whose_process_cannot_be_started_has_failed_and_keeps_nobody_from_looking_after_the_others(
    controllers: Controllers,
) -> None:
    controllers.submit("a", "me", b"finish", again=False)
    (post,) = controllers.posts()
    looks_until(controllers, "a", lambda post: post.state.over and post.running() is None)
    (post.folder / "controller.log").unlink()
    (post.folder / "controller.log").mkdir()  # where its log should be opened
    controllers.submit("a", "me", b"finish", again=True)
    controllers.submit("b", "me", b"finish", again=False)
    looks_until(controllers, "b", lambda post: post.state.over)
    looks_until(controllers, "a", lambda post: post.state.over)
    assert post.state.state == "failed"
    assert re.match("its process could not be started, 3 times: .*Is a directory.*controller.log", post.state.why)
    (post.folder / "controller.log").rmdir()
    controllers.submit("a", "me", b"finish", again=True)
    assert looks_until(controllers, "a", lambda post: post.state.over).state.state == "finished"


def test_one_whose_post_cannot_be_read_keeps_nobody_from_looking_after_the_others(
    controllers: Controllers, caplog: pytest.LogCaptureFixture
) -> None:
    (controllers.folder / "controllers" / "a" / "lock").mkdir(parents=True)
    controllers.submit("b", "me", b"finish", again=False)
    looks_until(controllers, "b", lambda post: post.state.over)
    assert "controller a cannot be looked after just now" in caplog.text


def test_one_is_forgotten_once_it_is_over_and_its_name_is_free(controllers: Controllers) -> None:
    controllers.submit("e", "me", b"wait", again=False)
    looks_until(controllers, "e", runs)
    with pytest.raises(ClusterError, match="'e' is running: it can be forgotten once .* `audition cluster end e`"):
        controllers.forget("e")
    controllers.end("e", "her")
    looks_until(controllers, "e", lambda post: post.state.over and post.running() is None)
    controllers.forget("e")
    assert controllers.posts() == []
    with pytest.raises(ClusterError, match="there is no detached experiment 'e'; there is: none"):
        controllers.forget("e")
    controllers.submit("e", "me", b"finish", again=False)
    looks_until(controllers, "e", lambda post: post.state.over and post.running() is None)
    assert controllers.forget("e") == "here"


def test_one_that_dies_while_it_ends_is_not_started_again(controllers: Controllers) -> None:
    controllers.submit("e", "me", b"die of SIGTERM", again=False)
    looks_until(controllers, "e", runs)
    controllers.end("e", "her")
    post = looks_until(controllers, "e", lambda post: post.state.over)
    assert (post.state.state, post.state.place) == ("ended", "there")
    assert post.state.why == "her ended it, and it does not run any more"
    assert post.running() is None


def test_the_log_of_one_that_says_much_keeps_what_it_said_last(controllers: Controllers) -> None:
    controllers.log_cap_bytes = 1000
    controllers.submit("e", "me", b"shout", again=False)
    post = looks_until(controllers, "e", runs)
    controllers.look()
    said = post.log.read_text()
    assert said.startswith("[... earlier output was dropped: the log had outgrown 1000 bytes ...]\n")
    assert len(said) <= 1000


def test_a_post_that_is_taken_anew_is_not_said_to_be_held_by_the_process_before(controllers: Controllers) -> None:
    controllers.submit("e", "me", b"wait", again=False)
    first = looks_until(controllers, "e", runs).running()
    assert first is not None
    os.kill(first, signal.SIGKILL)
    post = looks_until(controllers, "e", lambda post: post.running() is None)
    with (post.folder / "lock").open("r+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        assert post.running() is None, "who holds it has not said yet who it is"


def test_a_name_is_given_once_and_cannot_be_a_path(controllers: Controllers) -> None:
    controllers.submit("e", "me", b"wait", again=False)
    looks_until(controllers, "e", runs)
    for again in (False, True):
        with pytest.raises(ClusterError, match="already, and it is running"):
            controllers.submit("e", "me", b"finish", again=again)
    for name in ("../e", "", ".", "a/b"):
        with pytest.raises(ClusterError, match=f"detached experiment {name!r} cannot be: it is called by letters"):
            controllers.submit(name, "me", b"", again=False)
    with pytest.raises(ClusterError, match="there is: e"):
        controllers.end("f", "me")


def test_the_kind_in_a_name_says_what_runs(controllers: Controllers) -> None:
    controllers.submit("actors:e", "me", b"wait", again=False)
    looks_until(controllers, "actors:e", runs)
    with pytest.raises(ClusterError, match="there is a process of detached actors 'actors:e' already"):
        controllers.submit("actors:e", "me", b"", again=True)
    with pytest.raises(ClusterError, match="actors 'actors:e' is running: .* `audition cluster end actors:e`"):
        controllers.forget("actors:e")
    with pytest.raises(ClusterError, match="there is no process of detached actors 'actors:f'; there is: actors:e"):
        controllers.end("actors:f", "me")
    with pytest.raises(ClusterError, match="'other:e': there are no controllers of the kind 'other'"):
        controllers.submit("other:e", "me", b"finish", again=False)


def test_nobody_else_may_read_what_a_controller_is_given(controllers: Controllers) -> None:
    controllers.submit("e", "me", b"finish", again=False)
    (post,) = controllers.posts()
    assert stat.S_IMODE(post.folder.stat().st_mode) == 0o700
    assert all(stat.S_IMODE(file.stat().st_mode) == 0o600 for file in post.folder.glob("*.json"))
    assert stat.S_IMODE((post.folder / "content").stat().st_mode) == 0o600
    looks_until(controllers, "e", lambda post: post.state.over)


def test_what_is_too_large_to_be_sent_is_refused_before_anybody_is_asked(tmp_path: Path) -> None:
    with pytest.raises(ClusterError, match=r"'e' takes 61 MiB .* may take 60: .* runtime_env's excludes"):
        client.submit(tmp_path / "no cluster", "e", bytes(61 * 2**20))
