"""Large objects from one depot to another: whole or not at all, once, and only among those who belong together."""

from __future__ import annotations

import os
import queue
import resource
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from executor.depot.depot import Depot, Key
from executor.depot.store import Store
from executor.depot.transfer import Secret, Wish, borrow, get
from executor.platform import here, is_linux
from tests.executor.cable import Cable
from tests.executor.library.events import holds

MIB = 2**20
SIZE = 3 * MIB + 5
DEADLINE_S = 20.0

linux = pytest.mark.skipif(not is_linux(), reason="only there one process opens what another one has open")


class NoisyCable(Cable):
    """Flips a bit of what comes back over its first connections, as many as it is told."""

    def __init__(self, to_port: int, times: int) -> None:
        self._left = times
        super().__init__(to_port)

    def _flush(self, pair: Any) -> None:
        waiting = pair.waiting[pair.far]
        if len(waiting) > 10_000 and self._left:
            self._left -= 1
            waiting[5_000] ^= 1
        super()._flush(pair)


class Wants:
    """What a depot cannot fetch by itself."""

    def __init__(self) -> None:
        self.told: queue.SimpleQueue[tuple[Key, int, str]] = queue.SimpleQueue()

    def __call__(self, key: Key, size: int, why: str) -> None:
        self.told.put((key, size, why))


class Depots:
    """Two depots of one driver, `near` and `far`, and an object of the far one."""

    def __init__(self, folder: Path) -> None:
        self.secret = Secret.new()
        self.wants = Wants()
        self.near, self.far = (
            Depot(name, Store(100 * MIB, str(folder), str(folder)), self.secret, self.wants) for name in ("near", "far")
        )
        self.near_peer, self.far_peer = self.near.listen("127.0.0.1"), self.far.listen("127.0.0.1")
        self.content = os.urandom(SIZE)
        place = self.far.store.allocate(SIZE)
        with self.far.store.memory_of(place) as memory:
            memory[:SIZE] = self.content
        self.path = place.path
        self.key = Key("far", place.segment)

    def fetched(self) -> tuple[bytes, str]:
        """What the near one has of it in the end, and otherwise why not."""
        path, why = self.fetched_to()
        return (Path(path).read_bytes()[:SIZE] if path else b""), why

    def fetched_to(self) -> tuple[str, str]:
        """Where the near one has it in the end, and otherwise why not."""
        found: queue.SimpleQueue[tuple[str, str]] = queue.SimpleQueue()
        self.near.fetch(self.key, SIZE, lambda path, why: found.put((path, why)))
        return found.get(timeout=DEADLINE_S)


@pytest.fixture
def depots(tmp_path: Path) -> Iterator[Depots]:
    found = Depots(tmp_path)
    yield found
    found.near.close()
    found.far.close()


def test_an_object_comes_whole_and_is_fetched_once_whoever_asks(depots: Depots) -> None:
    depots.near.meet("far", depots.far_peer)
    assert depots.fetched() == (depots.content, "")
    depots.near.lose("far")
    assert depots.fetched() == (depots.content, "")
    assert depots.near.store.use().objects == 1


def test_a_flipped_byte_is_no_object_and_it_is_fetched_again(depots: Depots) -> None:
    cable = NoisyCable(depots.far_peer[1], times=1)
    depots.near.meet("far", ("127.0.0.1", cable.port))
    try:
        assert depots.fetched() == (depots.content, "")
    finally:
        cable.close()


def test_what_never_comes_whole_is_asked_for_elsewhere_and_handed_over(depots: Depots) -> None:
    cable = NoisyCable(depots.far_peer[1], times=1_000_000)
    depots.near.meet("far", ("127.0.0.1", cable.port))
    depots.far.meet("near", depots.near_peer)

    def help_out() -> None:
        key, size, _ = depots.wants.told.get(timeout=DEADLINE_S)
        depots.far.hand("near", key, size)

    helping = threading.Thread(target=help_out)
    helping.start()
    try:
        assert depots.fetched() == (depots.content, "")
    finally:
        cable.close()
        helping.join()


