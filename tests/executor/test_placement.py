"""Requests find room whenever there is some, and never more than there is."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from executor.assignment import assign
from executor.errors import InfeasibleRequestError
from executor.placement import Room
from executor.resources import STRATEGIES, Node, Request, Resources

resources = st.builds(Resources.of, cpu=st.integers(0, 4), gpu=st.sampled_from([0, 0, 0.5, 1, 2]))
bundles = st.lists(st.builds(Resources.of, cpu=st.integers(1, 3), gpu=st.sampled_from([0, 0, 0.5, 1])), min_size=1)
requests = st.builds(Request, bundles.map(lambda some: tuple(some[:4])), st.sampled_from(STRATEGIES))
frees = st.lists(resources, max_size=4).map(lambda rooms: {f"n{number}": room for number, room in enumerate(rooms)})


def nodes_of(**capacities: Resources) -> list[Node]:
    return [Node(name, capacity) for name, capacity in capacities.items()]


def fits(request: Request, names: tuple[str, ...], free: Mapping[str, Resources]) -> bool:
    """Whether `names` are an assignment for `request` that its strategy allows."""
    taken: dict[str, Resources] = {}
    for bundle, name in zip(request.bundles, names, strict=True):
        taken[name] = taken.get(name, Resources()) + bundle
    if request.strategy == "STRICT_PACK" and len(taken) > 1:
        return False
    if request.strategy == "STRICT_SPREAD" and len(taken) < len(names):
        return False
    return all(total.fits(free[name]) for name, total in taken.items())


def every_assignment(request: Request, free: Mapping[str, Resources]) -> list[tuple[str, ...]]:
    tried = itertools.product(free, repeat=len(request.bundles))
    return [names for names in tried if fits(request, names, free)]


@given(requests, frees)
def test_an_assignment_is_found_exactly_when_there_is_one(request: Request, free: dict[str, Resources]) -> None:
    found, possible = assign(request, free), every_assignment(request, free)
    assert (found in possible) if possible else (found is None)


@given(requests, frees)
def test_pack_takes_one_node_and_spread_a_node_each_where_they_can(
    request: Request, free: dict[str, Resources]
) -> None:
    used = [len(set(names)) for names in every_assignment(request, free)]
    found = assign(request, free)
    if found is None:
        return
    if request.strategy == "PACK" and 1 in used:
        assert len(set(found)) == 1
    if request.strategy == "SPREAD" and len(found) in used:
        assert len(set(found)) == len(found)


@given(frees.filter(bool), st.lists(st.tuples(requests, st.integers(0, 9)), max_size=40))
def test_room_is_never_overdrawn_never_withheld_and_given_back_whole(
    capacity: dict[str, Resources], wishes: list[tuple[Request, int]]
) -> None:
    room = Room([Node(name, amount) for name, amount in capacity.items()])
    held: list[tuple[Request, tuple[str, ...]]] = []
    for request, choice in wishes:
        if held and choice % 2:
            room.give_back(*held.pop(choice % len(held)))
        free = room.free()
        try:
            names = room.reserve(request)
        except InfeasibleRequestError:
            assert every_assignment(request, capacity) == []
            continue
        assert (names is None) == (every_assignment(request, free) == [])
        if names is not None:
            assert fits(request, names, free)
            held.append((request, names))
    for request, names in held:
        room.give_back(request, names)
    assert room.free() == capacity


def test_bundles_without_a_gpu_leave_the_gpus_to_others() -> None:
    room = Room(nodes_of(a=Resources.of(cpu=2, gpu=1), b=Resources.of(cpu=2)))
    taken = [room.reserve(Request()) for _ in range(4)]
    assert taken == [("b",), ("b",), ("a",), ("a",)]


def test_a_node_that_was_full_is_found_again() -> None:
    room = Room([Node(f"n{number}", Resources.of(cpu=1)) for number in range(100)])
    taken = [room.reserve(Request()) for _ in range(100)]
    assert room.reserve(Request()) is None
    for names in (taken[40], taken[7], taken[93]):
        assert names is not None
        room.give_back(Request(), names)
        assert room.reserve(Request()) == names
    assert room.reserve(Request()) is None


def test_each_bundle_may_need_a_certain_node() -> None:
    capacity = {"a": Resources.of(cpu=4, gpu=1), "b": Resources.of(cpu=2), "c": Resources.of(cpu=4)}
    request = Request((Resources.of(cpu=1), Resources.of(cpu=3), Resources.of(gpu=1)), "STRICT_SPREAD")
    assert assign(request, capacity) == ("b", "c", "a")


def test_many_equal_bundles_that_do_not_fit_are_given_up_quickly() -> None:
    capacity = {f"n{number}": Resources.of(cpu=4) for number in range(60)}
    assert assign(Request((Resources.of(cpu=3),) * 61, "SPREAD"), capacity) is None
    packed = assign(Request((Resources.of(cpu=2),) * 120), capacity)
    assert packed is not None
    assert set(Counter(packed).values()) == {2}


def test_equal_names_are_refused() -> None:
    with pytest.raises(ValueError, match="used twice: a"):
        Room([Node("a", Resources()), Node("b", Resources()), Node("a", Resources())])


@pytest.mark.parametrize(
    ("request_", "nodes", "message"),
    [
        (
            Request((Resources.of(cpu=4, gpu=2),)),
            nodes_of(a=Resources.of(cpu=16, gpu=1)),
            "no node can ever hold one trial: it asks for cpu 4, gpu 2; a has cpu 16, gpu 1 (1 gpu missing)",
        ),
        (Request(), [], "no node can ever hold one trial: it asks for cpu 1; there are no nodes"),
        (
            Request((Resources.of(cpu=3, memory=2**31), Resources.of(cpu=3)), "STRICT_PACK"),
            nodes_of(a=Resources.of(cpu=4, memory=2**30), b=Resources.of(cpu=8)),
            (
                "no node can ever hold one trial: it asks for cpu 6, memory 2 GiB, all 2 bundles together "
                "(STRICT_PACK); a has cpu 4, memory 1 GiB (2 cpu, 1 GiB memory missing); "
                "b has cpu 8 (2 GiB memory missing)"
            ),
        ),
        (
            Request((Resources.of(cpu=1), Resources.of(tpu=1))),
            nodes_of(a=Resources.of(cpu=4), b=Resources.of(cpu=4), c=Resources.of(cpu=4)),
            (
                "no node can ever hold a bundle of tpu 1 of the request (cpu 1) + (tpu 1); "
                "a and 2 like it have cpu 4 (1 tpu missing)"
            ),
        ),
        (
            Request((Resources.of(cpu=3),) * 3),
            nodes_of(a=Resources.of(cpu=4), b=Resources.of(cpu=5)),
            (
                "the nodes can never hold the request (cpu 3) + (cpu 3) + (cpu 3): each of its bundles fits on some "
                "node, but not all of them at once; a has cpu 4; b has cpu 5"
            ),
        ),
        (
            Request((Resources.of(cpu=1),) * 2, "STRICT_SPREAD"),
            nodes_of(a=Resources.of(cpu=4)),
            (
                "the nodes can never hold the request (cpu 1) + (cpu 1): STRICT_SPREAD asks for 2 different nodes "
                "that fit its 2 bundles; a has cpu 4"
            ),
        ),
    ],
)
def test_what_can_never_fit_is_told_with_what_is_missing(request_: Request, nodes: list[Node], message: str) -> None:
    with pytest.raises(InfeasibleRequestError) as caught:
        Room(nodes).reserve(request_)
    assert str(caught.value) == message


def test_a_long_list_of_unlike_nodes_is_cut_short() -> None:
    with pytest.raises(InfeasibleRequestError, match=r"n4 has cpu 5 .*; and 25 more kinds of node$"):
        Room([Node(f"n{number}", Resources.of(cpu=number + 1)) for number in range(30)]).reserve(
            Request((Resources.of(cpu=31),))
        )
