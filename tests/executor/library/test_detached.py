"""Actors that outlive their drivers: found by others, called, killed; and what happens when a process goes."""

from __future__ import annotations

import importlib
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy
import pytest

import executor
from executor.cluster.fleet import ClusterFleet, Identity
from executor.cluster.membership import Terms
from executor.depot.depot import Depot, Key, Then
from executor.errors import ActorDiedError, ClusterError, TaskCancelledError
from executor.library import letters
from executor.library.caretaker import Caretaker
from executor.library.creations import Creations
from tests.executor.cluster_rig import Rig
from tests.executor.library.events import DEADLINE_S, Signal, holds
from tests.executor.library.two_nodes import MIB

BROUGHT = """
import os, executor

@executor.remote
def told():
    return os.environ["TOLD"]

class Brought:
    def told(self):
        return [os.environ["TOLD"], executor.get(told.remote())]
"""

TERMS = Terms(beat_s=0.2, lease_s=2.0, grace_s=0.5, driver_grace_s=10)


class Counter:
    """Counts, and tells more than one likes to know."""

    def __init__(self, count: int = 0) -> None:
        self.count = count

    def add(self, number: Any = 1) -> int:
        self.count += int(numpy.sum(number))
        return self.count

    def pid(self) -> int:
        return os.getpid()

    def zeros(self, size: int) -> Any:
        return numpy.zeros(size, dtype=numpy.uint8)

    def fail(self) -> None:
        raise LookupError("not here")

    def both(self) -> tuple[int, str]:
        return self.count, "both"

    def wait(self, go: Signal) -> None:
        go.wait()

    def stream(self) -> Iterator[int]:
        yield 1

    def reference(self) -> Any:
        return [executor.put(1)]


Detached = executor.remote(Counter).options(lifetime="detached", num_cpus=1)


def caretaker(rig: Rig, folder: Path, namespace: str = "default") -> Caretaker:
    return Caretaker(ClusterFleet(rig.dial, Identity(controller=f"actors:{namespace}")), Creations(folder / namespace))


@contextmanager
def driver(rig: Rig, namespace: str = "default") -> Iterator[None]:
    """One driver after the other, each of which knows nothing of those before."""
    executor.init(ClusterFleet(rig.dial), log_to_driver=False, namespace=namespace)
    try:
        yield
    finally:
        executor.shutdown()


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """Two nodes, and a caretaker of two namespaces each."""
    found = Rig(TERMS)
    for host in "ab":
        found.join(host, {"cpu": 2})
    folder = tmp_path_factory.mktemp("controllers")
    caretakers = [caretaker(found, folder, namespace) for namespace in ("default", "mine")]
    try:
        yield found
    finally:
        for one in caretakers:
            one.close()
        found.close()


def test_an_actor_outlives_its_driver_and_another_one_finds_it(rig: Rig) -> None:
    with driver(rig):
        mine = Detached.options(name="counter").remote(10)
        assert executor.get([mine.add.remote() for _ in range(100)]) == list(range(11, 111))
        pid = executor.get(mine.pid.remote())
        del mine
    with driver(rig):
        found = executor.get_actor("counter")
        assert executor.get_actor("counter") == found
        assert executor.get(found.add.remote(number=5)) == 115
        assert executor.get(found.pid.remote()) == pid
        assert "counter" in executor.list_named_actors()
        with pytest.raises(ValueError, match="of the name 'counter' already"):
            Detached.options(name="counter").remote()
        same = Detached.options(name="counter", get_if_exists=True).remote(0)
        assert executor.get(same.add.remote()) == 116
        executor.kill(found)
        with pytest.raises(ActorDiedError, match="killed by executor.kill"):
            executor.get(same.add.remote())
        with pytest.raises(ValueError, match="no actor of the name 'counter'"):
            executor.get_actor("counter")


def test_tasks_find_it_too_and_have_handles_of_it(rig: Rig) -> None:
    @executor.remote
    def find() -> int:
        return int(executor.get(executor.get_actor("counter").add.remote()))

    @executor.remote
    def use(handle: Any, number: Any) -> int:
        return int(executor.get(handle.add.remote(number)))

    with driver(rig):
        mine = Detached.options(name="counter").remote()
        assert executor.get(find.remote()) == 1
        assert executor.get(use.remote(mine, executor.put(2))) == 3
        executor.kill(mine)


