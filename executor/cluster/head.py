"""The head: one asyncio loop that takes in agents' and drivers' streams and passes parcels on between them."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterable
from functools import partial
from typing import Any

import grpc

from executor.cluster import clock, wire
from executor.cluster.line import MAIL_BYTES, gather_s
from executor.cluster.protos import cluster as pb
from executor.cluster.state import HeadState, RefusedError, Sending, ToAgent
from executor.cluster.versions import mismatch, versions_here

_log = logging.getLogger(__name__)

SERVICE = "audition.cluster.v1.Cluster"

SERVER_OPTIONS = (
    ("grpc.max_send_message_length", 64 * 2**20),
    ("grpc.max_receive_message_length", 64 * 2**20),
    ("grpc.max_metadata_size", 8 * 2**10),
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 5_000),
    ("grpc.http2.max_ping_strikes", 0),
    ("grpc.so_reuseport", 0),  # two heads on one port would share it without a word
)

Outbox = asyncio.Queue[Any]


class Head:
    """Serves one cluster; `keep` is called when the names in its state have changed, and are to be kept."""

    def __init__(self, state: HeadState, keep: Callable[[], None] = lambda: None) -> None:
        self._state = state
        self._keep = keep
        self._agents: dict[str, Outbox] = {}
        self._drivers: dict[str, Outbox] = {}
        self._began = clock.now()
        self._stopped = asyncio.Event()

    async def serve(self, server: grpc.aio.Server) -> None:
        """Serve until `stop`; the server has its ports already."""
        server.add_generic_rpc_handlers((self._handlers(),))
        await server.start()
        ticking = asyncio.create_task(self._tick())
        await self._stopped.wait()
        ticking.cancel()
        await server.stop(0.2)

    def stop(self) -> None:
        """End serving; from the loop's own thread."""
        self._stopped.set()

    def _handlers(self) -> grpc.GenericRpcHandler:
        stream, unary = grpc.stream_stream_rpc_method_handler, grpc.unary_unary_rpc_method_handler
        return grpc.method_handlers_generic_handler(
            SERVICE,
            {
                "Serve": stream(self._serve, pb.AgentSays.FromString, pb.AgentHears.SerializeToString),
                "Drive": stream(self._drive, pb.DriverSays.FromString, pb.DriverHears.SerializeToString),
                "Status": unary(self._status, pb.StatusRequest.FromString, pb.StatusReply.SerializeToString),
                "Drain": unary(self._drain, pb.DrainRequest.FromString, pb.DrainReply.SerializeToString),
                "Stop": unary(self._stop, pb.StopRequest.FromString, pb.StopReply.SerializeToString),
            },
        )

    # ------------------------------------------------------------------------------------------------------- agents

    async def _serve(self, stream: AsyncIterator[pb.AgentSays], context: Any) -> AsyncIterator[pb.AgentHears]:
        first = await anext(stream, None)
        if first is None or not first.messages or first.messages[0].WhichOneof("what") != "hello":
            return
        hello = first.messages[0].hello
        try:
            self._check(hello.versions)
            name, sendings = self._state.agent_came(hello, clock.now())
        except (RefusedError, ValueError) as error:
            for_good = getattr(error, "for_good", True)
            _log.warning("agent on %s refused: %s", hello.host, error)
            yield pb.AgentHears(messages=[pb.ToAgent(refused=pb.Refused(why=str(error), for_good=for_good))])
            return
        self._keep()
        _log.info("node %s joins", name)
        outbox = _replaced(self._agents, name)
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
        async for mail in _both(stream, outbox, pb.AgentHears, partial(self._from_agent, name, outbox)):
            yield mail
        if self._agents.get(name) is outbox:
            del self._agents[name]

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
            case "leaving":
                self._send(self._state.agent_leaves(name, clock.now()))
                outbox.put_nowait(None)

    # ------------------------------------------------------------------------------------------------------ drivers

    async def _drive(self, stream: AsyncIterator[pb.DriverSays], context: Any) -> AsyncIterator[pb.DriverHears]:
        first = await anext(stream, None)
        if first is None or not first.messages or first.messages[0].WhichOneof("what") != "hello":
            return
        hello = first.messages[0].hello
        try:
            self._check(hello.versions)
            sendings = self._state.driver_came(hello, clock.now())
        except (RefusedError, ValueError) as error:
            _log.warning("driver %s refused: %s", hello.driver, error)
            yield pb.DriverHears(messages=[pb.ToDriver(refused=pb.Refused(why=str(error), for_good=True))])
            return
        name = hello.driver
        outbox = _replaced(self._drivers, name)
        self._send(sendings)
        async for mail in _both(
            stream, outbox, pb.DriverHears, lambda message: self._from_driver(name, outbox, message)
        ):
            yield mail
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
            case "beat":
                outbox.put_nowait(pb.ToDriver(beat=message.beat))
            case "ask":
                request = wire.request_of(message.ask.request)
                self._send(self._state.asked(name, message.ask.number, request, now))
            case "give_back":
                self._send(self._state.given_back(name, message.give_back.reservation_id, now))
            case "goodbye":
                self._send(self._state.driver_leaves(name, "its driver has left"))
                outbox.put_nowait(None)

    # ------------------------------------------------------------------------------------------------------ for both

    def _check(self, theirs: pb.Versions) -> None:
        if why := mismatch(versions_here(), theirs):
            raise RefusedError(f"what the two ends run does not fit together (here is the head): {why}", for_good=True)

    def _send(self, sendings: Iterable[Sending]) -> None:
        for sending in sendings:
            if isinstance(sending, ToAgent):
                outbox = self._agents.get(sending.name)
            else:
                outbox = self._drivers.get(sending.driver)
            if outbox is not None:
                outbox.put_nowait(sending.message)

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(self._state.terms.beat_s / 2)
            for sending in self._state.tick(clock.now()):
                _log.info("%s", sending)
                self._send([sending])

    # --------------------------------------------------------------------------------------------------- what is asked

    async def _status(self, request: pb.StatusRequest, context: Any) -> pb.StatusReply:
        state, now = self._state, clock.now()
        free = state.holdings.free()
        nodes = [
            pb.NodeStatus(
                name=agent.name,
                state="draining" if agent.draining else "ready" if agent.name in self._agents else "silent",
                capacity=wire.resources(agent.node.capacity) if agent.node else None,
                free=wire.resources(free[agent.name]) if agent.name in free else None,
                silent_s=now - agent.heard_at,
            )
            for agent in state.agents.values()
        ]
        drivers = [
            pb.DriverStatus(
                driver=driver.driver,
                owner=driver.owner,
                experiment=driver.experiment,
                priority=driver.priority,
                reservations=len(driver.holdings),
                holds=wire.resources(driver.held()),
                connected=driver.driver in self._drivers,
                waits_for=driver.waits_because if driver.waits_for is not None else "",
            )
            for driver in state.drivers.values()
        ]
        return pb.StatusReply(
            cluster=state.cluster, epoch=state.epoch, up_s=now - self._began, nodes=nodes, drivers=drivers
        )

    async def _drain(self, request: pb.DrainRequest, context: Any) -> pb.DrainReply:
        if request.node not in self._state.agents:
            known = ", ".join(self._state.agents) or "none"
            await context.abort(grpc.StatusCode.NOT_FOUND, f"there is no node {request.node!r}; there is: {known}")
        self._send(self._state.drain(request.node, request.deadline_s))
        return pb.DrainReply()

    async def _stop(self, request: pb.StopRequest, context: Any) -> pb.StopReply:
        self.stop()
        return pb.StopReply()


