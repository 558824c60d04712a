"""Two machines that share no storage: checkpoints travel to where the experiment is run, and from there."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import tune
from schedulers import PopulationBasedTraining
from tests.faults.cluster import Cluster
from tests.tune.trainables import iterations, saving, steps_done
from tune.storage import manifest

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("unshare") is None, reason="hides directories from processes"
)


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory that experiments are in."""
    return tmp_path_factory.mktemp("out")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory, out: Path) -> Iterator[Cluster]:
    """Two nodes of one cpu each, neither of which sees what is in `out`."""
    cluster = Cluster(tmp_path_factory.mktemp("state"))
    try:
        for name in ("a", "b"):
            cluster.join(name, hides=out)
        yield cluster
    finally:
        cluster.close()


@pytest.fixture
def go(cluster: Cluster, out: Path) -> Callable[..., tune.ResultGrid]:
    def go(trainable, name: str, xs: list[int], **settings) -> tune.ResultGrid:
        config = {"x": tune.grid_search(xs), "home": str(out / name)}
        where = {"storage_path": out, "name": name, "executor": cluster.address}
        return tune.run(trainable, config=config, **where, metric="score", mode="max", verbose=0, **settings)

    return go


def counted(config) -> None:
    """Count to 6, telling of the experiment's directory and of the node; the first attempt of ``t0`` dies at 4."""
    context = tune.get_context()
    blind = not Path(config["home"]).exists()
    for step in range(steps_done() + 1, 7):
        if step == 4 and context.get_trial_id() == "t0" and context.get_attempt() == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        tune.report({"step": step, "score": step * config["x"], "blind": blind}, checkpoint=saving(step))


def assert_whole(results: tune.ResultGrid) -> None:
    for one in results:
        assert list(one.metrics_dataframe["step"]) == iterations(one) == list(range(1, len(iterations(one)) + 1))
        assert set(one.metrics_dataframe["blind"]) == {True}
        for checkpoint, metrics in one.best_checkpoints:
            manifest.verify(Path(checkpoint.path))
            assert int(Path(checkpoint.path, "step").read_text()) == metrics["step"]


@pytest.mark.parametrize("asynchronous", [False, True], ids=["at once", "aside"])
def test_a_trial_whose_process_dies_goes_on_from_its_checkpoint(go, out: Path, asynchronous: bool) -> None:
    name = "aside" if asynchronous else "at-once"
    keep = tune.CheckpointConfig(asynchronous=asynchronous)
    results = go(counted, name, [1, 2], max_failures=1, checkpoint_config=keep)

    assert_whole(results)
    assert [(one.attempts, len(iterations(one))) for one in results] == [(2, 6), (1, 6)]
    kept = sorted(path.name for path in (out / name / "checkpoints" / "t0").iterdir())
    assert kept == ["000005-2", "000006-2"]


def test_a_population_pauses_and_copies_across_the_machines(go) -> None:
    population = PopulationBasedTraining(
        time_attr="training_iteration", perturbation_interval=2, hyperparam_mutations={"x": [1, 2, 3]}, synch=True
    )
    results = go(counted, "population", [1, 2, 3], scheduler=population, max_failures=1, seed=1)

    assert_whole(results)
    assert [len(iterations(one)) for one in results] == [6, 6, 6]
    assert any(len(one.lineage()) > 1 for one in results)
