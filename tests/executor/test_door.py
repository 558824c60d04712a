"""What strangers may take of a head before anybody knows who they are."""

from __future__ import annotations

import asyncio
import random
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from executor.cluster.protos import cluster as pb
from executor.cluster.security.authority import new_authority, new_doorkeeper, pin, request
from executor.cluster.security.credentials import write_secret
from executor.cluster.security.doorkeeper import MOST_BYTES, Doorkeeper, door, one_sided
from executor.cluster.security.knocking import knock
from executor.cluster.security.roles import Role
from executor.cluster.security.tokens import Invitation, Tokens
from executor.cluster.security.turnstile import Limits, Turnstile
from executor.errors import ClusterError

VISIT_S = 1.0
LIMITS = Limits(at_once=6, at_once_of_one=4, knocks_a_minute=40, wrong_a_minute=3)
HERE, THERE = "127.0.0.1", "127.0.0.2"


class Door:
    """A doorkeeper in a thread of this process."""

    def __init__(self, folder: Path) -> None:
        shown = new_doorkeeper()
        write_secret(folder / "door.crt", shown.certificate)
        write_secret(folder / "door.key", shown.key)
        self.pin = pin(shown.certificate)
        self.tokens = Tokens()
        keeper = Doorkeeper(new_authority("c"), self.tokens, "c", 7077, turnstile=Turnstile(LIMITS), visit_s=VISIT_S)
        listener = door("0.0.0.0", 0)
        self.port = listener.getsockname()[1]
        context = one_sided(folder / "door.crt", folder / "door.key")
        self._loop = asyncio.new_event_loop()
        self._serving = self._loop.create_task(keeper.serve(listener, context))
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        with pytest.raises(asyncio.CancelledError):
            self._loop.run_until_complete(self._serving)
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())

    def invitation(self) -> Invitation:
        token = self.tokens.issue(Role.AGENT, time.time())
        return Invitation(HERE, self.port, self.pin, token)

    def call(self, source: str = HERE) -> socket.socket:
        """A connection from an address of this machine."""
        return socket.create_connection((HERE, self.port), timeout=10, source_address=(source, 0))

    def call_with_tls(self, source: str = HERE) -> ssl.SSLSocket:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        return context.wrap_socket(self.call(source))

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._serving.cancel)
        self._thread.join()
        self._loop.close()


@pytest.fixture
def keeper(tmp_path: Path) -> Iterator[Door]:
    keeper = Door(tmp_path)
    yield keeper
    keeper.close()


def is_hung_up(sock: socket.socket) -> bool:
    """Whether the other end hangs up without having said anything in the clear but TLS's own alert."""
    try:
        while data := sock.recv(1000):
            assert data[0] in (0x15, 0x16), "an alert, or the handshake"
    except ConnectionError:
        pass
    return True


def question(keeper: Door) -> bytes:
    asked, _ = request("newcomer")
    return pb.EnrolRequest(token=keeper.invitation().token, request=asked, name="n").SerializeToString()


def test_who_is_invited_gets_in(keeper: Door) -> None:
    _, certified = knock(keeper.invitation())
    assert (certified.role, certified.port) == ("agent", 7077)


@pytest.mark.parametrize("said", [b"", b"\x16\x03\x01"])
def test_who_says_nothing_or_not_enough_is_hung_up_on(keeper: Door, said: bytes) -> None:
    with keeper.call() as silent:
        silent.sendall(said)
        began = time.monotonic()
        assert is_hung_up(silent)
        assert time.monotonic() - began < 5 * VISIT_S


def test_who_says_nothing_after_the_handshake_is_hung_up_on(keeper: Door) -> None:
    with keeper.call_with_tls() as silent:
        silent.sendall((100).to_bytes(4) + b"x" * 99)
        assert silent.recv(1) == b""


@pytest.mark.parametrize("seed", range(5))
def test_noise_is_hung_up_on_at_once(keeper: Door, seed: int) -> None:
    with keeper.call() as noisy:
        try:
            noisy.sendall(random.Random(seed).randbytes(2**20))
        except ConnectionError:
            pass
        assert is_hung_up(noisy)
    knock(keeper.invitation())


def test_a_question_that_is_too_long_is_not_read(keeper: Door) -> None:
    with keeper.call_with_tls() as talker:
        talker.sendall((MOST_BYTES + 1).to_bytes(4) + question(keeper))
        assert talker.recv(1) == b""


def test_a_question_in_single_bytes_is_understood(keeper: Door) -> None:
    with keeper.call_with_tls() as talker:
        asked = question(keeper)
        for byte in len(asked).to_bytes(4) + asked:
            talker.sendall(bytes([byte]))
        assert talker.recv(4) != b""


def test_one_address_cannot_keep_others_out(keeper: Door) -> None:
    with ExitStack() as stack:
        for _ in range(LIMITS.at_once_of_one):
            stack.enter_context(keeper.call(THERE))
        with keeper.call(THERE) as one_more:
            assert is_hung_up(one_more)
        knock(keeper.invitation())


def test_who_tries_wrong_invitations_waits_and_others_do_not(keeper: Door) -> None:
    wrong = Invitation(HERE, keeper.port, keeper.pin, "0123abcd." + "ef" * 16)
    for _ in range(LIMITS.wrong_a_minute):
        with pytest.raises(ClusterError, match="lets nobody in"):
            knock(wrong)
    with pytest.raises(ClusterError, match="nobody answers"):
        knock(keeper.invitation())
    with keeper.call_with_tls(THERE) as other:
        asked = question(keeper)
        other.sendall(len(asked).to_bytes(4) + asked)
        assert other.recv(4) != b""


def test_a_turnstile_counts_by_the_minute() -> None:
    turnstile = Turnstile(Limits(knocks_a_minute=3, wrong_a_minute=2))
    assert [bool(turnstile.enter("10.0.0.1", now)) for now in (0, 1, 2, 3, 59, 60)] == [False] * 3 + [True] * 2 + [
        False
    ]
    for _ in range(2):
        assert not turnstile.enter("10.0.0.2", 0)
        turnstile.leave("10.0.0.2", wrong=True)
    assert "let nobody in" in turnstile.enter("10.0.0.2", 30)
    assert not turnstile.enter("10.0.0.2", 61)


def test_a_turnstile_counts_who_is_inside() -> None:
    turnstile = Turnstile(Limits(at_once=3, at_once_of_one=2))
    assert [turnstile.enter("10.0.0.1", 0) for _ in range(3)] == ["", "", "too many at once"]
    assert [turnstile.enter(f"10.0.0.{number}", 0) for number in (2, 3)] == ["", "too many at once"]
    turnstile.leave("10.0.0.1")
    assert turnstile.enter("10.0.0.3", 1000) == ""


def test_a_turnstile_takes_one_customers_addresses_for_one() -> None:
    turnstile = Turnstile(Limits(knocks_a_minute=1))
    assert not turnstile.enter("2001:db8:1:2::1", 0)
    assert turnstile.enter("2001:db8:1:2:ffff::9", 0)
    assert not turnstile.enter("2001:db8:1:3::1", 0)
    assert not turnstile.enter("::ffff:10.0.0.1", 0)
    assert turnstile.enter("10.0.0.1", 0)


def test_a_turnstile_does_not_remember_without_end() -> None:
    turnstile = Turnstile(Limits(addresses=100))
    for number in range(100):
        assert not turnstile.enter(f"10.0.1.{number}", 0)
        turnstile.leave(f"10.0.1.{number}")
    assert "different addresses" in turnstile.enter("10.0.2.1", 30)
    assert not turnstile.enter("10.0.2.1", 61)
