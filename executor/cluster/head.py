"""The head: one asyncio loop that takes in agents' and drivers' streams and passes parcels on between them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import grpc
from google.protobuf.message import DecodeError

from executor.cluster import clock, nearby, wire
from executor.cluster.controllers import Controllers
from executor.cluster.members import controller_of
from executor.cluster.overview import beside, overview
from executor.cluster.protos import cluster as pb
from executor.cluster.security.guard import Guard
from executor.cluster.security.roles import Role
from executor.cluster.sendings import Noted, Sending, ToAgent, ToDriver
from executor.cluster.state import HeadState, RefusedError
from executor.cluster.streams import NO_VISIT, Kind, Outbox, Visit, over_grpc, replace
from executor.cluster.versions import mismatch, versions_here
from executor.errors import ClusterError

_log = logging.getLogger(__name__)

_Done = TypeVar("_Done")

_TAKES_NONE = "this head was started with --no-controllers: it takes no detached experiments and no detached actors"
_WAS_STOPPED = "the cluster was stopped"
_LAST_WORDS_S = 0.2
_LEAVE_S = 5.0
_TICK_S = 0.5
_LOOK_S = 1.0

SERVICE = "audition.cluster.v1.Cluster"

SERVER_OPTIONS = (
    ("grpc.max_send_message_length", 64 * 2**20),
    ("grpc.max_receive_message_length", 64 * 2**20),
    ("grpc.max_metadata_size", 8 * 2**10),
    # What who shows no certificate may take: a connection among so many, for so long.
    ("grpc.server_handshake_timeout_ms", 10_000),
    ("grpc.max_allowed_incoming_connections", 4_096),
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 5_000),
    ("grpc.http2.max_ping_strikes", 0),
    ("grpc.so_reuseport", 0),  # two heads on one port would share it without a word
)


@dataclass(frozen=True, slots=True)
class Household:
    """What a head has around it: who may come in, who lets newcomers in, who keeps its few names, who lives beside."""

    guard: Guard
    invite: Callable[[Role], pb.InviteReply]
    certify: Callable[[bytes, Role, str], pb.Certified]
    keep: Callable[[], None]
    controllers: Controllers | None = None
    folder: Path | None = None
    """Where drivers of this machine find us."""


class Head:
    """Serves one cluster. Nothing that a caller sends is read before the guard has admitted him."""

    def __init__(self, state: HeadState, household: Household) -> None:
        self._state = state
        self._household = household
        self._guard = household.guard
        self._agents: dict[str, Outbox] = {}
        self._drivers: dict[str, Outbox] = {}
        self._began = clock.now()
        self._stopped = asyncio.Event()
        self._empty = asyncio.Event()
        self._empty.set()
        self._leaving: asyncio.Task[None] | None = None
        self._controllers_lock = asyncio.Lock()
        self._kinds = {
            "Serve": Kind(pb.AgentSays, pb.AgentHears, self._meet_agent),
            "Drive": Kind(pb.DriverSays, pb.DriverHears, self._meet_driver),
        }

    async def serve(self, server: grpc.aio.Server) -> None:
        """Serve until `stop`; the server has its ports already."""
        server.add_generic_rpc_handlers((self._handlers(),))
        await server.start()
        works = [asyncio.create_task(work) for work in (self._tick(), self._look_after_controllers())]
        near = None if self._household.folder is None else await nearby.listen(self._household.folder, self._kinds)
        await self._stopped.wait()
        self._household.keep()
        for work in works:
            work.cancel()
        if near is not None:
            near.close()
            for outbox in (*self._drivers.values(), *self._agents.values()):
                outbox.put_nowait(None)
        await server.stop(0.2)

    def stop(self) -> None:
        """End serving; from the loop's own thread."""
        self._stopped.set()

    def _handlers(self) -> grpc.GenericRpcHandler:
        stream, unary = grpc.stream_stream_rpc_method_handler, grpc.unary_unary_rpc_method_handler
        works: dict[str, tuple[Any, Any, Any]] = {
            "Status": (self._status, pb.StatusRequest, pb.StatusReply),
            "Drain": (self._drain, pb.DrainRequest, pb.DrainReply),
            "Submit": (self._submit, pb.SubmitRequest, pb.SubmitReply),
            "End": (self._end, pb.EndRequest, pb.EndReply),
            "Forget": (self._forget, pb.ForgetRequest, pb.ForgetReply),
            "Stop": (self._stop, pb.StopRequest, pb.StopReply),
            "Invite": (self._invite, pb.InviteRequest, pb.InviteReply),
            "Renew": (self._renew, pb.RenewRequest, pb.Certified),
            "Died": (self._died, pb.DiedRequest, pb.DiedReply),
        }
        handlers: dict[str, Any] = {
            name: unary(self._guarded(name, work, asked), None, reply.SerializeToString)
            for name, (work, asked, reply) in works.items()
        }
        for name, kind in self._kinds.items():
            handlers[name] = stream(partial(self._serve_stream, name, kind), None, kind.hears.SerializeToString)
        return grpc.method_handlers_generic_handler(SERVICE, handlers)

    def _guarded(self, call: str, work: Any, asked: Any) -> Any:
        async def guarded(data: bytes, context: Any) -> Any:
            role = await self._guard.admit(context, call)
            try:
                request = asked.FromString(data)
            except DecodeError:
                await context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"this is no {asked.DESCRIPTOR.name}")
                raise
            return await work(request, context, role)

        return guarded

    async def _serve_stream(self, call: str, kind: Kind, stream: AsyncIterator[bytes], context: Any) -> Any:
        await self._guard.admit(context, call)
        async for mail in over_grpc(stream, kind):
            yield mail

    # ------------------------------------------------------------------------------------------------------- agents

    def _meet_agent(self, hello: pb.AgentHello, outbox: Outbox) -> Visit:
        try:
            self._check(hello.versions)
            name, sendings = self._state.agent_came(hello, clock.now())
        except (RefusedError, ValueError) as error:
            for_good = getattr(error, "for_good", True)
            _log.warning("agent on %s refused: %s", hello.host, error)
            outbox.put_nowait(pb.ToAgent(refused=pb.Refused(why=str(error), for_good=for_good)))
            outbox.put_nowait(None)
            return NO_VISIT
        self._household.keep()
        _log.info("node %s joins", name)
        replace(self._agents, name, outbox)
        self._empty.clear()
        terms = self._state.terms
        welcome = pb.AgentWelcome(
            cluster=self._state.cluster,
            name=name,
            epoch=self._state.epoch,
            lease_s=terms.lease_s,
            beat_s=terms.beat_s,
        )
        outbox.put_nowait(pb.ToAgent(welcome=welcome))
        self._send(sendings)
        return Visit(partial(self._from_agent, name, outbox), partial(self._agent_went, name, outbox))

    def _agent_went(self, name: str, outbox: Outbox) -> None:
        if self._agents.get(name) is outbox:
            del self._agents[name]
            if not self._agents:
                self._empty.set()

    def _from_agent(self, name: str, outbox: Outbox, message: pb.FromAgent) -> None:
        if self._agents.get(name) is not outbox or name not in self._state.agents:
            outbox.put_nowait(None)  # it was lost, or has another stream: what it still says is nobody's
            return
        self._state.agent_spoke(name, clock.now())
        match message.WhichOneof("what"):
            case "parcel":
                driver = self._drivers.get(message.parcel.driver)
                if driver is not None and message.parcel.node == name:
                    driver.put_nowait(pb.ToDriver(parcel=message.parcel))
            case "beat":
                outbox.put_nowait(pb.ToAgent(beat=message.beat))
            case "ended":
                self._send(self._state.session_ended(name, message.ended.driver))
            case "gpus_lost":
                self._send(self._state.gpus_lost(name, message.gpus_lost.gpus, clock.now()))
            case "leaving":
                self._send(self._state.agent_leaves(name, clock.now()))
                outbox.put_nowait(None)

    # ------------------------------------------------------------------------------------------------------ drivers

    def _meet_driver(self, hello: pb.DriverHello, outbox: Outbox) -> Visit:
        name = hello.driver
        try:
            self._check(hello.versions)
            self._check_controller(hello)
            sendings = self._state.driver_came(hello, clock.now())
        except (RefusedError, ValueError) as error:
            _log.warning("driver %s refused: %s", name, error)
            refused = pb.Refused(why=str(error), for_good=True, stopped=self._leaving is not None)
            outbox.put_nowait(pb.ToDriver(refused=refused))
            outbox.put_nowait(None)
            return NO_VISIT
        replace(self._drivers, name, outbox)
        self._send(sendings)
        return Visit(partial(self._from_driver, name, outbox), partial(self._driver_went, name, outbox))

    def _driver_went(self, name: str, outbox: Outbox) -> None:
        if self._drivers.get(name) is outbox:
            del self._drivers[name]

    def _from_driver(self, name: str, outbox: Outbox, message: pb.FromDriver) -> None:
        driver = self._state.drivers.get(name)
        if self._drivers.get(name) is not outbox or driver is None or driver.leaving is not None:
            outbox.put_nowait(None)
            return
        now = clock.now()
        self._state.driver_spoke(name, now)
        match message.WhichOneof("what"):
            case "parcel":
                agent = self._agents.get(message.parcel.node)
                if agent is not None and message.parcel.driver == name:
                    agent.put_nowait(pb.ToAgent(parcel=message.parcel))
            case "letter":
                if message.letter.sender == name:
                    self._state.wrote(name, message.letter.reader)
                    _put(self._drivers, message.letter.reader, pb.ToDriver(letter=message.letter))
            case "beat":
                outbox.put_nowait(pb.ToDriver(beat=message.beat))
            case "ask":
                request = wire.request_of(message.ask.request)
                self._send(self._state.asked(name, message.ask.number, request, now, message.ask.avoid))
            case "give_back":
                self._send(self._state.given_back(name, message.give_back.reservation_id, now))
            case "goodbye":
                self._send(self._state.driver_leaves(name, "its driver has left"))
                outbox.put_nowait(None)

    # ------------------------------------------------------------------------------------------------------ for both

    def _check(self, theirs: pb.Versions) -> None:
        if self._leaving is not None:
            raise RefusedError(_WAS_STOPPED, for_good=True)
        if why := mismatch(versions_here(), theirs):
            raise RefusedError(f"what the two ends run does not fit together (here is the head): {why}", for_good=True)

    def _check_controller(self, hello: pb.DriverHello) -> None:
        controller = controller_of(hello.driver)
        if controller and not self._guard.is_controller(controller, hello.token):
            why = f"it does not have the token of the controller {controller!r} beside the head"
            raise RefusedError(why, for_good=True)

    def _send(self, sendings: Iterable[Sending]) -> None:
        for sending in sendings:
            match sending:
                case ToAgent(name, message):
                    _put(self._agents, name, message)
                case ToDriver(name, message):
                    _put(self._drivers, name, message)
                case Noted(text):
                    _log.info("%s", text)

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(min(_TICK_S, self._state.terms.beat_s / 2))
            self._send(self._state.tick(clock.now()))

    async def _look_after_controllers(self) -> None:
        while self._leaving is None and (controllers := self._household.controllers) is not None:
            try:
                async with self._controllers_lock:
                    await asyncio.to_thread(controllers.look)
            except Exception:  # noqa: BLE001 (whatever it is, the next look may go better)
                _log.exception("detached experiments and actors cannot be looked after just now")
            await asyncio.sleep(_LOOK_S)

    # --------------------------------------------------------------------------------------------------- what is asked

    async def _status(self, request: pb.StatusRequest, context: Any, role: Role) -> pb.StatusReply:
        controllers = await asyncio.to_thread(beside, self._household.controllers)
        return overview(
            self._state,
            clock.now(),
            up_s=clock.now() - self._began,
            connected=self._agents.keys() | self._drivers.keys(),
            controllers=controllers,
        )

    async def _drain(self, request: pb.DrainRequest, context: Any, role: Role) -> pb.DrainReply:
        if request.node not in self._state.agents:
            known = ", ".join(self._state.agents) or "none"
            await context.abort(grpc.StatusCode.NOT_FOUND, f"there is no node {request.node!r}; there is: {known}")
        if request.deadline_s < 0:
            await context.abort(
                grpc.StatusCode.INVALID_ARGUMENT, f"deadline_s must be 0 or more, got {request.deadline_s:g}"
            )
        self._send(self._state.drain(request.node, request.deadline_s, clock.now()))
        return pb.DrainReply()

    async def _submit(self, request: pb.SubmitRequest, context: Any, role: Role) -> pb.SubmitReply:
        def submit(controllers: Controllers) -> None:
            controllers.submit(request.name, request.owner, request.content, again=request.again)

        await self._have_controllers(submit, context)
        return pb.SubmitReply()

    async def _end(self, request: pb.EndRequest, context: Any, role: Role) -> pb.EndReply:
        await self._have_controllers(lambda controllers: controllers.end(request.name, request.who), context)
        return pb.EndReply()

    async def _forget(self, request: pb.ForgetRequest, context: Any, role: Role) -> pb.ForgetReply:
        place = await self._have_controllers(lambda controllers: controllers.forget(request.name), context)
        return pb.ForgetReply(place=place)

    async def _have_controllers(self, work: Callable[[Controllers], _Done], context: Any) -> _Done:
        """What comes of having something done about controllers, which touches the disk."""
        controllers = self._household.controllers
        if controllers is None:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, _TAKES_NONE)
            raise AssertionError("abort raises")
        try:
            async with self._controllers_lock:
                return await asyncio.to_thread(work, controllers)
        except ClusterError as error:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
            raise

    async def _stop(self, request: pb.StopRequest, context: Any, role: Role) -> pb.StopReply:
        refused = pb.Refused(why=_WAS_STOPPED, for_good=True, stopped=True)
        for name, outbox in self._drivers.items():
            outbox.put_nowait(pb.ToDriver(refused=refused))
            self._send(self._state.driver_leaves(name, refused.why))
        for outbox in self._agents.values():
            outbox.put_nowait(pb.ToAgent(refused=refused))
        self._leaving = asyncio.create_task(self._stop_once_left())
        return pb.StopReply()

    async def _stop_once_left(self) -> None:
        """Give nodes and drivers the time to end what they have here and go, so that a next head owes them nothing."""
        await asyncio.sleep(_LAST_WORDS_S)
        with suppress(TimeoutError):
            await asyncio.wait_for(self._empty.wait(), _LEAVE_S)
        self.stop()

    async def _invite(self, request: pb.InviteRequest, context: Any, role: Role) -> pb.InviteReply:
        if request.role not in list(Role):
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"role must be one of {', '.join(Role)}")
        return self._household.invite(Role(request.role))

    async def _renew(self, request: pb.RenewRequest, context: Any, role: Role) -> pb.Certified:
        try:
            return self._household.certify(request.request, role, self._guard.name(context))
        except ClusterError as error:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
            raise

    async def _died(self, request: pb.DiedRequest, context: Any, role: Role) -> pb.DiedReply:
        self._send(self._state.agent_died(request.incarnation, clock.now()))
        return pb.DiedReply()


def _put(outboxes: Mapping[str, Outbox], name: str, message: Any) -> None:
    if (outbox := outboxes.get(name)) is not None:
        outbox.put_nowait(message)
