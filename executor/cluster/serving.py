"""The processes of a cluster: the head's, a node's, and the agent's that the node's starts again when it dies."""

from __future__ import annotations

import asyncio
import logging
import os
import resource
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import grpc

from executor import devices
from executor.cluster import clock
from executor.cluster.agent import Agent, Machine, reachable_address
from executor.cluster.controllers import ACTORS, Controllers
from executor.cluster.dialing import asked, dialer, mutual, way
from executor.cluster.head import SERVER_OPTIONS, Head, Household
from executor.cluster.home import Home, Place
from executor.cluster.membership import Terms
from executor.cluster.names import NodeNames
from executor.cluster.protos import cluster as pb
from executor.cluster.security.authority import Keyed, expires_at, pin, request
from executor.cluster.security.credentials import Credentials
from executor.cluster.security.doorkeeper import AGENT_VALID_S, Doorkeeper, door, one_sided
from executor.cluster.security.guard import Guard
from executor.cluster.security.roles import Role
from executor.cluster.security.tokens import Tokens
from executor.cluster.state import HeadState
from executor.errors import ClusterError
from executor.labels import offered
from executor.platform import here
from executor.resources import Resources

_log = logging.getLogger(__name__)

_CARETAKER = "executor.library.caretaker"
"""What has the actors that outlive their drivers."""

_MARK = "AUDITION_AGENT"
_ENDING = (signal.SIGTERM, signal.SIGINT)
_LOOK_S = 0.02
_TELL_S = 3.0
_GPUS_LOOK_S = 5.0
_NEXT_KEEPER_S = 1.0
_RESPAWN_S, _LONGEST_RESPAWN_S = 0.05, 10.0
_QUICK_S = 5.0
_RENEW_SHARE = 1 / 3
_RENEW_LOOK_S = 600.0


def serve_head(folder: Path, host: str, port: int, terms: Terms, controller: str = "") -> None:
    """Be the head of the cluster in `folder` until a signal or a `Stop` ends it. `port` + 1 is the doorkeeper's.

    `controller` is the module that detached experiments are run by; without one neither they nor detached actors are
    taken.

    Raises:
        ClusterError: another head runs from the folder, or a port is taken.
    """
    _open_as_many_files_as_allowed()
    home = Home(folder)
    try:
        asyncio.run(_until_signalled(home, host, port, terms, controller))
    finally:
        home.close()