def test_values_of_any_size_go_both_ways_in_the_order_of_the_calls(rig: Rig) -> None:
    with driver(rig):
        mine = Detached.options(name="large").remote()
        ones = numpy.ones(20 * MIB, dtype=numpy.uint8)
        first, second = mine.add.remote(executor.put(ones)), mine.add.remote(ones[:10])
        assert executor.get([first, second]) == [20 * MIB, 20 * MIB + 10]
        assert executor.get(mine.zeros.remote(3 * MIB)).nbytes == 3 * MIB
        executor.kill(mine)


def test_a_reference_among_its_arguments_stands_for_a_value_that_it_waits_for(rig: Rig, tmp_path: Any) -> None:
    @executor.remote
    def slow(go: Signal) -> int:
        go.wait()
        return 7

    with driver(rig):
        mine, go = Detached.options(name="patient").remote(), Signal(tmp_path, "go")
        sums = [mine.add.remote(slow.remote(go)), mine.add.remote(1)]
        go.set()
        assert executor.get(sums) == [7, 8]
        executor.kill(mine)


def test_what_it_raises_and_returns_is_as_of_other_actors(rig: Rig, tmp_path: Any) -> None:
    with driver(rig):
        mine, go = Detached.options(name="various").remote(3), Signal(tmp_path, "go")
        with pytest.raises(LookupError, match="not here"):
            executor.get(mine.fail.remote())
        count, text = mine.both.options(num_returns=2).remote()
        assert executor.get([count, text]) == [3, "both"]
        assert mine.add.options(num_returns=0).remote() is None
        standing, after = mine.wait.remote(go), mine.add.remote()
        executor.cancel(standing)
        with pytest.raises(TaskCancelledError):
            executor.get(standing, timeout=DEADLINE_S)
        assert executor.get([after, mine.both.remote()]) == [5, (5, "both")]
        executor.kill(mine)


