"""Tables of recorded curves: which column is what, and what is said when that cannot be found out."""

from __future__ import annotations

from pathlib import Path

import pytest

import tune
from searchers.choices import Choice
from searchers.domain import Float, Integer
from tests.tune.recorded import EPOCHS, table


def refusal(frame: object, **columns: object) -> str:
    with pytest.raises(tune.InvalidArgumentError) as caught:
        tune.Curves(frame, **columns)  # type: ignore[arg-type]
    return str(caught.value)


def test_columns_that_never_change_within_a_configuration_are_its_hyperparameters() -> None:
    curves = tune.Curves(table())
    assert curves.hyperparameters == ["lr", "width", "solver"]
    assert curves.metrics == ["accuracy", "loss"]
    assert len(curves) == 30
    first, last = curves.curve(curves.configs[3])[0], curves.curve(curves.configs[3])[-1]
    assert first == ({"epoch": 1, "accuracy": 0.05, "loss": 0.95}, 1.0)
    assert last[0]["epoch"] == EPOCHS


def test_a_column_that_spans_decades_is_logarithmic() -> None:
    space = tune.Curves(table()).space
    assert isinstance(space["lr"], Float)
    assert space["lr"].log
    assert space["width"] == Integer(8, 37)
    assert space["solver"] == Choice(("adam", "sgd"))


def test_a_table_is_read_from_a_file_as_from_a_frame(tmp_path: Path) -> None:
    table().to_csv(tmp_path / "curves.csv.gz", index=False)
    there, here = tune.Curves(tmp_path / "curves.csv.gz"), tune.Curves(table())
    assert [one["width"] for one in there.configs] == [one["width"] for one in here.configs]
    assert there.space.keys() == here.space.keys()


def test_columns_of_other_names_can_be_named() -> None:
    frame = table().rename(columns={"config": "run", "epoch": "budget", "seconds": "took"})
    assert "config" in refusal(frame)
    curves = tune.Curves(frame, config="run", epoch="budget", seconds="took")
    assert len(curves) == 30


def test_seconds_may_be_one_number_for_all_epochs() -> None:
    curves = tune.Curves(table().drop(columns="seconds"), seconds=0.5)
    assert {seconds for _, seconds in curves.curve(curves.configs[0])} == {0.5}


def test_all_that_is_missing_is_said_at_once() -> None:
    told = refusal(table().drop(columns=["epoch", "seconds"]), hyperparameters=["lrr"])
    assert "no column is called 'epoch'" in told
    assert "no column is called 'seconds'" in told
    assert "'lrr' is no column of the table; did you mean 'lr'?" in told


def test_two_rows_of_one_epoch_are_refused() -> None:
    import pandas as pd

    assert "two rows of one epoch" in refusal(pd.concat([table(3), table(3)]))


def test_configurations_that_cannot_be_told_apart_are_refused() -> None:
    told = refusal(table()[["config", "epoch", "accuracy", "seconds", "solver"]])
    assert "number 0 and 2 have the same hyperparameters {'solver': 'adam'}" in told


def test_a_metric_is_no_hyperparameter() -> None:
    assert "'accuracy' changes within a configuration" in refusal(table(), hyperparameters=["lr", "width", "accuracy"])


def test_a_file_that_is_not_there_is_named() -> None:
    assert "there is no table 'nowhere.csv'" in refusal("nowhere.csv")


def test_a_metric_that_is_not_there_is_named_with_the_nearest() -> None:
    with pytest.raises(tune.InvalidArgumentError, match="no metric 'acuracy'; did you mean 'accuracy'"):
        tune.simulate(table(), metric="acuracy", mode="max")
