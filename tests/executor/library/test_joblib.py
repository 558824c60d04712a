"""joblib and scikit-learn on the executor: what loky gives, our workers give."""

from __future__ import annotations

import concurrent.futures
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from joblib import Parallel, delayed, parallel_config
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.datasets import make_classification
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.tree import DecisionTreeClassifier

import executor
from executor.errors import WorkerCrashedError
from executor.util.joblib import ExecutorBackend, register_ray
from tests.executor.library.events import Signal

X, y = make_classification(300, 10, random_state=0)


class Odd(Exception):  # noqa: N818
    pass


class Failing(ClassifierMixin, BaseEstimator):
    """Cannot be fitted."""

    def fit(self, X: Any, y: Any) -> Failing:  # noqa: N803
        raise Odd("no fit")


@pytest.fixture(autouse=True)
def _open(ray: Any) -> None:
    register_ray()


@pytest.fixture(params=["loky", "executor"])
def backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def seen(array: Any, index: int) -> tuple[float, bool, int]:
    return float(array[index]), bool(array.flags.writeable), os.getpid()


def odd_at_three(number: int) -> int:
    if number == 3:
        raise Odd(f"at {number}")
    return number


def nested(number: int) -> tuple[str, list[int]]:
    from joblib.parallel import get_active_backend

    kind = type(get_active_backend()[0]).__name__
    return kind, Parallel(n_jobs=2)(delayed(abs)(-n) for n in range(number))


def threads() -> str:
    return os.environ["OMP_NUM_THREADS"]


def zeros(count: int) -> Any:
    return np.zeros(count)


def searched(backend: str) -> Any:
    with parallel_config(backend=backend, n_jobs=2):
        search = GridSearchCV(DecisionTreeClassifier(random_state=0), {"max_depth": [1, 2, 5]}, cv=3, n_jobs=-1)
        return search.fit(X, y)


def test_a_grid_search_finds_what_it_finds_with_loky() -> None:
    ours, theirs = searched("executor"), searched("loky")
    assert ours.best_params_ == theirs.best_params_
    for name in ("mean_test_score", "std_test_score", "rank_test_score"):
        np.testing.assert_array_equal(ours.cv_results_[name], theirs.cv_results_[name])


def test_cross_validation_scores_as_with_loky() -> None:
    scores = []
    for backend in ("executor", "loky"):
        with parallel_config(backend=backend, n_jobs=2):
            scores.append(cross_val_score(LogisticRegression(max_iter=50), X, y, cv=4, n_jobs=-1))
    np.testing.assert_array_equal(*scores)


def test_an_error_in_a_fit_comes_out(backend: str) -> None:
    with parallel_config(backend=backend, n_jobs=2), pytest.raises(Odd, match="no fit"):
        cross_val_score(Failing(), X, y, n_jobs=2, error_score="raise")


def test_an_error_in_a_call_comes_out_and_the_next_call_works(backend: str) -> None:
    with parallel_config(backend=backend, n_jobs=2):
        with pytest.raises(Odd, match="at 3"):
            Parallel()(delayed(odd_at_three)(n) for n in range(100))
        assert Parallel()(delayed(abs)(n) for n in range(20)) == list(range(20))


class Prompt(ExecutorBackend):
    """Each batch has ended when it was sent, so that an error comes while there are more to be sent."""

    def submit(self, func: Any, callback: Any = None) -> Any:
        future = super().submit(func)
        concurrent.futures.wait([future])
        callback(future)
        return future


@pytest.mark.parametrize("name", ["executor", "prompt"])
def test_a_managed_parallel_works_again_after_an_error(name: str) -> None:  # with loky it may carry over a result
    joblib.register_parallel_backend("prompt", Prompt)
    with Parallel(n_jobs=2, backend=name) as parallel:
        for _ in range(3):
            with pytest.raises(Odd):
                parallel(delayed(odd_at_three)(n) for n in (3, 1, 2))
            assert parallel(delayed(abs)(n) for n in range(10)) == list(range(10))


def test_nothing_is_told_of_a_batch_any_more_once_all_was_aborted(ray: Any, tmp_path: Path) -> None:
    begun = Signal(tmp_path, "begun")

    def batch() -> list[int]:
        begun.set()
        Signal(tmp_path, "never").wait()
        return [1]

    told: list[Any] = []
    with Parallel(n_jobs=2, backend="executor") as parallel:
        backend = parallel._backend
        futures = [backend.submit(batch, told.append) for _ in range(9)]
        begun.wait()
        backend.abort_everything(ensure_ready=True)
        assert [future.done() for future in futures] == [True] * 9
        assert len(told) == 9


