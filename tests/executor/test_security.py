"""Who gets into a cluster, and what he may do there."""

from __future__ import annotations

import asyncio
import os
import random
import socket
import stat
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import pytest

from executor.cluster import serving
from executor.cluster.client import ask, folder_of
from executor.cluster.controllers import FOLDER, Order, Post
from executor.cluster.dialing import dialer, way
from executor.cluster.home import Home, Place
from executor.cluster.line import CHANNEL_OPTIONS
from executor.cluster.membership import Terms
from executor.cluster.protos import cluster as pb
from executor.cluster.security.authority import (
    Keyed,
    expires_at,
    issue,
    new_authority,
    new_doorkeeper,
    pin,
    request,
    serial,
)
from executor.cluster.security.credentials import (
    Credentials,
    cluster_folder,
    make_private,
    read_secret,
    write_secret,
)
from executor.cluster.security.doorkeeper import DRIVER_VALID_S
from executor.cluster.security.knocking import knock
from executor.cluster.security.roles import ALLOWED, Role, identity, role_of
from executor.cluster.security.tokens import VALID_S, Invitation, TokenRefusedError, Tokens
from executor.cluster.versions import versions_here
from executor.errors import ClusterError
from tests.executor.conversation import DEADLINE_S

PROGRAM = "tests.executor.controller_programs"