def test_a_call_is_cancelled_whose_values_are_still_on_their_way(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    may_come = threading.Event()
    fetch = Depot.fetch

    def fetch_later(depot: Depot, key: Key, size: int, then: Then) -> None:
        def fetch_it() -> None:
            may_come.wait(2 * DEADLINE_S)
            fetch(depot, key, size, then)

        threading.Thread(target=fetch_it, daemon=True).start()

    @executor.remote
    def ones() -> Any:
        return numpy.ones(3 * MIB, dtype=numpy.uint8)

    with driver(rig):
        mine, large = Detached.options(name="unhurried").remote(), ones.remote()
        executor.wait([large], timeout=DEADLINE_S)
        monkeypatch.setattr(Depot, "fetch", fetch_later)
        standing, after = mine.add.remote(large), mine.add.remote()
        executor.cancel(standing)
        try:
            with pytest.raises(TaskCancelledError):
                executor.get(standing, timeout=DEADLINE_S)
            assert executor.get(after, timeout=DEADLINE_S) == 1
        finally:
            may_come.set()
        assert executor.get(mine.add.remote(large)) == 1 + 3 * MIB
        executor.kill(mine)


def test_what_means_nothing_to_other_drivers_is_refused(rig: Rig) -> None:
    with driver(rig):
        mine = Detached.options(name="strict").remote()
        with pytest.raises(ValueError, match="for an actor with a name, by which others find it"):
            Detached.remote()
        with pytest.raises(TypeError, match=r"Counter.add: references and handles mean nothing"):
            executor.get(mine.add.remote([executor.put(1)]))
        with pytest.raises(TypeError, match=r"Counter.reference: references and handles mean nothing"):
            executor.get(mine.reference.remote())
        with pytest.raises(TypeError, match=r"Counter.stream: a detached actor cannot stream"):
            executor.get(next(mine.stream.remote()))
        with pytest.raises(TypeError, match="references among the arguments of a detached actor"):
            Detached.options(name="other").remote(executor.put(1))
        group = executor.placement_group([{"CPU": 1}])
        with pytest.raises(ValueError, match="cannot be in a placement group"):
            Detached.options(name="other", placement_group=group).remote()
        executor.kill(mine)


def test_whoever_waits_is_told_when_a_letter_cannot_be_taken_in(
    rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Unreadable:
        def __reduce__(self) -> Any:
            return int, ("lost on the way",)

    def inlined(_: letters.Gathering, packed: Any) -> Any:
        raise LookupError("lost on the way")

    with driver(rig):
        mine, go = Detached.options(name="careful").remote(), Signal(tmp_path, "go")
        standing = mine.wait.remote(go)
        with pytest.raises(ValueError, match="invalid literal .*'lost on the way'"):
            executor.get_actor(Unreadable())  # type: ignore[arg-type]
        with monkeypatch.context() as patched:
            patched.setattr(letters.Gathering, "inlined", inlined)
            go.set()
            for unlucky in (mine.add.remote(2), standing):
                with pytest.raises(LookupError, match="lost on the way"):
                    executor.get(unlucky, timeout=DEADLINE_S)
        assert executor.get(mine.add.remote(3)) == 3
        executor.kill(mine)


def test_it_has_the_code_and_the_variables_of_its_driver(rig: Rig, tmp_path: Path) -> None:
    (tmp_path / "brought.py").write_text(BROUGHT)
    environment = {"py_modules": [str(tmp_path / "brought.py")], "env_vars": {"TOLD": "by its driver"}}
    executor.init(ClusterFleet(rig.dial), log_to_driver=False, runtime_env=environment)
    try:
        sys.path.insert(0, str(tmp_path))
        kind = importlib.import_module("brought").Brought
        mine = executor.remote(kind).options(name="brought", lifetime="detached").remote()
        assert executor.get(mine.told.remote()) == ["by its driver", "by its driver"]
    finally:
        sys.path.remove(str(tmp_path))
        executor.shutdown()
    with driver(rig):
        executor.kill(executor.get_actor("brought"))


def test_inside_of_one_the_others_of_its_namespace_are_found(rig: Rig) -> None:
    class Asking:
        def ask(self, name: str) -> int:
            return int(executor.get(executor.get_actor(name).add.remote()))

    with driver(rig):
        Detached.options(name="counter").remote(1)
        asking = executor.remote(Asking).options(name="asking", lifetime="detached").remote()
        assert executor.get(asking.ask.remote("counter")) == 2
        for name in ("counter", "asking"):
            executor.kill(executor.get_actor(name))


def test_a_driver_that_is_refused_for_good_is_told_so_by_whatever_it_asks(rig: Rig, tmp_path: Path) -> None:
    with driver(rig):
        mine = Detached.options(name="counter").remote()
        standing = mine.wait.remote(Signal(tmp_path, "never"))
        (me,) = (name for name in rig.head._drivers if "@" not in name)
        rig.dismiss("it was silent for too long", me)
        with pytest.raises(ActorDiedError, match="the head of the cluster refuses it: it was silent for too long"):
            executor.get([standing, mine.add.remote()], timeout=DEADLINE_S)
        for ask in (
            lambda: executor.get_actor("counter"),
            lambda: Detached.options(name="other").remote(),
            executor.list_named_actors,
        ):
            with pytest.raises(ClusterError, match="refuses us: it was silent for too long"):
                ask()
    with driver(rig):
        executor.kill(executor.get_actor("counter"))


def test_what_a_stranger_writes_does_not_end_a_caretaker(rig: Rig) -> None:
    stranger = ClusterFleet(rig.dial)
    assert stranger.mail is not None
    for content in (b"no pickle", b"", letters.written(letters.CALL, 1, [()]), letters.written(99)):
        stranger.mail.write(stranger.mail.have("actors:default", 5), content)
    stranger.close()
    with driver(rig):
        assert executor.list_named_actors() == []


def test_a_name_is_one_of_its_namespace(rig: Rig) -> None:
    with driver(rig, "mine"):
        mine = Detached.options(name="counter").remote(1)
        others = Detached.options(name="counter", namespace="default").remote(2)
        assert executor.get([mine.add.remote(), others.add.remote()]) == [2, 3]
    with driver(rig):
        assert executor.get(executor.get_actor("counter").add.remote()) == 4
        found = executor.get_actor("counter", namespace="mine")
        assert executor.get(found.add.remote()) == 3
        with pytest.raises(ValueError, match="in namespace 'nobodys' none"):
            executor.get_actor("counter", namespace="nobodys")
        executor.kill(found)
        executor.kill(executor.get_actor("counter"))


def test_the_name_of_one_that_was_killed_is_free_at_once(rig: Rig) -> None:
    with driver(rig):
        for count in range(5):
            mine = Detached.options(name="again", max_restarts=-1).remote(count)
            assert executor.get(mine.add.remote()) == count + 1
            executor.kill(mine)
        with pytest.raises(ValueError, match="no actor of the name 'again'"):
            executor.get_actor("again")


def test_calls_wait_while_the_head_is_away(rig: Rig) -> None:
    with driver(rig):
        mine = Detached.options(name="patient").remote()
        pid = executor.get(mine.pid.remote())
        rig.stop_head()
        calls = [mine.add.remote() for _ in range(10)]
        rig.start_head()
        assert executor.get(calls, timeout=30) == list(range(1, 11))
        assert executor.get(mine.pid.remote()) == pid
        executor.kill(mine)


def test_an_actor_that_dies_is_started_again_if_it_may_be(rig: Rig) -> None:
    with driver(rig):
        mine = Detached.options(name="tough", max_restarts=1, max_task_retries=1).remote()
        executor.get(mine.add.remote())
        executor.kill(mine, no_restart=False)
        assert executor.get(mine.add.remote()) == 1
        assert executor.status().processes == ()
        os.kill(executor.get(mine.pid.remote()), 9)
        holds(lambda: "tough" not in executor.list_named_actors(), "it has died")
        with pytest.raises(ActorDiedError, match="ended by SIGKILL"):
            executor.get(mine.add.remote())
        with pytest.raises(ValueError, match="no actor of the name 'tough'"):
            executor.get_actor("tough")


def test_only_a_cluster_has_some() -> None:
    with executor.init(num_cpus=1):
        with pytest.raises(ValueError, match="lifetime='detached' is for a cluster's nodes"):
            Detached.options(name="counter").remote()
        with pytest.raises(ValueError, match="namespace='n': there are some only for the drivers of a cluster"):
            executor.get_actor("counter", namespace="n")


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"lifetime": "eternal"}, "lifetime must be 'detached' or left out, got 'eternal'"),
        ({"namespace": "n"}, "namespace='n': only detached actors are in one"),
        ({"lifetime": "detached", "name": "x", "namespace": "a/b"}, "namespace must be at most 64 letters.*'a/b'"),
    ],
)
def test_options_that_do_not_go_together_are_refused(options: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        executor.remote(Counter).options(**options)


def test_room_is_free_again_once_it_was_killed(rig: Rig) -> None:
    with driver(rig):
        several = [Detached.options(name=f"number {number}").remote() for number in range(4)]
        assert executor.get([one.add.remote() for one in several], timeout=DEADLINE_S) == [1] * 4
        for one in several:
            executor.kill(one)
        holds(lambda: executor.available_resources().get("CPU") == 4.0, "they hold nothing any more")


def test_a_caretaker_is_needed_while_there_are_actors_and_for_a_minute_after_it_was_asked_for_anything(
    rig: Rig, tmp_path: Path
) -> None:
    one = caretaker(rig, tmp_path, "idle")
    begun_at = one.asked_at
    assert one.is_needed(begun_at + 59)
    assert not one.is_needed(begun_at + 61)
    with driver(rig, "idle"):
        mine = Detached.options(name="counter").remote()
        assert executor.get(mine.add.remote()) == 1
        assert begun_at < one.asked_at
        assert one.is_needed(one.asked_at + 3600)
        executor.kill(mine)
    assert one.is_needed(one.asked_at + 59)
    assert not one.is_needed(one.asked_at + 61)
    one.close()


def test_of_a_caretaker_that_dies_the_next_creates_those_again_that_may_be_restarted(rig: Rig, tmp_path: Path) -> None:
    first = caretaker(rig, tmp_path, "brief")
    with driver(rig, "brief"):
        once = Detached.options(name="once").remote(5)
        kept = Detached.options(name="kept", max_restarts=-1).remote(10)
        ended = Detached.options(name="ended", max_restarts=-1).remote(20)
        assert executor.get([one.add.remote() for one in (once, kept, ended)]) == [6, 11, 21]
        executor.kill(ended)
        assert first.names() == ("kept", "once")
        first.close()
        (tmp_path / "brief" / "unreadable").write_bytes(b"of another version")
        with pytest.raises(ActorDiedError, match="the process beside the head that kept it is gone"):
            executor.get(once.add.remote())
        second = caretaker(rig, tmp_path, "brief")
        assert executor.get(executor.get_actor("kept").add.remote()) == 11
        with pytest.raises(ActorDiedError, match="the process beside the head that kept it is gone"):
            executor.get(kept.add.remote())
        with pytest.raises(ValueError, match="no actor of the name 'once'; there are: 'kept'"):
            executor.get_actor("once")
        second.close()


def test_of_a_caretaker_that_the_head_gives_up_the_next_creates_them_again(tmp_path: Path) -> None:
    rig = Rig(TERMS)
    rig.join("a", {"cpu": 2})
    first = caretaker(rig, tmp_path)
    with driver(rig):
        kept = Detached.options(name="kept", max_restarts=-1).remote(10)
        assert executor.get(kept.add.remote()) == 11
    rig.dismiss("it was silent for too long")
    holds(lambda: first.names() == (), "it has none any more")
    assert (first.dismissed, first.stopped) == ("it was silent for too long", False)
    first.close()
    second = caretaker(rig, tmp_path)
    with driver(rig):
        assert executor.get(executor.get_actor("kept").add.remote(), timeout=DEADLINE_S) == 11
    second.close()
    rig.close()
