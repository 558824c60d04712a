"""Actors: objects that live in processes of their own."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import threading
import time
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

import executor
from executor.errors import (
    ActorDiedError,
    ExecutorError,
    InfeasibleRequestError,
    PendingCallsLimitExceeded,
    TaskCancelledError,
)
from tests.executor.library.events import DEADLINE_S, Signal, holds


class Counter:
    """What most tests here have as an actor."""

    def __init__(self, start: int = 0) -> None:
        self.value = start

    def add(self, amount: int = 1) -> int:
        self.value += amount
        return self.value

    def pid(self) -> int:
        return os.getpid()

    def wait(self, go: Signal) -> int:
        go.wait()
        return self.value

    def fail(self) -> None:
        raise ValueError(f"at {self.value}")

    def die(self) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def leave(self) -> None:
        executor.exit_actor()


def test_an_actor_keeps_its_state_between_calls(ray: Any) -> None:
    counter = ray.remote(Counter).remote(10)
    assert ray.get([counter.add.remote(), counter.add.remote(5), counter.add.remote(amount=2)]) == [11, 16, 18]


def test_each_actor_has_a_process_of_its_own(ray: Any) -> None:
    counters = [ray.remote(Counter).remote() for _ in range(4)]
    assert len({*ray.get([counter.pid.remote() for counter in counters]), os.getpid()}) == 5


def test_calls_run_in_the_order_in_which_their_caller_made_them(ray: Any, tmp_path: Path) -> None:
    go = Signal(tmp_path, "go")

    @ray.remote
    def late() -> int:
        go.wait()
        return 100

    counter = ray.remote(Counter).remote()
    first, waits, last = counter.add.remote(), counter.add.remote(late.remote()), counter.add.remote()
    assert ray.get(first) == 1
    go.set()
    assert ray.get([waits, last]) == [101, 102]


def test_a_caller_whose_call_waits_holds_up_no_other_caller(ray: Any, tmp_path: Path) -> None:
    go = Signal(tmp_path, "go")

    @ray.remote
    def late() -> int:
        go.wait()
        return 100

    @ray.remote
    def other(counter: Any) -> int:
        return int(executor.get(counter.add.remote()))

    counter = ray.remote(Counter).remote()
    waits = counter.add.remote(late.remote())
    assert ray.get(other.remote(counter)) == 1
    go.set()
    assert ray.get(waits) == 101


def test_an_exception_in_a_call_leaves_the_actor_alive(ray: Any) -> None:
    counter = ray.remote(Counter).remote(3)
    with pytest.raises(ValueError, match="at 3"):
        ray.get(counter.fail.remote())
    assert ray.get(counter.add.remote()) == 4


def test_an_exception_in_the_constructor_is_the_error_of_every_call(ray: Any) -> None:
    @ray.remote
    class Broken:
        def __init__(self) -> None:
            raise LookupError("no such thing")

        def use(self) -> None:
            pass

    broken = Broken.remote()
    for _ in range(2):
        with pytest.raises(LookupError, match="no such thing") as caught:
            ray.get(broken.use.remote())
        assert 'raise LookupError("no such thing")' in str(caught.value.__cause__)


def test_references_given_to_the_constructor_become_their_values(ray: Any) -> None:
    counter = ray.remote(Counter).remote(ray.put(41))
    assert ray.get(counter.add.remote()) == 42


def test_a_handle_can_be_passed_on_to_tasks_and_actors(ray: Any) -> None:
    @ray.remote
    class Caller:
        def __init__(self, counter: Any) -> None:
            self.counter = counter

        def call(self) -> int:
            return int(executor.get(self.counter.add.remote()))

    @ray.remote
    def call(counters: list[Any]) -> int:
        return int(executor.get(counters[0].add.remote()))

    counter = ray.remote(Counter).remote()
    assert ray.get(Caller.remote(counter).call.remote()) == 1
    assert ray.get(call.remote([counter])) == 2


def test_actors_make_actors(ray: Any) -> None:
    @ray.remote
    class Parent:
        def __init__(self, children: int) -> None:
            self.children = [executor.remote(Counter).remote(i) for i in range(children)]

        def total(self) -> int:
            return sum(executor.get([child.add.remote() for child in self.children]))

    assert ray.get(Parent.remote(3).total.remote()) == 6


def test_an_actor_ends_when_no_handle_is_left(ray: Any) -> None:
    counter = ray.remote(Counter).remote()
    pid = ray.get(counter.pid.remote())
    fd = os.pidfd_open(pid)
    try:
        last = counter.add.remote()
        del counter
        assert ray.get(last) == 1  # but not before its calls have
        holds(lambda: _has_ended(fd), "the actor lives on")
    finally:
        os.close(fd)


def _has_ended(fd: int) -> bool:
    import select

    return bool(select.select([fd], [], [], 0)[0])


def test_an_actor_that_another_one_holds_lives_on(ray: Any) -> None:
    @ray.remote
    class Holder:
        def hold(self, handles: list[Any]) -> None:
            self.handles = handles

        def use(self) -> int:
            return int(executor.get(self.handles[0].add.remote()))

    holder, counter = Holder.remote(), ray.remote(Counter).remote()
    ray.get(holder.hold.remote([counter]))
    del counter
    assert [ray.get(holder.use.remote()) for _ in range(3)] == [1, 2, 3]


def test_a_killed_actor_fails_its_calls_with_the_cause(ray: Any, tmp_path: Path) -> None:
    go = Signal(tmp_path, "go")
    counter = ray.remote(Counter).remote()
    pending = [counter.wait.remote(go), counter.add.remote(), counter.add.remote()]
    ray.kill(counter)
    for ref in [*pending, counter.add.remote()]:
        with pytest.raises(ActorDiedError, match=r"Counter died: it was killed by executor\.kill"):
            ray.get(ref)


def test_a_process_that_is_killed_fails_every_pending_call_soon(ray: Any, tmp_path: Path) -> None:
    go = Signal(tmp_path, "go")
    counter = ray.remote(Counter).remote()
    pid = ray.get(counter.pid.remote())
    pending = [counter.wait.remote(go)] + [counter.add.remote() for _ in range(100)]
    began = time.monotonic()
    os.kill(pid, signal.SIGKILL)
    for ref in pending:
        with pytest.raises(ActorDiedError, match="ended by SIGKILL"):
            ray.get(ref, timeout=10)
    assert time.monotonic() - began < 5  # measured by benchmarks/worker_killed.py


def test_exit_actor_ends_it_in_good_order(ray: Any) -> None:
    counter = ray.remote(Counter).remote()
    before, leave, after = counter.add.remote(), counter.leave.remote(), counter.add.remote()
    assert ray.get(before) == 1
    for ref in (leave, after, counter.add.remote()):
        with pytest.raises(ActorDiedError, match="it called exit_actor"):
            ray.get(ref)
    with pytest.raises(ExecutorError, match="this is none"):
        ray.exit_actor()


# Restarts.


class Phoenix(Counter):
    """Tells how often it was restarted."""

    def __init__(self, start: int) -> None:
        super().__init__(start)
        self.told: list[int] = []

    def on_restart(self, count: int) -> None:
        self.told.append(count)

    def restarts(self) -> Any:
        return self.told, executor.get_runtime_context().restart_count


def test_a_restarted_actor_is_made_anew_and_told_how_often(ray: Any) -> None:
    phoenix = ray.remote(max_restarts=2)(Phoenix).remote(ray.put(7))
    assert ray.get(phoenix.restarts.remote()) == ([], 0)
    for count in (1, 2):
        with pytest.raises(ActorDiedError, match="started again"):
            ray.get(phoenix.die.remote())
        assert ray.get(phoenix.restarts.remote()) == ([count], count)
        assert ray.get(phoenix.add.remote()) == 8
    with pytest.raises(ActorDiedError, match="ended by SIGKILL"):
        ray.get(phoenix.die.remote())
    with pytest.raises(ActorDiedError):
        ray.get(phoenix.add.remote())


def test_calls_with_retries_run_again_after_a_restart_in_their_order(ray: Any, tmp_path: Path) -> None:
    @ray.remote(max_restarts=1, max_task_retries=1)
    class Flaky:
        def __init__(self) -> None:
            self.seen: list[int] = []

        def see(self, number: int, path: str) -> list[int]:
            self.seen.append(number)
            if number == 2 and not Path(path).exists():
                Path(path).touch()
                os.kill(os.getpid(), signal.SIGKILL)
            return self.seen

    flaky = Flaky.remote()
    path = str(tmp_path / "died")
    results = ray.get([flaky.see.remote(number, path) for number in range(5)])
    assert results[1] == [0, 1]
    assert results[-1][-3:] == [2, 3, 4]


def test_kill_may_leave_the_actor_its_restarts(ray: Any) -> None:
    counter = ray.remote(max_restarts=1)(Counter).remote(5)
    pid = ray.get(counter.pid.remote())
    ray.kill(counter, no_restart=False)
    assert ray.get(counter.add.options(max_task_retries=1).remote()) == 6
    assert ray.get(counter.pid.remote()) != pid


def test_an_actor_that_nobody_holds_is_restarted_for_the_calls_that_it_still_has(ray: Any, tmp_path: Path) -> None:
    @ray.remote(max_restarts=1, max_task_retries=1)
    class Flaky:
        def work(self, path: str) -> str:
            if not Path(path).exists():
                Path(path).touch()
                os.kill(os.getpid(), signal.SIGKILL)
            return "done"

    assert ray.get(Flaky.remote().work.remote(str(tmp_path / "died")), timeout=30) == "done"
    with pytest.raises(ActorDiedError):
        ray.get(ray.remote(max_restarts=1)(Counter).remote().die.remote(), timeout=30)


# Names.


def test_a_named_actor_is_found_by_its_name_also_from_tasks(ray: Any) -> None:
    @ray.remote
    def find() -> int:
        return int(executor.get(executor.get_actor("the one").add.remote()))

    counter = ray.remote(Counter).options(name="the one").remote()
    assert "the one" in ray.list_named_actors()
    assert ray.get(find.remote()) == 1
    assert ray.get(ray.get_actor("the one").add.remote()) == 2
    with pytest.raises(ValueError, match="of the name 'the one' already"):
        ray.remote(Counter).options(name="the one").remote()
    same = ray.remote(Counter).options(name="the one", get_if_exists=True).remote(50)
    assert ray.get(same.add.remote()) == 3
    ray.kill(counter)
    with pytest.raises(ValueError, match=r"no actor of the name 'the one'"):
        ray.get_actor("the one")
    with pytest.raises(ActorDiedError):
        ray.get(counter.add.remote())


def test_the_name_of_an_actor_that_is_to_end_is_free_at_once(ray: Any) -> None:
    for _ in range(3):
        counter = ray.remote(Counter).options(name="the one").remote()
        assert ray.get(counter.add.remote()) == 1
        ray.kill(counter)
    counter = ray.remote(Counter).options(name="the one").remote()
    assert ray.get(counter.add.remote()) == 1
    del counter
    assert "the one" not in ray.list_named_actors()


def test_an_actor_that_asks_for_more_than_there_is_is_refused_at_once(ray: Any) -> None:
    with pytest.raises(InfeasibleRequestError, match="gpu 9"):
        ray.remote(num_gpus=9)(Counter).remote()


def test_mistakes_with_handles_say_what_to_do(ray: Any) -> None:
    counter = ray.remote(Counter).remote()
    with pytest.raises(AttributeError, match="no method 'addd'; it has add"):
        counter.addd.remote()
    with pytest.raises(TypeError, match=r"call \.add\.remote"):
        counter.add()
    with pytest.raises(TypeError, match=r"create one by Counter\.remote"):
        ray.remote(Counter)()
    with pytest.raises(TypeError, match="cancel ends a task"):
        ray.kill(ray.put(1))


# Several calls at a time.


def test_an_actor_with_threads_runs_calls_beside_each_other(ray: Any) -> None:
    @ray.remote(max_concurrency=3)
    class Meeting:
        def __init__(self) -> None:
            self.barrier = threading.Barrier(3)

        def meet(self) -> str:
            self.barrier.wait(30)
            return "met"

    meeting = Meeting.remote()
    assert ray.get([meeting.meet.remote() for _ in range(3)]) == ["met"] * 3


def test_threads_of_an_actor_may_wait_for_others(ray: Any) -> None:
    @ray.remote
    def double(x: int) -> int:
        return 2 * x

    @ray.remote(max_concurrency=4)
    class Caller:
        def call(self, x: int) -> int:
            return int(executor.get(double.remote(x)))

    caller = Caller.remote()
    assert ray.get([caller.call.remote(i) for i in range(40)]) == [2 * i for i in range(40)]


def test_coroutines_of_an_actor_take_turns(ray: Any) -> None:
    @ray.remote
    class Meeting:
        def __init__(self) -> None:
            self.there = 0
            self.all = asyncio.Event()

        async def meet(self, count: int) -> int:
            self.there += 1
            if self.there == count:
                self.all.set()
            await self.all.wait()
            return self.there

        def sync(self) -> int:
            return self.there

    meeting = Meeting.remote()
    assert ray.get([meeting.meet.remote(50) for _ in range(50)]) == [50] * 50
    assert ray.get(meeting.sync.remote()) == 50


def test_coroutines_await_references(ray: Any) -> None:
    @ray.remote
    def double(x: int) -> int:
        return 2 * x

    @ray.remote
    class Caller:
        async def call(self, x: int) -> int:
            one, two = await asyncio.gather(double.remote(x), double.remote(x + 1))
            return int(one + two)

        async def fail(self) -> None:
            await double.remote("a", "b")

    caller = Caller.remote()
    assert ray.get([caller.call.remote(i) for i in range(20)]) == [4 * i + 2 for i in range(20)]
    with pytest.raises(TypeError, match="takes 1 positional argument"):
        ray.get(caller.fail.remote())


def test_the_driver_awaits_references_and_has_futures_of_them(ray: Any) -> None:
    counter = ray.remote(Counter).remote()

    async def main() -> Any:
        return await asyncio.gather(*[counter.add.remote() for _ in range(10)])

    assert asyncio.run(main()) == list(range(1, 11))
    assert counter.add.remote().future().result(timeout=30) == 11
    with pytest.raises(ValueError, match="at 11"):
        counter.fail.remote().future().result(timeout=30)


def test_a_worker_has_futures_of_references(ray: Any) -> None:
    @ray.remote
    def leaf() -> str:
        return "leaf"

    @ray.remote
    def parent() -> Any:
        return leaf.remote().future().result(timeout=30)

    assert ray.get(parent.remote()) == "leaf"


def test_a_coroutine_is_cancelled(ray: Any, tmp_path: Path) -> None:
    begun, cleaned = Signal(tmp_path, "begun"), Signal(tmp_path, "cleaned")

    @ray.remote
    class Sleeper:
        async def sleep(self) -> None:
            try:
                begun.set()
                await asyncio.sleep(60)
            finally:
                cleaned.set()

        async def ping(self) -> str:
            return "pong"

    sleeper = Sleeper.remote()
    ref = sleeper.sleep.remote()
    begun.wait()
    ray.cancel(ref)
    with pytest.raises(TaskCancelledError):
        ray.get(ref)
    cleaned.wait()
    assert ray.get(sleeper.ping.remote()) == "pong"


def test_a_call_of_an_actor_is_cancelled_but_not_by_force(ray: Any, tmp_path: Path) -> None:
    go = Signal(tmp_path, "go")
    counter = ray.remote(Counter).remote()
    runs, waits = counter.wait.remote(go), counter.add.remote()
    with pytest.raises(ValueError, match="use kill"):
        ray.cancel(waits, force=True)
    ray.cancel(waits)
    ray.cancel(runs)
    for ref in (waits, runs):
        with pytest.raises(TaskCancelledError):
            ray.get(ref)
    assert ray.get(counter.add.remote()) == 1


def test_calls_beyond_the_limit_are_refused(ray: Any, tmp_path: Path) -> None:
    go = Signal(tmp_path, "go")
    counter = ray.remote(max_pending_calls=2)(Counter).remote()
    first, second, third = counter.wait.remote(go), counter.add.remote(), counter.add.remote()
    with pytest.raises(PendingCallsLimitExceeded, match="max_pending_calls is 2"):
        ray.get(third)
    go.set()
    assert ray.get([first, second]) == [0, 1]


def test_methods_have_options_of_their_own(ray: Any) -> None:
    @ray.remote
    class Pair:
        @ray.method(num_returns=2)
        def pair(self) -> Any:
            return 1, 2

    pair = Pair.remote()
    assert ray.get(pair.pair.remote()) == [1, 2]
    assert ray.get(pair.pair.options(num_returns=1).remote()) == (1, 2)
    with pytest.raises(ValueError, match="no option of a method: num_cpus"):
        pair.pair.options(num_cpus=2)


def test_the_context_tells_who_one_is(ray: Any) -> None:
    @ray.remote
    class Who:
        def am_i(self) -> Any:
            context = executor.get_runtime_context()
            return context.get_actor_id(), context.actor_name, context.get_task_id()

    who = Who.remote()
    actor_id, name, task_id = ray.get(who.am_i.remote())
    assert (name, len(actor_id), len(task_id)) == ("Who", 16, 16)
    assert ray.get_runtime_context().get_actor_id() is None


def test_methods_that_are_inherited_or_static_are_methods_too(ray: Any) -> None:
    @ray.remote
    class Child(Counter):
        @staticmethod
        def static(x: int) -> int:
            return x

        @classmethod
        def of_class(cls) -> str:
            return cls.__name__

    child = Child.remote(1)
    assert ray.get([child.add.remote(), child.static.remote(5), child.of_class.remote()]) == [2, 5, "Child"]


def test_an_actor_that_waits_lends_its_cpus_though_more_calls_wait_for_it(ray: Any, tmp_path: Path) -> None:
    @ray.remote(num_cpus=4)
    class Parent:
        def ask(self, go: Signal) -> int:
            go.wait()
            return executor.get(ray.remote(lambda: 7).remote())

        def nothing(self) -> None:
            return None

    parent, go = Parent.remote(), Signal(tmp_path, "go")
    asked, behind = parent.ask.remote(go), parent.nothing.remote()
    go.set()
    assert ray.get([asked, behind], timeout=20) == [7, None]


def test_an_actor_runs_a_thousand_waiting_calls_in_their_order(ray: Any, tmp_path: Path) -> None:
    counter, go = ray.remote(Counter).remote(), Signal(tmp_path, "go")
    first = counter.wait.remote(go)
    calls = [counter.add.remote() for _ in range(1000)]
    go.set()
    assert ray.get([first, *calls], timeout=60) == list(range(1001))


def test_a_thousand_waiting_calls_may_fail_or_be_run_again(ray: Any, tmp_path: Path) -> None:
    @ray.remote
    class Moody(Counter):
        @ray.method(max_task_retries=1, retry_exceptions=True)
        def second_time(self, number: int) -> int:
            if number not in tried:
                tried.add(number)
                raise ValueError(number)
            return number

    tried: set[int] = set()
    moody, go = Moody.remote(), Signal(tmp_path, "go")
    failed = moody.fail.remote()
    first = moody.wait.remote(go)
    broken = [moody.add.remote(failed) for _ in range(500)]
    again = [moody.second_time.remote(number) for number in range(500)]
    go.set()
    assert ray.get([first, *again], timeout=60) == [0, *range(500)]
    for ref in broken:
        with pytest.raises(ValueError, match="at 0"):
            ray.get(ref, timeout=60)


def test_a_future_needs_no_reference_beside_it(ray: Any, tmp_path: Path) -> None:
    counter, go = ray.remote(Counter).remote(7), Signal(tmp_path, "go")
    future = counter.wait.remote(go).future()
    other = ray.remote(Counter).remote()
    assert ray.get([other.add.remote() for _ in range(2)]) == [1, 2]  # what was let go of is taken in meanwhile
    go.set()
    assert future.result(timeout=20) == 7


def test_a_future_has_its_value_though_nobody_holds_the_reference(ray: Any) -> None:
    counter = ray.remote(Counter).remote()
    futures = [counter.add.remote().future() for _ in range(20)]
    assert [future.result(timeout=30) for future in futures] == list(range(1, 21))


def test_a_callback_may_wait_for_another_value(ray: Any) -> None:
    counter = ray.remote(Counter).remote()
    told: Future[int] = Future()
    counter.add.remote().future().add_done_callback(lambda _: told.set_result(ray.get(counter.add.remote())))
    assert told.result(timeout=30) == 2


@pytest.mark.parametrize("does", ["computes", "gets", "waits"])
def test_a_call_in_a_thread_of_an_actor_is_interrupted_when_it_is_cancelled(
    ray: Any, tmp_path: Path, does: str
) -> None:
    go, stop, begun = (Signal(tmp_path, name) for name in ("go", "stop", "begun"))

    @ray.remote(num_cpus=0)
    def gate() -> int:
        go.wait()
        return 1

    @ray.remote(max_concurrency=2)
    class Pair:
        def computes(self, refs: list[Any]) -> None:
            begun.set()
            for _ in iter(int, 1):
                pass

        def gets(self, refs: list[Any]) -> None:
            begun.set()
            executor.get(refs)

        def waits(self, refs: list[Any]) -> None:
            begun.set()
            executor.wait(refs)

        def other(self) -> str:
            stop.wait()
            return "other"

        def ping(self) -> str:
            return "pong"

    actor, opened = Pair.remote(), gate.remote()
    other, call = actor.other.remote(), getattr(actor, does).remote([opened])
    begun.wait()
    ray.cancel(call, recursive=False)
    with pytest.raises(TaskCancelledError):
        ray.get(call, timeout=DEADLINE_S)
    assert ray.get([actor.ping.remote() for _ in range(3)], timeout=DEADLINE_S) == ["pong"] * 3
    stop.set()
    go.set()
    assert ray.get([other, opened], timeout=DEADLINE_S) == ["other", 1]


def test_an_actor_of_threads_goes_on_however_many_of_its_calls_are_cancelled(ray: Any) -> None:
    @ray.remote
    def one() -> int:
        return 1

    @ray.remote(max_concurrency=4)
    class Busy:
        def work(self) -> int:
            return sum([*executor.get([one.remote() for _ in range(3)]), executor.get(executor.put(1))])

    actor = Busy.remote()
    calls = [actor.work.remote() for _ in range(200)]
    for call in calls[::2]:
        ray.cancel(call)
    assert ray.get(calls[1::2], timeout=60) == [4] * 100
    for call in calls[::2]:
        with contextlib.suppress(TaskCancelledError):
            assert ray.get(call, timeout=DEADLINE_S) == 4
