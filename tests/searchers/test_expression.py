"""Conditions written as text: what they mean, and that they can do nothing but compare."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from searchers.expression import Expression

CONFIG: dict[str, Any] = {
    "a": 2,
    "b": 5.0,
    "name": "adam",
    "flag": True,
    "none": None,
    "layers": [8, {"width": 4}],
    "model": {"kind": "svm", "C": 10},
    "learning-rate": 0.1,
}


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("a <= b", True),
        ("a * 3 - 1 == b", True),
        ("a + b < 7", False),
        ("1 < a < b <= 5", True),
        ("1 < a < b < 5", False),
        ("-a ** 2 == -4 and b // a == 2 and b % a == 1 and b / a == 2.5", True),
        ("not a > b", True),
        ("a > b or name == 'adam'", True),
        ("name in ('adam', 'sgd')", True),
        ("name not in ['adam', 'sgd']", False),
        ("flag == True and none == None", True),
        ("layers[0] > layers[1].width", True),
        ("layers[1]['width'] == 4", True),
        ("model.kind != 'svm' or model.C < 10", False),
        ("config['learning-rate'] < 1", True),
        ("model.gamma < 0", True),  # absent: nothing is asked of it
        ("name.lower < 0", True),
        ("a.__class__ == 0", True),
        ("layers[7] < 0", True),
    ],
)
def test_a_condition_means_what_it_says(text: str, holds: bool) -> None:
    assert Expression(text).holds(CONFIG) is holds


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a", "'a' is no condition: compare something"),
        ("a + b", "is no condition"),
        ("-a", "is no condition"),
        ("a <", "cannot be read: invalid syntax"),
        ("a := 3", "cannot be read"),
        ("len(layers) < 3", "'len(layers) < 3' has 'len(layers)', which no condition may have"),
        ("a is b", "has 'is'"),
        ("~a < 1", "has '~'"),
        ("a & b == 1", "has 'a & b'"),
        ("[x for x in layers] == 1", "has '[x for x in layers]'"),
        ("(lambda: 1) == a", "has 'lambda: 1'"),
        ("f'{a}' == '2'", "which no condition may have"),
        ("layers[a] == 1", "has 'layers[a]'"),
        ("(1).real == 1", "has '1 .real'"),
        ("'x'[0] == 'x'", "has \"'x'[0]\""),
        ("a < 1j", "has '1j'"),
        ("a < " + "1" * 2000, "is longer than 1000 characters"),
        ("a < " + "(" * 400 + "1" + ")" * 400, "cannot be read"),
    ],
)
def test_whatever_else_is_refused_when_it_is_written(text: str, said: str) -> None:
    with pytest.raises(ValueError) as raised:  # noqa: PT011 - the message is compared below
        Expression(text)
    assert said in str(raised.value)


def test_what_does_not_go_together_is_said() -> None:
    with pytest.raises(TypeError, match="name is 'adam', and only numbers can be computed with"):
        Expression("name * 1000000 == 3").holds(CONFIG)
    with pytest.raises(OverflowError):
        Expression("9 ** 9 ** 9 ** 9 > 1").holds(CONFIG)


def test_an_expression_names_what_it_reads() -> None:
    expression = Expression("a < layers[1].width or config['x-y'] in (a, model.C)")
    assert list(expression.names) == [("a",), ("layers", 1, "width"), ("config", "x-y"), ("a",), ("model", "C")]


@given(a=st.integers(-50, 50), b=st.integers(-50, 50), text=st.sampled_from(["a <= b", "a + 2 * b != 3 or not a > 4"]))
def test_a_condition_means_what_python_means(a: int, b: int, text: str) -> None:
    assert Expression(text).holds({"a": a, "b": b}) == eval(text, {"a": a, "b": b})


@given(st.text(max_size=30))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        Expression(text)
    except ValueError:
        return
