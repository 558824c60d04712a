"""What a space looks like to its author."""

from __future__ import annotations

from typing import Any

import pytest
import scipy.stats

from searchers import (
    choice,
    constrained,
    describe,
    finrange,
    grid_search,
    lognormal,
    loguniform,
    ordinal,
    qrandint,
    quniform,
    randint,
    reverseloguniform,
    sample_from,
    uniform,
)
from searchers.parameters import count
from searchers.stepped import Stepped
from tests.naming import plain

SPACE = {
    "epochs": 3,
    "lr": loguniform(1e-5, 1e-1),
    "model": {"depth": randint(1, 4), "widths": [qrandint(16, 128, 16), 10]},
    "heads": sample_from(len),
    "optimizer": choice([{"name": "sgd", "m": reverseloguniform(0, 0.999)}, {"name": "adam"}]),
    "act": grid_search(["relu", "tanh"]),
}


def test_a_description_is_a_table_of_the_parameters() -> None:
    rows = [
        "parameter kind range scale values condition",
        "lr real 1e-05 to 0.1 log",
        "model/depth whole 1 to 3 linear 3",
        "model/widths/0 whole 16 to 128, steps of 16 linear 8",
        "heads function len",
        "optimizer choice {name: 'sgd', m: ...}, {name: 'adam'} 2",
        "optimizer[0]/m real 0 to 0.999 reverse log optimizer is {name: 'sgd', m: ...}",
        "act grid 'relu', 'tanh' 2",
    ]
    notes = ["fixed: epochs = 3, model/widths/1 = 10", "constraint: 'lr < 0.05'"]
    shown = str(describe(constrained(SPACE, "lr < 0.05"))).splitlines()
    assert [" ".join(line.split()) for line in shown[:1] + shown[2:-2]] == rows
    assert shown[-2:] == notes
    assert shown[1].replace("-", "").strip() == ""
    assert {line.index(word) for line, word in zip(shown[2:5], ("log", "linear", "linear"), strict=True)} == {
        shown[0].index("scale")
    }


@pytest.mark.parametrize(
    ("domain", "kind", "range_", "scale", "values"),
    [
        (quniform(0, 1, 0.25), "real", "0 to 1, steps of 0.25", "linear", "5"),
        (finrange(0, 1, 3), "real", "0, 0.5, 1", "linear", "3"),
        (ordinal(["s", "m"]), "ordinal", "'s' < 'm'", "in order", "2"),
        (lognormal(0, 1), "real", "mean 0, sd 1", "log-normal", ""),
        (Stepped(1, 8, 3), "whole", "1 to 7, steps of 3", "linear", "3"),
        (randint(0, 10_000), "whole", "0 to 9999", "linear", "10,000"),
        (scipy.stats.beta(2, 5), "distribution", "scipy.stats.beta(a=2, b=5)", "", ""),
        (choice([None, 1e-3, "a" * 90]), "choice", f"None, 0.001, '{'a' * 26}...", "", "3"),
    ],
    ids=plain,
)
def test_each_kind_of_domain_in_words(domain: Any, kind: str, range_: str, scale: str, values: str) -> None:
    (row,) = describe({"x": domain}).rows
    assert (row.kind, row.range, row.scale, row.values) == (kind, range_, scale, values)


def test_configurations_are_counted_where_they_can_be() -> None:
    deep = choice([{"b": choice([{"c": choice([1, {"d": randint(0, 5)}])}, 2])}, 3, {"n": ordinal([1, 2])}])
    assert count({"m": deep}) == ((1 + 5) + 1) + 1 + 2
    assert count({"a": randint(0, 4), "b": [grid_search([1, {"x": finrange(0, 1, 11)}]), 7]}) == 4 * 12
    assert count({"a": randint(0, 4), "x": uniform(0, 1)}) is None
    assert describe({"a": randint(0, 4), "m": deep}).notes == ["40 configurations"]
    assert describe(constrained({"a": randint(0, 4)}, "a > 2")).notes[-1] == "at most 4 configurations"
    assert describe({"a": 3}).notes == ["fixed: a = 3"]


def test_a_notebook_gets_the_same_as_html() -> None:
    html = describe({"x": choice(["<b>", 1]), "y": 2})._repr_html_()
    assert html.startswith("<table>")
    assert "&lt;b&gt;" in html
    assert "<b>" not in html
    assert "<div>fixed: y = 2</div>" in html
    assert html.count("<tr>") == 2


def test_a_function_is_described_as_one() -> None:
    assert str(describe(lambda trial: None)) == "a function asks for its parameters, trial by trial"


def test_a_space_with_mistakes_is_not_described() -> None:
    with pytest.raises(ValueError, match="nothing to try"):
        describe({"x": {"grid_search": []}})
    with pytest.raises(TypeError, match="a search space is a dictionary"):
        describe(3)  # type: ignore[arg-type]