class Served:
    """A head in a thread of this process, in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.home = Home(folder)
        self.folder = folder
        self._loop = asyncio.new_event_loop()
        ready = threading.Event()
        self._stop = asyncio.Event()

        async def serve() -> None:
            await serving.run_head(self.home, "127.0.0.1", 0, Terms(), self._stop, ready.set, controller=PROGRAM)

        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(serve(),))
        self._thread.start()
        assert ready.wait(10)
        self.place = Place.load(folder)

    def invitation(self, role: Role) -> Invitation:
        reply = ask(self.folder, "Invite", pb.InviteRequest(role=role), pb.InviteReply)
        return Invitation("127.0.0.1", reply.port, reply.pin, reply.token)

    def credentials(self, role: Role, name: str = "somebody", authority: Keyed | None = None) -> Credentials:
        asked, key = request(name)
        certificate = issue(authority or self.home.authority, asked, role, name, 3600)
        return Credentials(self.home.authority.certificate, Keyed(certificate, key))

    def call(self, name: str, credentials: Credentials) -> Any:
        """What one call is answered: a reply, or the first message of a stream."""
        with dialer(self.place.address, lambda: credentials)() as channel:
            return _called(channel, name)

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()
        self._loop.close()
        self.home.close()


def _called(channel: grpc.Channel, name: str) -> Any:
    path = f"/audition.cluster.v1.Cluster/{name}"
    if name in ("Serve", "Drive"):
        return next(channel.stream_stream(path)(iter([b""]), timeout=10), b"")
    return channel.unary_unary(path)(b"", timeout=10)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    served = Served(tmp_path_factory.mktemp("clusters") / "test")
    yield served
    served.close()


def outcome(call: Callable[[], object]) -> grpc.StatusCode:
    """How a call ends, by its code."""
    try:
        call()
    except grpc.RpcError as error:
        found: grpc.StatusCode = error.code()  # type: ignore[attr-defined]
        return found
    return grpc.StatusCode.OK


def code_of(refused: pytest.ExceptionInfo[grpc.RpcError]) -> grpc.StatusCode:
    found: grpc.StatusCode = refused.value.code()
    return found


# But for that which would end the head; `audition cluster stop` has a test of its own.
PAIRS = [(role, call) for call in sorted(ALLOWED) for role in Role if (role, call) != (Role.DRIVER, "Stop")]


@pytest.mark.parametrize(("role", "call"), PAIRS)
def test_each_role_may_make_its_calls_and_no_others(served: Served, role: Role, call: str) -> None:
    code = outcome(lambda: served.call(call, served.credentials(role)))
    allowed = code in (grpc.StatusCode.OK, grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND)
    assert allowed == (role in ALLOWED[call])
    assert allowed or code is grpc.StatusCode.PERMISSION_DENIED


@pytest.mark.parametrize("near", [False, True])
def test_a_controller_beside_the_head_is_who_has_its_token(served: Served, near: bool) -> None:
    mine, others = (Post(served.folder / FOLDER / name) for name in ("mine", "others"))
    for post in (mine, others):
        post.set(Order("me", time.time(), ended_by="me"), b"")  # so that it is not started

    def drive(controller: str, token: str) -> str:
        hello = pb.DriverHello(driver=f"d@{controller}", versions=versions_here(), token=token)
        dial = dialer(served.place.address, lambda: served.credentials(Role.DRIVER))
        with way(dial, served.folder if near else None)("Drive", pb.DriverSays, pb.DriverHears) as stream:
            stream.put(pb.FromDriver(hello=hello))
            heard = next(iter(stream)).messages[0]
        assert heard.HasField("welcome") or heard.refused.for_good
        return heard.refused.why

    assert drive("mine", mine.token) == ""
    for controller, token in [
        ("mine", ""),
        ("mine", others.token),
        ("mine", mine.token + "0"),
        ("mine", "\N{SNOWMAN}"),
        ("nobody", mine.token),
        ("../controllers/mine", mine.token),
    ]:
        assert f"does not have the token of the controller {controller!r}" in drive(controller, token)
    assert (mine.folder / "token").stat().st_mode & 0o777 == 0o600


def test_nobody_gets_in_without_a_certificate(served: Served) -> None:
    options = (*CHANNEL_OPTIONS, ("grpc.ssl_target_name_override", "head.audition.internal"))
    credentials = grpc.ssl_channel_credentials(served.home.authority.certificate)
    with grpc.secure_channel(served.place.address, credentials, options=options) as channel:
        for call in ALLOWED:
            with pytest.raises(grpc.RpcError) as refused:
                _called(channel, call)
            assert code_of(refused) is grpc.StatusCode.UNAVAILABLE


def test_nobody_gets_in_without_encryption(served: Served) -> None:
    with grpc.insecure_channel(served.place.address) as channel, pytest.raises(grpc.RpcError):
        _called(channel, "Status")


def test_newcomers_get_in_again_after_the_door_broke(served: Served, caplog: pytest.LogCaptureFixture) -> None:
    invitation = served.invitation(Role.AGENT)
    with _listener(invitation.port) as listener:
        listener.shutdown(socket.SHUT_RDWR)
    until = time.monotonic() + DEADLINE_S
    while True:
        try:
            knock(invitation)
            break
        except ClusterError:
            assert time.monotonic() < until
    assert "nobody can join: the doorkeeper died, and is started again" in caplog.text


def _listener(port: int) -> socket.socket:
    """Another descriptor of the socket of this process that listens at a port."""
    for entry in Path("/proc/self/fd").iterdir():
        if entry.is_socket():
            found = socket.socket(fileno=os.dup(int(entry.name)))
            if found.getsockname()[1:2] == (port,) and found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                return found
            found.close()
    raise AssertionError(f"nobody here listens at {port}")


def test_noise_is_hung_up_on(served: Served) -> None:
    with socket.create_connection(("127.0.0.1", served.place.port), timeout=10) as noisy:
        with suppress(ConnectionError):
            noisy.sendall(random.Random(1).randbytes(2**20))
        _await_hang_up(noisy)


@pytest.mark.long
def test_who_does_not_finish_the_handshake_is_hung_up_on(served: Served) -> None:
    with socket.create_connection(("127.0.0.1", served.place.port), timeout=15) as silent:
        silent.sendall(b"\x16\x03\x01")
        _await_hang_up(silent)


def _await_hang_up(sock: socket.socket) -> None:
    with suppress(ConnectionError):
        while sock.recv(1000):
            pass


def test_a_certificate_of_another_authority_does_not_get_in(served: Served) -> None:
    stranger = served.credentials(Role.DRIVER, authority=new_authority("test"))
    with pytest.raises(grpc.RpcError) as refused:
        served.call("Status", stranger)
    assert code_of(refused) is grpc.StatusCode.UNAVAILABLE


def test_a_certificate_that_was_taken_back_does_not_get_in(served: Served) -> None:
    credentials = served.credentials(Role.DRIVER)
    served.call("Status", credentials)
    (served.folder / "denied").write_text(serial(credentials.own.certificate) + "\n")
    with pytest.raises(grpc.RpcError) as refused:
        served.call("Status", credentials)
    assert code_of(refused) is grpc.StatusCode.UNAUTHENTICATED


def test_an_expired_certificate_does_not_get_in(served: Served) -> None:
    asked, key = request("late")
    expired = issue(served.home.authority, asked, Role.DRIVER, "late", -60)
    with pytest.raises(grpc.RpcError) as refused:
        served.call("Status", Credentials(served.home.authority.certificate, Keyed(expired, key)))
    assert code_of(refused) is grpc.StatusCode.UNAVAILABLE


def test_an_agent_cannot_pretend_to_be_the_head(served: Served) -> None:
    agent = served.credentials(Role.AGENT)
    context = grpc.ssl_server_credentials([(agent.own.key, agent.own.certificate)])
    server = grpc.server(ThreadPoolExecutor(1))
    port = server.add_secure_port("127.0.0.1:0", context)
    server.start()
    try:
        dial = dialer(f"127.0.0.1:{port}", lambda: served.credentials(Role.DRIVER))
        with dial() as channel, pytest.raises(grpc.RpcError) as refused:
            _called(channel, "Status")
        assert code_of(refused) is grpc.StatusCode.UNAVAILABLE
    finally:
        server.stop(None)


def test_an_invitation_earns_one_certificate(served: Served) -> None:
    invitation = served.invitation(Role.VIEWER)
    credentials, certified = knock(invitation)
    assert (certified.role, certified.port) == ("viewer", served.place.port)
    served.call("Status", credentials)
    with pytest.raises(ClusterError, match="lets nobody in"):
        knock(invitation)


def test_the_token_is_not_sent_to_somebody_else(served: Served) -> None:
    invitation = served.invitation(Role.AGENT)
    other = Invitation(invitation.host, invitation.port, pin(new_doorkeeper().certificate), invitation.token)
    with pytest.raises(ClusterError, match="is not the head"):
        knock(other)
    knock(invitation)


def test_a_certificate_is_renewed_for_the_same_role(served: Served) -> None:
    asked, _ = request("whatever it says")
    with dialer(served.place.address, lambda: served.credentials(Role.VIEWER, "eve"))() as channel:
        renew = channel.unary_unary(
            "/audition.cluster.v1.Cluster/Renew", pb.RenewRequest.SerializeToString, pb.Certified.FromString
        )
        certified = renew(pb.RenewRequest(request=asked), timeout=10)
    assert certified.role == "viewer"
    assert expires_at(certified.certificate) > time.time() + DRIVER_VALID_S - 60


def test_tokens_are_good_once_and_not_for_long() -> None:
    tokens = Tokens()
    token = tokens.issue(Role.AGENT, now=0.0)
    other = tokens.issue(Role.DRIVER, now=0.0)
    assert tokens.redeem(token, now=1.0) is Role.AGENT
    for wrong, why in [
        (token, "used"),
        (other[:-1] + ("0" if other[-1] != "0" else "1"), "wrong"),
        ("no token", "malformed"),
    ]:
        with pytest.raises(TokenRefusedError, match=why):
            tokens.redeem(wrong, now=1.0)
    with pytest.raises(TokenRefusedError, match="expired"):
        tokens.redeem(other, now=VALID_S)


def test_an_invitation_says_itself_without_its_token() -> None:
    invitation = Invitation("head.lab", 7078, "sha256:" + "ab" * 32, "0123abcd." + "ef" * 16)
    assert Invitation.parse(str(invitation)) == invitation
    assert invitation.token not in repr(invitation)


def test_a_certificate_says_one_role() -> None:
    assert role_of([identity(Role.AGENT, "a")]) is Role.AGENT
    assert role_of([]) is None
    assert role_of(["https://driver/"]) is None
    assert role_of(["audition://owner/x"]) is None
    assert role_of([identity(Role.AGENT, "a"), identity(Role.DRIVER, "a")]) is None


def test_secrets_are_their_owners_alone_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        make_private(tmp_path / "a" / "b")
        write_secret(tmp_path / "a" / "b" / "key", b"secret")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a" / "b").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "a" / "b" / "key").stat().st_mode) == 0o600
    assert read_secret(tmp_path / "a" / "b" / "key") == b"secret"


def test_a_key_that_others_may_read_is_not_used(tmp_path: Path) -> None:
    write_secret(tmp_path / "key", b"secret")
    (tmp_path / "key").chmod(0o644)
    with pytest.raises(ClusterError, match="chmod 600"):
        read_secret(tmp_path / "key")


def test_no_two_heads_run_from_one_folder(served: Served) -> None:
    with pytest.raises(ClusterError, match="running already"):
        Home(served.folder)


def test_who_has_no_credentials_is_told_how_to_get_some(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUDITION_STATE", str(tmp_path))
    with pytest.raises(ClusterError, match="invite --role driver"):
        folder_of("head:7077")
    with pytest.raises(ClusterError, match="letters"):
        cluster_folder("../elsewhere")


@pytest.mark.parametrize("count", [300, pytest.param(20_000, marks=pytest.mark.long)])
def test_mutated_messages_are_refused_without_a_crash(
    served: Served, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unpickled(*_: object, **__: object) -> None:
        raise AssertionError("somebody unpickles what came from the network")

    for name in ("pickle.loads", "pickle.load"):
        monkeypatch.setattr(name, unpickled)
    chance = random.Random(7)
    hello = pb.AgentHello(host="h", incarnation="i", versions=pb.Versions(protocol=1))
    driver_hello = pb.DriverHello(driver="d", nodes=["n"], peers=["e"])
    letter = pb.Letter(sender="d", reader="e", first=1, items=[b"x"])
    seeds = [
        pb.AgentSays(messages=[pb.FromAgent(hello=hello), pb.FromAgent(beat=pb.Beat(number=1))]),
        pb.DriverSays(messages=[pb.FromDriver(hello=driver_hello), pb.FromDriver(letter=letter)]),
        pb.DrainRequest(node="n"),
        pb.RenewRequest(request=b"-----BEGIN CERTIFICATE REQUEST-----"),
        pb.InviteRequest(role="agent"),
    ]
    calls = ["Serve", "Drive", "Drain", "Renew", "Invite"]
    agent, driver = served.credentials(Role.AGENT), served.credentials(Role.DRIVER)
    with dialer(served.place.address, lambda: agent)() as one, dialer(served.place.address, lambda: driver)() as other:
        for _ in range(count):
            which = chance.randrange(len(calls))
            data = _mutated(seeds[which].SerializeToString(), chance)
            channel = one if calls[which] == "Serve" else other
            path = f"/audition.cluster.v1.Cluster/{calls[which]}"
            assert outcome(partial(_sent, channel, path, data)) is not grpc.StatusCode.DEADLINE_EXCEEDED
    monkeypatch.undo()
    served.call("Status", driver)


def _sent(channel: grpc.Channel, path: str, data: bytes) -> None:
    if path.endswith(("Serve", "Drive")):
        list(channel.stream_stream(path)(iter([data]), timeout=10))
    else:
        channel.unary_unary(path)(data, timeout=10)


def _mutated(data: bytes, chance: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(chance.randrange(1, 4)):
        match chance.randrange(3):
            case 0 if changed:
                changed[chance.randrange(len(changed))] = chance.randrange(256)
            case 1:
                changed.insert(chance.randrange(len(changed) + 1), chance.randrange(256))
            case _:
                del changed[chance.randrange(len(changed) + 1) :]
    return bytes(changed)


@pytest.mark.parametrize("seed", range(300))
def test_mutated_invitations_are_refused_with_a_sentence(seed: int) -> None:
    chance = random.Random(seed)
    whole = str(Invitation("head.lab", 7078, "sha256:" + "ab" * 32, "0123abcd." + "ef" * 16))
    text = _mutated(whole.encode(), chance).decode(errors="replace")
    told = ""
    try:
        Invitation.parse(text)
    except ClusterError as error:
        told = str(error)
    assert "ef" * 16 not in told