def _open_as_many_files_as_allowed() -> None:
    """Each connection is one, and by default a process may have 1,024."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


async def _until_signalled(home: Home, host: str, port: int, terms: Terms, controller: str) -> None:
    stopping = asyncio.Event()
    for number in _ENDING:
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    await run_head(home, host, port, terms, stopping, controller=controller)


async def run_head(
    home: Home,
    host: str,
    port: int,
    terms: Terms,
    stopping: asyncio.Event,
    ready: Callable[[], None] = lambda: None,
    *,
    controller: str = "",
) -> None:
    """Be a head until told to stop. With port 0 the system chooses, for the doorkeeper too.

    Raises:
        ClusterError: a port is taken.
    """
    server = grpc.aio.server(options=SERVER_OPTIONS)
    door_port = port and port + 1
    port = _listen(server, host, port, mutual(home.authority.certificate, home.head))
    listener = door(host, door_port)
    door_port = listener.getsockname()[1]
    tokens, names = Tokens(), home.names
    doorkeeper = Doorkeeper(home.authority, tokens, names.cluster, port)
    state = HeadState(names.cluster, names.epoch, terms, clock.now(), NodeNames(names.hosts, names.free))

    def invite(role: Role) -> pb.InviteReply:
        return pb.InviteReply(token=tokens.issue(role, time.time()), pin=pin(home.door.certificate), port=door_port)

    def keep() -> None:
        counts, free = dict(state.names.counts), state.names.free(state.drivers)
        if (counts, free) != (names.hosts, names.free):
            names.hosts, names.free = counts, free
            home.keep_names()

    modules = {"": controller, ACTORS: _CARETAKER}
    known = Controllers(home.folder, modules)  # some may run still that a head before us has started
    controllers = known if controller else None
    guard = Guard(home.denied, known.proves)
    head = Head(state, Household(guard, invite, doorkeeper.certify, keep, controllers, home.folder))
    keeping = asyncio.create_task(_keep_door(doorkeeper, listener, partial(door, host, door_port), home))
    Place(_told_to_others(host), port, door_port, os.getpid()).save(home.folder)
    serving = asyncio.create_task(head.serve(server))
    told = asyncio.create_task(stopping.wait())
    ready()
    await asyncio.wait((serving, told), return_when=asyncio.FIRST_COMPLETED)
    head.stop()
    for task in (told, keeping):
        task.cancel()
    await asyncio.gather(told, keeping, return_exceptions=True)
    await serving  # which raises what it ended with, if it was not told to end


async def _keep_door(
    doorkeeper: Doorkeeper, listener: socket.socket, listen: Callable[[], socket.socket], home: Home
) -> None:
    """Let newcomers in for as long as the head lives: one doorkeeper that dies does not lock them out for ever."""
    while True:
        try:
            if listener.fileno() < 0:  # it went with the doorkeeper before
                listener = listen()
            await doorkeeper.serve(listener, one_sided(*home.door_files))
        except Exception:  # noqa: BLE001 (whatever it is, another may do better)
            _log.exception("nobody can join: the doorkeeper died, and is started again")
            await asyncio.sleep(_NEXT_KEEPER_S)


def _told_to_others(host: str) -> str:
    """The address by which others reach who listens at `host`: one of this machine's own when that is all of them."""
    return reachable_address("192.0.2.1", 9) if host in ("0.0.0.0", "::", "[::]") else host


def _listen(server: grpc.aio.Server, host: str, port: int, credentials: grpc.ServerCredentials) -> int:
    try:
        bound = server.add_secure_port(f"{host}:{port}", credentials)
    except RuntimeError:
        bound = 0
    if not bound:
        raise ClusterError(f"cannot listen on {host}:{port}: the port is taken, or the address is not this machine's")
    return bound


@dataclass(frozen=True, slots=True)
class Offer:
    """What a node gives to the cluster; what is not given is discovered."""

    cpus: float | None = None
    gpus: float | None = None
    memory: int | None = None
    resources: Mapping[str, float] = field(default_factory=dict)
    host: str = ""
    """How the node is called; its machine's name by default."""
    labels: Mapping[str, str] = field(default_factory=dict)

    def machine(self, head_host: str, head_port: int) -> Machine:
        """This machine, as far as it is offered."""
        names = devices.names(self.gpus)
        amounts = {
            **self.resources,
            "cpu": here.usable_cpus() if self.cpus is None else self.cpus,
            "gpu": len(names) if self.gpus is None else self.gpus,
            "memory": here.usable_memory() if self.memory is None else self.memory,
        }
        address = reachable_address(head_host, head_port)
        capacity = Resources.of(amounts) + offered(self.labels)
        return Machine(capacity, names, self.host or socket.gethostname(), address)


def serve_agent(folder: Path, offer: Offer, incarnation: str, succeeds: str) -> int:
    """Be a node's agent until a signal ends it, or the head will not have it; the exit code."""
    place = Place.load(folder)
    codes: list[int] = []
    # A lock would not do: where a thread of gRPC's takes the signal, who waits for a lock does not wake up.
    waiting = here.poller()
    waiting.wake_on_signals()

    def gone(why: str) -> None:
        _log.warning("this node leaves: %s", why)
        codes.append(NO_MORE)
        waiting.wake()

    dial = dialer(place.address, lambda: Credentials.load(folder, Role.AGENT))
    for number in _ENDING:
        signal.signal(number, lambda *_: codes.append(0))
    machine = offer.machine(place.host, place.port)
    agent = Agent(way(dial, folder), machine, incarnation, succeeds=succeeds, gone=gone)
    if machine.gpus:
        threading.Thread(target=_watch_gpus, args=(agent, machine.gpus), name="audition-gpus", daemon=True).start()
    while not codes:
        renew(folder, Role.AGENT)
        waiting.poll(_RENEW_LOOK_S)
    agent.close()
    return codes[0]