def test_who_waits_is_told_why_there_is_none(depots: Depots) -> None:
    def give_up() -> None:
        key, _, why = depots.wants.told.get(timeout=DEADLINE_S)
        depots.near.give_up(key, why)

    giving = threading.Thread(target=give_up)
    giving.start()
    assert depots.fetched() == (b"", "nobody knows where far is to be reached")
    giving.join()
    assert depots.near.store.use().objects == 0


def test_nobody_without_the_secret_gets_an_object_or_a_word(depots: Depots) -> None:
    wish = Wish("get", "far", depots.key.segment, SIZE)
    memory = memoryview(bytearray(SIZE))
    with pytest.raises(OSError, match=r"(?i)certificate|unknown ca|alert|EOF|ended|reset"):
        get(depots.far_peer, Secret.new().context(server=False), wish, memory)
    bare = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    bare.check_hostname, bare.verify_mode = False, ssl.CERT_NONE
    with pytest.raises(OSError, match=r"(?i)certificate|alert|EOF|ended|reset"):
        get(depots.far_peer, bare, wish, memory)
    with socket.create_connection(depots.far_peer, timeout=DEADLINE_S) as plain:
        plain.sendall(b"GET / HTTP/1.0\r\n\r\n")
        with suppress(ConnectionResetError):
            assert depots.content[:100] not in plain.recv(1 << 16)
    assert not any(memory)


def test_what_nobody_needs_any_more_is_given_back(depots: Depots) -> None:
    depots.near.meet("far", depots.far_peer)
    depots.fetched()
    for depot in (depots.near, depots.far):
        depot.discard(depots.key)
        depot.discard(depots.key)
        assert depot.store.use().objects == 0


def test_what_nobody_needs_any_more_while_it_is_on_its_way_is_given_back_once_it_is_there(depots: Depots) -> None:
    cable = Cable(depots.far_peer[1])
    cable.quiet()
    depots.near.meet("far", ("127.0.0.1", cable.port))
    found: queue.SimpleQueue[str] = queue.SimpleQueue()
    depots.near.fetch(depots.key, SIZE, lambda path, why: found.put(path))
    holds(lambda: depots.near.store.use().objects == 1, "there is room for it")
    depots.near.discard(depots.key)
    assert depots.near.store.use().objects == 1  # its memory is still written to
    cable.heal()
    try:
        found.get(timeout=DEADLINE_S)
        assert depots.near.store.use().objects == 0
    finally:
        cable.close()


def test_memory_that_is_still_written_to_is_not_given_out_again_when_its_object_is_given_up(depots: Depots) -> None:
    cable = Cable(depots.far_peer[1])
    cable.quiet("down")
    depots.near.meet("far", ("127.0.0.1", cable.port))
    found: queue.SimpleQueue[tuple[str, str]] = queue.SimpleQueue()
    depots.near.fetch(depots.key, SIZE, lambda path, why: found.put((path, why)))
    holds(lambda: depots.near.store.use().objects == 1, "there is room for it")
    depots.near.give_up(depots.key, "far is gone")
    assert found.get(timeout=DEADLINE_S) == ("", "far is gone")
    assert depots.near.store.use().objects == 1
    cable.heal()
    try:
        holds(lambda: depots.near.store.use().objects == 0, "its writer gives it back")
    finally:
        cable.close()


@contextmanager
def fetching_from_one_that_says_nothing(depots: Depots) -> Iterator[queue.SimpleQueue[tuple[str, str]]]:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        depots.near.meet("far", silent.getsockname())
        found: queue.SimpleQueue[tuple[str, str]] = queue.SimpleQueue()
        depots.near.fetch(depots.key, SIZE, lambda path, why: found.put((path, why)))
        with silent.accept()[0]:
            yield found


