"""When a wait spins, and when it goes to sleep at once."""

from collections.abc import Iterator

from executor.platform import Poller, linux, portable
from executor.spinning import AdaptiveSpin


class Source:
    """Has something to give after so many looks; notes whether each look could sleep."""

    def __init__(self, empty_looks: int) -> None:
        self.empty_looks = empty_looks
        self.sleeps: list[float | None] = []
        self.looks = 0

    def poll(self, timeout_s: float | None) -> list[str]:
        self.looks += 1
        if timeout_s == 0.0:
            return ["there"] if self.looks > self.empty_looks else []
        self.sleeps.append(timeout_s)
        return ["there"]


def looks_of(waits: int, spin: AdaptiveSpin, empty_looks: int) -> list[bool]:
    """Whether each of so many waits looked before it slept."""
    looked = []
    for _ in range(waits):
        source = Source(empty_looks)
        assert spin.wait(source.poll, None) == ["there"]
        looked.append(source.looks > len(source.sleeps))
    return looked


def test_what_comes_at_once_is_found_without_sleeping() -> None:
    source = Source(3)
    assert AdaptiveSpin().wait(source.poll, None) == ["there"]
    assert source.sleeps == []


def test_what_does_not_come_is_slept_for_as_long_as_was_asked() -> None:
    source = Source(10**9)
    assert AdaptiveSpin().wait(source.poll, 5.0) == ["there"]
    assert source.sleeps == [5.0]


def test_each_look_in_vain_is_followed_by_twice_as_many_waits_without_any() -> None:
    looked = looks_of(100, AdaptiveSpin(), 10**9)
    assert [index for index, each in enumerate(looked) if each] == [0, 17, 50]


def test_it_never_leaves_off_for_good() -> None:
    spin = AdaptiveSpin()
    looks_of(20_000, spin, 10**9)
    assert any(looks_of(1025, spin, 0))


def test_once_it_pays_again_it_goes_on() -> None:
    spin = AdaptiveSpin()
    looks_of(1, spin, 10**9)
    assert looks_of(30, spin, 0) == [False] * 16 + [True] * 14


def test_who_does_not_wait_looks_once() -> None:
    source = Source(10**9)
    assert AdaptiveSpin().wait(source.poll, 0.0) == []
    assert source.looks == 1


def test_being_woken_while_it_looks_ends_the_wait() -> None:
    for poller in (linux.poller(), portable.poller()):
        woken = iter([True])

        def poll(timeout_s: float | None, poller: Poller = poller, woken: Iterator[bool] = woken) -> object:
            assert timeout_s == 0.0, "it went to sleep although somebody had woken it"
            if next(woken, False):
                poller.wake()
            return poller.poll(timeout_s)

        assert AdaptiveSpin().wait(poll, None)
        assert not poller.poll(0.0)
        poller.close()
