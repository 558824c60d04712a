"""Tasks: calls of functions in worker processes."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from executor.errors import (
    GetTimeoutError,
    InfeasibleRequestError,
    ProgramNotPicklableError,
    TaskCancelledError,
    WorkerCrashedError,
)
from executor.library.runtime import existing
from tests.executor.library.events import Signal


def test_a_task_returns_its_value_from_another_process(ray: Any) -> None:
    pid = ray.get(ray.remote(os.getpid).remote())
    assert pid != os.getpid()


def test_arguments_arrive_by_position_and_by_name(ray: Any) -> None:
    @ray.remote
    def join(a: str, b: str = "b", *more: str, c: str) -> str:
        return a + b + "".join(more) + c

    assert ray.get(join.remote("1", c="2")) == "1b2"
    assert ray.get(join.remote("1", "2", "3", "4", c="5")) == "12345"


def test_many_tasks_come_back_in_the_order_asked_for(ray: Any) -> None:
    @ray.remote
    def double(x: int) -> int:
        return 2 * x

    assert ray.get([double.remote(i) for i in range(500)]) == [2 * i for i in range(500)]


def test_references_among_the_arguments_become_their_values(ray: Any) -> None:
    @ray.remote
    def add(a: int, b: int) -> int:
        return a + b

    assert ray.get(add.remote(ray.put(1), b=add.remote(2, 3))) == 6


def test_references_inside_of_arguments_stay_references(ray: Any) -> None:
    @ray.remote
    def first(refs: list[Any]) -> Any:
        import executor

        return type(refs[0]).__name__, executor.get(refs[0])

    assert ray.get(first.remote([ray.put(7)])) == ("ObjectRef", 7)


def test_several_returns_are_as_many_references(ray: Any) -> None:
    @ray.remote(num_returns=3)
    def three() -> Any:
        return 1, [2], {"a": 3}

    assert ray.get(three.remote()) == [1, [2], {"a": 3}]
    assert ray.remote(three.__wrapped__).options(num_returns=0).remote() is None


def test_a_task_that_returns_too_few_values_says_so(ray: Any) -> None:
    @ray.remote(num_returns=3)
    def two() -> Any:
        return 1, 2

    with pytest.raises(ValueError, match="num_returns=3 must return so many values, it returned 2 values"):
        ray.get(two.remote())


def test_nested_tasks_never_wait_for_the_cpus_that_their_parents_hold(ray: Any) -> None:
    @ray.remote
    def fibonacci(n: int) -> int:
        import executor

        if n < 2:
            return n
        one, two = executor.get([fibonacci.remote(n - 1), fibonacci.remote(n - 2)])
        return int(one + two)

    assert ray.get(fibonacci.remote(9)) == 34


def test_a_task_that_was_sent_behind_one_that_waits_is_taken_back(ray: Any) -> None:
    @ray.remote
    def leaf(x: int) -> int:
        return x

    @ray.remote
    def parent(x: int) -> int:
        import executor

        return int(executor.get(leaf.remote(x)))

    assert ray.get([leaf.remote(i) for i in range(300)]) == list(range(300))  # known to be short from now on
    assert ray.get([parent.remote(i) for i in range(100)]) == list(range(100))


def test_a_short_task_does_not_stay_behind_one_that_turns_out_to_be_long(ray: Any, tmp_path: Path) -> None:
    go = Signal(tmp_path, "go")

    @ray.remote
    def task(kind: str) -> str:
        if kind == "long":
            go.wait()
        return kind

    ray.get([task.remote("short") for _ in range(300)])
    long = task.remote("long")
    short = [task.remote("short") for _ in range(200)]
    assert ray.get(short) == ["short"] * 200
    assert ray.wait([long], timeout=0) == ([], [long])
    go.set()
    assert ray.get(long) == "long"


def test_an_exception_keeps_its_class_and_the_remote_traceback(ray: Any) -> None:
    @ray.remote
    def fail() -> None:
        raise KeyError("what")

    with pytest.raises(KeyError, match="what") as caught:
        ray.get(fail.remote())
    text = str(caught.value.__cause__)
    assert 'raise KeyError("what")' in text
    assert "serving.py" not in text


def test_an_exception_with_an_odd_constructor_or_what_cannot_be_sent_in_it_keeps_its_class(ray: Any) -> None:
    class OddError(Exception):
        def __init__(self, code: int, *, extra: str) -> None:
            super().__init__(f"code {code}")
            self.code, self.extra, self.stuck = code, extra, threading.Lock()

    @ray.remote
    def fail() -> None:
        raise OddError(3, extra="more")

    with pytest.raises(OddError, match="code 3") as caught:
        ray.get(fail.remote())
    assert (caught.value.code, caught.value.extra) == (3, "more")
    assert not hasattr(caught.value, "stuck")


def test_an_error_in_an_argument_is_the_error_of_the_call(ray: Any) -> None:
    @ray.remote
    def fail() -> None:
        raise ZeroDivisionError

    @ray.remote
    def use(value: Any) -> Any:
        return value

    with pytest.raises(ZeroDivisionError):
        ray.get(use.remote(use.remote(fail.remote())))


def _tries(path: str) -> int:
    """How often this was called for this file."""
    with Path(path).open("a") as file:
        file.write("x")
    return Path(path).stat().st_size


def test_a_task_whose_process_dies_is_tried_again(ray: Any, tmp_path: Path) -> None:
    @ray.remote(max_retries=2)
    def die_twice(path: str) -> int:
        tries = _tries(path)
        if tries < 3:
            os.kill(os.getpid(), signal.SIGKILL)
        return tries

    assert ray.get(die_twice.remote(str(tmp_path / "tries"))) == 3


def test_a_task_whose_process_dies_too_often_says_how(ray: Any) -> None:
    @ray.remote(max_retries=0)
    def die() -> None:
        print("last words", flush=True)
        os.kill(os.getpid(), signal.SIGSEGV)

    with pytest.raises(WorkerCrashedError, match=r"(?s)task die.*SIGSEGV.*last words"):
        ray.get(die.remote())


@pytest.mark.parametrize("retried", [True, [OSError]])
def test_an_exception_is_tried_again_where_that_is_asked_for(ray: Any, tmp_path: Path, retried: Any) -> None:
    @ray.remote(max_retries=5, retry_exceptions=retried)
    def fail_twice(path: str) -> int:
        tries = _tries(path)
        if tries < 3:
            raise OSError("not yet")
        return tries

    assert ray.get(fail_twice.remote(str(tmp_path / "tries"))) == 3


def test_other_exceptions_are_not_tried_again(ray: Any, tmp_path: Path) -> None:
    @ray.remote(max_retries=5, retry_exceptions=[OSError])
    def fail(path: str) -> None:
        raise ValueError(f"try {_tries(path)}")

    with pytest.raises(ValueError, match="try 1"):
        ray.get(fail.remote(str(tmp_path / "tries")))


def test_a_task_that_asks_for_more_than_there_is_is_refused_at_once(ray: Any) -> None:
    with pytest.raises(InfeasibleRequestError, match=r"cpu 100.*96 cpu missing"):
        ray.remote(num_cpus=100)(os.getpid).remote()


def test_options_that_there_are_none_of_are_named_all_at_once(ray: Any) -> None:
    with pytest.raises(ValueError, match=r"'num_cpu' \(meant 'num_cpus'\?\), 'max_restarts' \(it is one of actors\)"):
        ray.remote(num_cpu=1, max_restarts=2)(os.getpid)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"num_cpus": -1}, "'cpu' must be a number of at least 0"),
        ({"num_gpus": 1.5}, "whole ones"),
        ({"num_returns": "many"}, "num_returns must be"),
        ({"max_retries": 1.5}, "max_retries must be a whole number"),
        ({"resources": {"CPU": 1}}, "give CPU as num_cpus"),
        ({"retry_exceptions": "all"}, "retry_exceptions must be"),
        ({"runtime_env": {"pip": ["numpy"]}}, "runtime_env has no 'pip'"),
        ({"scheduling_strategy": "FAST"}, "scheduling_strategy must be"),
    ],
)
def test_options_are_checked_when_they_are_given(ray: Any, options: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        ray.remote(**options)(os.getpid)


def test_a_group_of_exceptions_keeps_its_class_and_its_members_whatever_is_in_them(ray: Any) -> None:
    class FailuresError(ExceptionGroup):
        pass

    class OddError(Exception):
        def __init__(self, first: Any, second: Any) -> None:
            super().__init__("odd", second)
            self.first = first

    @ray.remote
    def fails() -> None:
        inner = BaseExceptionGroup("inner", [KeyError("k"), KeyboardInterrupt()])
        group = FailuresError("outer", [OddError(1, threading.Lock()), ValueError("v")])
        group.at = "noon"
        raise BaseExceptionGroup("all", [group, inner])

    with pytest.raises(BaseExceptionGroup, match="all") as caught:
        ray.get(fails.remote())
    outer, inner = caught.value.exceptions
    assert isinstance(outer, FailuresError)
    assert (outer.message, outer.at) == ("outer", "noon")  # type: ignore[attr-defined]
    odd, value = outer.exceptions
    assert isinstance(odd, OddError)
    assert odd.args[0] == "odd"
    assert "lock" in odd.args[1]
    assert repr(value) == "ValueError('v')"
    assert isinstance(inner, BaseExceptionGroup)
    assert [type(error) for error in inner.exceptions] == [KeyError, KeyboardInterrupt]
    assert "in fails" in str(caught.value.__cause__)
    assert value.__cause__ is None  # its traceback stands in the group's


def test_what_cannot_be_sent_is_named(ray: Any) -> None:
    lock = threading.Lock()

    @ray.remote
    def use() -> Any:
        return lock

    with pytest.raises(ProgramNotPicklableError, match="`use`.*`lock`"):
        use.remote()
    with pytest.raises(TypeError, match="lock"):
        ray.remote(id).remote(lock)


def test_a_returned_value_that_cannot_be_sent_is_named(ray: Any) -> None:
    @ray.remote
    def use() -> Any:
        return {"guard": threading.Lock()}

    with pytest.raises(TypeError, match="`guard`.*lock"):
        ray.get(use.remote())


def test_calling_a_remote_function_directly_says_what_to_do(ray: Any) -> None:
    @ray.remote
    def here() -> None:
        pass

    with pytest.raises(TypeError, match=r"call here\.remote"):
        here()


def test_get_gives_up_after_its_timeout_and_may_be_asked_again(ray: Any, tmp_path: Path) -> None:
    go = Signal(tmp_path, "go")

    @ray.remote
    def wait() -> str:
        go.wait()
        return "done"

    ref = wait.remote()
    began = time.monotonic()
    with pytest.raises(GetTimeoutError, match="0 of 1 values were there"):
        ray.get(ref, timeout=0.05)
    assert time.monotonic() - began < 5
    with pytest.raises(TimeoutError):
        ray.get(ref, timeout=0)
    go.set()
    assert ray.get(ref) == "done"


def test_wait_tells_what_is_there_and_what_is_not(ray: Any, tmp_path: Path) -> None:
    go = Signal(tmp_path, "go")

    @ray.remote
    def task(kind: str) -> str:
        if kind == "slow":
            go.wait()
        return kind

    slow, quick = task.remote("slow"), task.remote("quick")
    assert ray.wait([slow, quick]) == ([quick], [slow])
    assert ray.wait([slow, quick], num_returns=2, timeout=0.05) == ([quick], [slow])
    go.set()
    assert ray.wait([slow, quick], num_returns=2) == ([slow, quick], [])
    assert ray.wait([slow, quick], num_returns=1) == ([slow], [quick])


@pytest.mark.parametrize(("count", "text"), [(0, "num_returns must be 1"), (3, "num_returns must be 1")])
def test_wait_refuses_what_it_cannot_do(ray: Any, count: int, text: str) -> None:
    ref = ray.put(1)
    with pytest.raises(ValueError, match=text):
        ray.wait([ref, ray.put(2)], num_returns=count)
    with pytest.raises(ValueError, match="given twice"):
        ray.wait([ref, ref])
    with pytest.raises(TypeError, match="takes references"):
        ray.wait([1])


def test_as_completed_gives_each_as_soon_as_it_is_there(ray: Any, tmp_path: Path) -> None:
    signals = [Signal(tmp_path, str(i)) for i in range(3)]

    @ray.remote
    def task(i: int) -> int:
        signals[i].wait()
        return i

    refs = [task.remote(i) for i in range(3)]
    order = []
    signals[2].set()
    for ref in ray.as_completed(refs):
        order.append(ray.get(ref))
        if len(order) < 3:
            signals[{1: 0, 2: 1}[len(order)]].set()
    assert order == [2, 0, 1]


def test_the_results_of_short_tasks_do_not_wait_for_a_long_one_behind_them(ray: Any, tmp_path: Path) -> None:
    go = Signal(tmp_path, "go")

    @ray.remote(num_cpus=4)
    def task(kind: str) -> str:
        if kind == "long":
            go.wait()
        return kind

    ray.get([task.remote("short") for _ in range(300)])
    refs = [task.remote(kind) for kind in ["short"] * 20 + ["long"] + ["short"] * 20]
    assert ray.get(refs[:20], timeout=20) == ["short"] * 20
    assert ray.wait([refs[20]], timeout=0)[0] == []
    go.set()
    assert ray.get(refs) == ["short"] * 20 + ["long"] + ["short"] * 20


def test_a_task_that_needs_the_result_of_one_just_before_it_has_it(ray: Any) -> None:
    @ray.remote(num_cpus=4)
    def first() -> int:
        return 1

    @ray.remote(num_cpus=4)
    def second(refs: list[Any]) -> int:
        import executor

        return int(executor.get(refs[0])) + 1

    for _ in range(30):
        ref = first.remote()
        assert ray.get([second.remote([ref]) for _ in range(20)]) == [2] * 20


def test_warm_workers_are_used_again(ray: Any) -> None:
    pid = ray.remote(num_cpus=4)(os.getpid)
    assert len({ray.get(pid.remote()) for _ in range(20)}) == 1


def test_a_task_may_submit_tasks_that_outlive_it(ray: Any) -> None:
    @ray.remote
    def leaf() -> str:
        return "leaf"

    @ray.remote
    def parent() -> Any:
        return [leaf.remote() for _ in range(3)]

    assert ray.get(ray.get(parent.remote())) == ["leaf"] * 3


def test_a_lambda_a_closure_and_a_local_class_travel(ray: Any) -> None:
    base = 10

    class Point:
        def __init__(self, x: int) -> None:
            self.x = x

    point = ray.get(ray.remote(lambda x: Point(x + base)).remote(1))
    assert isinstance(point, Point)
    assert point.x == 11


# Cancelling.


def test_a_task_that_has_not_begun_never_does_when_it_is_cancelled(ray: Any, tmp_path: Path) -> None:
    go, ran = Signal(tmp_path, "go"), tmp_path / "ran"

    @ray.remote(num_cpus=4)
    def first() -> None:
        go.wait()

    @ray.remote(num_cpus=4)
    def second() -> None:
        ran.touch()

    holding, waiting = first.remote(), second.remote()
    ray.cancel(waiting)
    with pytest.raises(TaskCancelledError, match="second was cancelled"):
        ray.get(waiting)
    go.set()
    ray.get(holding)
    assert ray.get(ray.remote(num_cpus=4)(ran.exists).remote()) is False


def test_a_task_that_runs_is_interrupted_when_it_is_cancelled(ray: Any, tmp_path: Path) -> None:
    begun, cleaned = Signal(tmp_path, "begun"), Signal(tmp_path, "cleaned")

    @ray.remote
    def task() -> None:
        try:
            begun.set()
            time.sleep(60)
        finally:
            cleaned.set()

    ref = task.remote()
    begun.wait()
    ray.cancel(ref)
    with pytest.raises(TaskCancelledError):
        ray.get(ref)
    cleaned.wait()


def test_a_task_that_waits_for_another_is_cancelled_together_with_it(ray: Any, tmp_path: Path) -> None:
    begun, ended = Signal(tmp_path, "begun"), Signal(tmp_path, "ended")

    @ray.remote
    def child() -> None:
        try:
            begun.set()
            time.sleep(60)
        finally:
            ended.set()

    @ray.remote
    def parent() -> None:
        import executor

        executor.get(child.remote())

    ref = parent.remote()
    begun.wait()
    ray.cancel(ref)
    with pytest.raises(TaskCancelledError):
        ray.get(ref)
    ended.wait()


def test_a_task_that_does_not_heed_is_ended_by_force(ray: Any, tmp_path: Path) -> None:
    begun = Signal(tmp_path, "begun")

    @ray.remote
    def task() -> None:
        begun.set()
        while True:
            try:
                time.sleep(60)
            except KeyboardInterrupt:
                pass

    for options in ({"force": True}, {"grace": 0.1}):
        ref = task.remote()
        begun.wait()
        ray.cancel(ref, **options)
        with pytest.raises(TaskCancelledError):
            ray.get(ref, timeout=10)


def test_cancelling_what_has_ended_does_nothing(ray: Any) -> None:
    ref = ray.remote(os.getpid).remote()
    ray.get(ref)
    ray.cancel(ref)
    assert ray.get(ref) != os.getpid()


def test_a_worker_goes_on_after_a_cancelled_task(ray: Any, tmp_path: Path) -> None:
    begun = Signal(tmp_path, "begun")

    @ray.remote(num_cpus=4)
    def task(sleep_s: float) -> int:
        begun.set()
        time.sleep(sleep_s)
        return os.getpid()

    pid = ray.get(task.remote(0))
    begun.wait()
    for _ in range(10):
        ref = task.remote(60)
        begun.wait()
        ray.cancel(ref)
        with pytest.raises(TaskCancelledError):
            ray.get(ref)
    assert ray.get(task.remote(0)) == pid
    begun.wait()


def test_calls_with_options_of_their_own_leave_nothing_behind(ray: Any) -> None:
    @ray.remote
    def nothing() -> None:
        return None

    tasks = existing().hub.tasks
    ray.get([nothing.options(name=f"call {number}").remote() for number in range(1500)])
    assert len(tasks._lines._of_plan) < 1500


def test_a_process_leaves_after_as_many_calls_as_it_may_run(ray: Any) -> None:
    where = ray.remote(max_calls=3)(os.getpid)
    pids = ray.get([where.remote() for _ in range(12)])
    assert all(pids.count(pid) <= 3 for pid in pids)


def test_tasks_of_different_needs_take_turns_in_the_same_processes(ray: Any) -> None:
    small, large = ray.remote(os.getpid), ray.remote(num_cpus=4)(os.getpid)
    pids = {ray.get(one.remote()) for _ in range(10) for one in (small, large)}
    assert len(pids) <= 5  # one with four threads, and at most four with one