def test_who_waits_for_an_object_is_let_go_when_its_depot_is_closed(depots: Depots) -> None:
    with fetching_from_one_that_says_nothing(depots) as found:
        depots.near.close()
        assert found.get(timeout=DEADLINE_S) == ("", "its executor was shut down")


def test_what_was_discarded_before_it_could_not_be_brought_is_given_back(depots: Depots) -> None:
    with fetching_from_one_that_says_nothing(depots) as found:
        depots.near.discard(depots.key)
    assert found.get(timeout=DEADLINE_S) == ("", "nobody needs it any more")
    assert depots.near.store.use().objects == 0


def test_many_objects_are_brought_by_few_threads(depots: Depots, tmp_path: Path) -> None:
    may_go_on = threading.Event()

    def holders(key: Key) -> tuple[str, ...]:
        may_go_on.wait(DEADLINE_S)
        return (key.home,)

    near = Depot("third", Store(100 * MIB, str(tmp_path), str(tmp_path)), depots.secret, depots.wants, holders)
    near.meet("far", depots.far_peer)
    places = [depots.far.store.allocate(100) for _ in range(60)]
    found: queue.SimpleQueue[tuple[str, str]] = queue.SimpleQueue()
    before = threading.active_count()
    try:
        for place in places:
            near.fetch(Key("far", place.segment), 100, lambda path, why: found.put((path, why)))
        assert threading.active_count() - before <= 16
        may_go_on.set()
        told = [found.get(timeout=DEADLINE_S) for _ in places]
        assert all(path and not why for path, why in told)
    finally:
        may_go_on.set()
        near.close()


