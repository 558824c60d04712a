"""The arithmetic is exact, and refuses what is no amount."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from executor.resources import Request, Resources, shown

amounts = st.dictionaries(
    st.sampled_from(["cpu", "gpu", "memory", "licence"]),
    st.integers(0, 10**12).map(lambda units: units / 10_000),
    max_size=4,
)
some = amounts.map(Resources.of)


@given(some, some)
def test_adding_and_taking_away_undo_each_other(one: Resources, other: Resources) -> None:
    assert (one + other) - other == one
    assert one + other == other + one
    assert other.fits(one + other)


@given(some, some)
def test_taking_away_works_exactly_when_it_fits(one: Resources, other: Resources) -> None:
    if other.fits(one):
        assert (one - other) + other == one
    else:
        with pytest.raises(ValueError, match="does not fit"):
            one - other


@given(amounts)
def test_amounts_come_back_as_they_were_given(given_: dict[str, float]) -> None:
    resources = Resources.of(given_)
    assert resources.as_dict() == {kind: amount for kind, amount in given_.items() if amount}
    assert all(resources[kind] == amount for kind, amount in given_.items())
    assert list(resources) == sorted(resources.as_dict())
    assert hash(resources) == hash(Resources.of(given_))


def test_ten_tenths_are_one() -> None:
    assert sum([Resources.of(cpu=0.1)] * 10, Resources()) == Resources.of(cpu=1)


def test_kinds_with_nothing_are_left_out() -> None:
    assert Resources.of(cpu=0, gpu=1) == Resources.of(gpu=1)
    assert not Resources.of(cpu=0)
    assert Resources.of(gpu=1)["cpu"] == 0


def test_upper_case_names_mean_the_same() -> None:
    assert Resources.of({"CPU": 1, "GPU": 2}, cpu=1) == Resources.of(cpu=2, gpu=2)


@pytest.mark.parametrize("amount", [-1, float("nan"), float("inf"), True, "2", None])
def test_what_is_no_amount_is_refused_by_name(amount: object) -> None:
    with pytest.raises(ValueError, match="'gpu'"):
        Resources.of({"gpu": amount})  # type: ignore[dict-item]


@pytest.mark.parametrize(
    ("resources", "text"),
    [
        (Resources(), "nothing"),
        (Resources.of(cpu=2, gpu=0.5), "cpu 2, gpu 0.5"),
        (Resources.of(memory=3 * 2**29), "memory 1.5 GiB"),
        (Resources.of(memory=64 * 2**30, licence=1), "licence 1, memory 64 GiB"),
    ],
)
def test_resources_are_told_as_people_say_them(resources: Resources, text: str) -> None:
    assert str(resources) == text


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0 bytes"), (1023, "1023 bytes"), (2**10, "1 KiB"), (2**20, "1 MiB"), (2**41, "2048 GiB")]
)
def test_memory_is_told_in_the_unit_that_suits_it(size: int, text: str) -> None:
    assert shown("memory", size) == text


def test_a_request_is_one_cpu_unless_it_says_otherwise() -> None:
    assert Request().total == Resources.of(cpu=1)
    assert str(Request()) == "cpu 1"


def test_a_request_adds_its_bundles_up() -> None:
    request = Request((Resources.of(cpu=1, gpu=1), Resources.of(cpu=2)))
    assert request.total == Resources.of(cpu=3, gpu=1)
    assert str(request) == "(cpu 1, gpu 1) + (cpu 2)"


def test_a_request_without_bundles_or_of_an_unknown_strategy_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one bundle"):
        Request(())
    with pytest.raises(ValueError, match=r"STRICT_PACK.*'LOOSE'"):
        Request(strategy="LOOSE")