def test_large_arrays_are_read_only_and_small_ones_are_not(backend: str) -> None:
    large, small = np.arange(200_000.0), np.arange(10.0)
    with parallel_config(backend=backend, n_jobs=2):
        found = Parallel()(delayed(seen)(array, 5) for array in (large, small))
        copied = Parallel(max_nbytes=None)(delayed(seen)(large, 5) for _ in range(2))
    assert [(value, writeable) for value, writeable, _ in found] == [(5.0, False), (5.0, True)]
    assert [writeable for _, writeable, _ in copied] == [True, True]


def test_results_can_be_written_to(backend: str) -> None:
    with parallel_config(backend=backend, n_jobs=2):
        assert all(array.flags.writeable for array in Parallel()(delayed(zeros)(200_000) for _ in range(2)))


def test_a_large_array_is_sent_once(ray: Any) -> None:
    large = np.arange(200_000.0)
    backend = ExecutorBackend(nesting_level=0)
    backend.configure(2, parallel=None, max_nbytes=10**6)
    packed = [backend._arrays.pack(lambda: [large, {"x": large}]) for _ in range(3)]
    assert len({ref for _, *refs in packed for ref in refs}) == 1
    assert all(len(body) < 10_000 for body, *_ in packed)
    backend.terminate()


def test_a_call_inside_a_call_uses_threads(backend: str) -> None:
    with parallel_config(backend=backend, n_jobs=2):
        assert Parallel()(delayed(nested)(3) for _ in range(2)) == [("ThreadingBackend", [0, 1, 2])] * 2


def test_libraries_are_held_to_so_many_threads(backend: str) -> None:
    with parallel_config(backend=backend, n_jobs=2, inner_max_num_threads=3):
        assert set(Parallel()(delayed(threads)() for _ in range(4))) == {"3"}


def test_results_can_be_taken_as_they_come(backend: str) -> None:
    with parallel_config(backend=backend, n_jobs=2):
        assert list(Parallel(return_as="generator")(delayed(abs)(n) for n in range(9))) == list(range(9))
        assert sorted(Parallel(return_as="generator_unordered")(delayed(abs)(n) for n in range(9))) == list(range(9))


def test_functions_need_not_be_importable(backend: str) -> None:
    with parallel_config(backend=backend, n_jobs=2):
        assert Parallel()(delayed(lambda n: n + 1)(n) for n in range(5)) == [1, 2, 3, 4, 5]


def test_minus_one_means_all_cpus_of_the_executor() -> None:
    with parallel_config(backend="executor"):
        assert joblib.effective_n_jobs(-1) == 4
        assert joblib.effective_n_jobs(-2) == 3
        assert joblib.effective_n_jobs(3) == 3
        with pytest.raises(ValueError, match="n_jobs == 0 in Parallel has no meaning"):
            Parallel(n_jobs=0)(delayed(abs)(n) for n in range(2))


def test_one_job_runs_here() -> None:
    with parallel_config(backend="executor", n_jobs=1):
        assert Parallel()(delayed(seen)(np.zeros(1), 0) for _ in range(2)) == [(0.0, True, os.getpid())] * 2


def test_a_call_whose_process_dies_says_so() -> None:
    with parallel_config(backend="executor", n_jobs=2), pytest.raises(WorkerCrashedError):
        Parallel()(delayed(os._exit)(3) for _ in range(2))


def test_rays_name_works() -> None:
    with parallel_config(backend="ray", n_jobs=2):
        assert Parallel()(delayed(abs)(n) for n in range(3)) == [0, 1, 2]


@pytest.mark.parametrize(
    "lines",
    [
        "import joblib, executor; executor.init(num_cpus=2)",  # joblib was there when the executor was opened
        "import executor, joblib; executor.register_joblib()",
    ],
)
def test_joblib_knows_the_backend(lines: str) -> None:
    program = f"{lines}\nprint(joblib.Parallel(backend='executor', n_jobs=2)(joblib.delayed(abs)(n) for n in (-1, -2)))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "[1, 2]\n"


def test_a_search_inside_a_task_finds_its_room(ray: Any) -> None:
    @ray.remote(num_cpus=4)
    def outer() -> Any:
        executor.register_joblib()
        return searched("executor").best_params_

    assert ray.get(outer.remote(), timeout=60) == searched("loky").best_params_