def test_an_object_for_which_no_thread_can_be_started_is_told_as_lost_and_can_be_asked_for_again(
    depots: Depots, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    depots.near.meet("far", depots.far_peer)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", fail)
        assert depots.fetched() == (b"", "it cannot be brought: can't start new thread")
    assert depots.fetched() == (depots.content, "")


def test_a_connection_that_cannot_be_taken_does_not_end_the_service(
    depots: Depots, caplog: pytest.LogCaptureFixture
) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with socket.socket() as caller:
        with Path(os.devnull).open() as next_file:
            lowest_free = next_file.fileno()
        resource.setrlimit(resource.RLIMIT_NOFILE, (lowest_free, hard))
        try:
            caller.connect(depots.far_peer)
            holds(lambda: "cannot be taken just now" in caplog.text, "it has failed to")
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    depots.near.meet("far", depots.far_peer)
    assert depots.fetched() == (depots.content, "")


def test_who_comes_while_as_many_are_served_as_may_be_waits_for_a_turn(depots: Depots) -> None:
    depots.near.meet("far", depots.far_peer)
    (listener,) = depots.far._listeners
    with ExitStack() as visits:
        for _ in range(64):
            visits.enter_context(socket.create_connection(depots.far_peer, timeout=DEADLINE_S))
        holds(lambda: not listener._room._value, "all of them are attended to")
        found: queue.SimpleQueue[tuple[str, str]] = queue.SimpleQueue()
        depots.near.fetch(depots.key, SIZE, lambda path, why: found.put((path, why)))
    path, why = found.get(timeout=DEADLINE_S)
    assert (Path(path).read_bytes()[:SIZE], why) == (depots.content, "")


@linux
def test_an_object_on_the_same_machine_is_used_where_it_lies_and_outlives_its_depot(depots: Depots) -> None:
    depots.near.meet("far", depots.far_peer)
    depots.far.lend()
    path, _ = depots.fetched_to()
    assert Path(path).samefile(depots.path)
    assert depots.near.store.use().memory_bytes == 0
    depots.far.close()
    assert Path(path).read_bytes()[:SIZE] == depots.content
    assert depots.near.piece(depots.key, SIZE - 5) == depots.content[-5:]


@linux
def test_what_another_has_borrowed_is_not_written_over_once_it_is_given_back(depots: Depots) -> None:
    depots.near.meet("far", depots.far_peer)
    depots.far.lend()
    path, _ = depots.fetched_to()
    depots.far.discard(depots.key)
    assert not Path(path).samefile(depots.far.store.allocate(SIZE).path)
    depots.near.discard(depots.key)
    assert depots.near.store.use().objects == 0
    again = depots.near.store.allocate(SIZE)  # what was borrowed is not given out as one's own
    with depots.near.store.memory_of(again) as memory:
        assert not any(memory[:SIZE])


@linux
def test_who_cannot_show_the_secret_is_lent_nothing(depots: Depots, tmp_path: Path) -> None:
    depots.far.lend()
    name = here.neighbourly(depots.secret.name_of("far", depots.far_peer[1]))
    assert name is not None
    wish = Wish("lend", "far", depots.key.segment, SIZE)
    store = Store(MIB, str(tmp_path), str(tmp_path))
    with pytest.raises(OSError, match=r"(?i)certificate|unknown ca|alert|EOF|ended|reset"):
        borrow(name, Secret.new().context(server=False), wish, store)
    assert store.use().objects == 0


@linux
@pytest.mark.parametrize("wrong", [{"inode": 1}, {"device": 1 << 40}, {"fd": 1 << 20}])
def test_what_is_not_found_as_it_was_lent_is_not_borrowed(depots: Depots, wrong: dict[str, int]) -> None:
    loan = replace(depots.far.store.lend(depots.key.segment), **wrong)
    ours, its = socket.socketpair()
    with ours, its, pytest.raises(FileNotFoundError):
        depots.near.store.borrow(ours, loan, SIZE)
    assert depots.near.store.use().objects == 0


@linux
def test_what_is_shorter_than_was_said_is_not_borrowed(depots: Depots) -> None:
    ours, its = socket.socketpair()
    with ours, its, pytest.raises(FileNotFoundError, match="not what is lent"):
        depots.near.store.borrow(ours, depots.far.store.lend(depots.key.segment), 2 * SIZE)


def test_a_depot_that_could_not_be_reached_before_it_was_met_is_tried_once_it_is(depots: Depots) -> None:
    def give_up() -> None:
        depots.near.give_up(*depots.wants.told.get(timeout=DEADLINE_S)[::2])

    giving = threading.Thread(target=give_up)
    giving.start()
    assert depots.fetched() == (b"", "nobody knows where far is to be reached")
    giving.join()
    depots.near.meet("far", depots.far_peer)
    assert depots.fetched() == (depots.content, "")


def test_a_depot_is_not_shunned_because_it_has_not_what_was_asked_for(depots: Depots) -> None:
    depots.near.meet("far", depots.far_peer)
    found: queue.SimpleQueue[str] = queue.SimpleQueue()
    unknown = Key("far", depots.key.segment + 1)
    depots.near.fetch(unknown, SIZE, lambda path, why: found.put(path))
    assert depots.wants.told.get(timeout=DEADLINE_S)[0] == unknown
    assert depots.fetched() == (depots.content, "")


def test_a_depot_that_is_out_of_reach_is_not_tried_again_for_a_while(depots: Depots) -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        nowhere = gone.getsockname()
    depots.near.meet("far", nowhere)
    for _ in range(2):
        depots.near.fetch(depots.key, SIZE, lambda path, why: None)
        _, _, why = depots.wants.told.get(timeout=DEADLINE_S)
        depots.near.give_up(depots.key, why)
    assert why == "nobody knows where far is to be reached"


def test_an_object_for_which_there_is_no_room_says_so(tmp_path: Path, depots: Depots) -> None:
    full = Depot("full", Store(MIB, str(tmp_path), str(tmp_path / "no such folder")), depots.secret, depots.wants)
    found: queue.SimpleQueue[tuple[str, str]] = queue.SimpleQueue()
    full.fetch(depots.key, SIZE, lambda path, why: found.put((path, why)))
    path, why = found.get(timeout=DEADLINE_S)
    assert not path
    assert "no room for an object of 3.004 MiB" in why
    full.close()