def _watch_gpus(agent: Agent, gpus: Sequence[str]) -> None:
    """Have an agent know which of its gpus are lost; apart, since a driver in trouble may never answer."""
    while True:
        agent.miss(devices.lost(gpus))
        time.sleep(_GPUS_LOOK_S)


NO_MORE = 3
"""The exit code of an agent that the head will not have."""


def serve_node(folder: Path, command: list[str]) -> None:
    """Keep an agent on this machine: one that dies is started again, once the head knows that nothing is left of it.

    `command` starts an agent that takes its incarnation, and the one that it succeeds, as two further arguments.
    """
    stopping = threading.Event()
    agent: list[subprocess.Popen[bytes]] = []

    def stop(*_: object) -> None:
        stopping.set()
        for process in agent:
            process.terminate()

    for number in _ENDING:
        signal.signal(number, stop)
    succeeds, quick = "", 0
    while not stopping.is_set():
        incarnation, began = secrets.token_hex(8), time.monotonic()
        mark = {_MARK: incarnation}
        agent[:] = [subprocess.Popen([*command, incarnation, succeeds], env={**os.environ, **mark})]
        code = agent[0].wait()
        _end_all(f"{_MARK}={incarnation}")
        if code in (0, NO_MORE):
            return
        _tell_of_death(folder, incarnation)
        if stopping.is_set():
            return
        _log.warning("the agent ended with %d: it is started again", code)
        succeeds = incarnation
        quick = quick + 1 if time.monotonic() - began < _QUICK_S else 0
        stopping.wait(min(_RESPAWN_S * 2**quick, _LONGEST_RESPAWN_S))


def _end_all(mark: str) -> None:
    """See to it that nothing is left of what an agent started, before somebody says so to the head."""
    while strays := here.marked(mark):
        for pid in strays:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(_LOOK_S)


def _tell_of_death(folder: Path, incarnation: str) -> None:
    """Say to the head what its broken connection cannot tell it: that this was no mere cut, and that nothing is left.

    The agent's successor says so as well, but a Python that has to start first takes a second where much runs.
    """
    # Threads of gRPC's begin here, and are not to take the signals that who waits for the agent has to wake up at.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING)
    try:
        dial = dialer(Place.load(folder).address, lambda: Credentials.load(folder, Role.AGENT))
        asked(dial, "Died", pb.DiedRequest(incarnation=incarnation), pb.DiedReply, _TELL_S)
    except ClusterError as error:
        _log.warning("the head cannot be told that the agent died: %s", error)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def renew(folder: Path, role: Role) -> None:
    """Get a certificate anew when a third of its time is left."""
    try:
        found = Credentials.load(folder, role)
        if expires_at(found.own.certificate) - time.time() > AGENT_VALID_S * _RENEW_SHARE:
            return
        asked, key = request(role)
        with dialer(Place.load(folder).address, lambda: found)() as channel:
            call = channel.unary_unary(
                "/audition.cluster.v1.Cluster/Renew", pb.RenewRequest.SerializeToString, pb.Certified.FromString
            )
            certified: pb.Certified = call(pb.RenewRequest(request=asked), timeout=30)
        Credentials(certified.authority, Keyed(certified.certificate, key)).save(folder, role)
    except (grpc.RpcError, ClusterError) as error:
        _log.warning("the certificate could not be renewed: %s", error)


def this_python(*arguments: str) -> list[str]:
    """The command line of this interpreter running `executor.cluster`."""
    return [sys.executable, "-m", "executor.cluster", *arguments]