def _replaced(outboxes: dict[str, Outbox], name: str) -> Outbox:
    """A new outbox; the stream that had one before ends."""
    if (before := outboxes.get(name)) is not None:
        before.put_nowait(None)
    outbox = outboxes[name] = asyncio.Queue()
    return outbox


async def _both(
    stream: AsyncIterator[Any], outbox: Outbox, hears: Any, take: Callable[[Any], None]
) -> AsyncIterator[Any]:
    """Take in what comes, and yield what is to go out, all that there is at a time as one, until a side is done."""

    async def hear() -> None:
        try:
            async for mail in stream:
                for message in mail.messages:
                    take(message)
        except ValueError as error:
            _log.warning("a stream ends for a message that makes no sense: %s", error)
        finally:
            outbox.put_nowait(None)

    hearing = asyncio.create_task(hear())
    send_at = 0.0
    try:
        while (message := await outbox.get()) is not None:
            if (early_s := send_at - time.monotonic()) > 0:
                await asyncio.sleep(early_s)
            messages, size = [message], message.ByteSize()
            while size < MAIL_BYTES and message is not None and not outbox.empty():
                if (message := outbox.get_nowait()) is not None:
                    messages.append(message)
                    size += message.ByteSize()
            yield hears(messages=messages)
            send_at = time.monotonic() + gather_s(len(messages))
            if message is None:
                return
    finally:
        hearing.cancel()
