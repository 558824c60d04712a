"""A whole cluster in this process: a head on a port of loopback, and agents with their own worker processes."""

from __future__ import annotations

import asyncio
import secrets
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import grpc

from executor.cluster import clock
from executor.cluster.agent import Agent, Machine
from executor.cluster.dialing import asked, way
from executor.cluster.fleet import ClusterFleet
from executor.cluster.head import SERVER_OPTIONS, Head, Household
from executor.cluster.line import CHANNEL_OPTIONS
from executor.cluster.membership import Terms
from executor.cluster.protos import cluster as pb
from executor.cluster.security.guard import OpenDoor
from executor.cluster.state import HeadState
from executor.devices import names
from executor.hosting.executor import RemoteExecutor
from executor.labels import offered
from executor.resources import Resources


class Rig:
    """Starts and stops the parts one by one."""

    def __init__(self, terms: Terms | None = None, folder: Path | None = None) -> None:
        self.terms = terms or Terms()
        self._folder = folder
        self.port = 0
        self.epoch = 0
        self.agents: dict[str, Agent] = {}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.start_head()

    def start_head(self) -> None:
        self.epoch += 1
        ready = threading.Event()
        state = HeadState("test", self.epoch, self.terms, clock.now())

        async def serve() -> None:
            server = grpc.aio.server(options=SERVER_OPTIONS)
            self.port = server.add_insecure_port(f"127.0.0.1:{self.port}")
            self.head = Head(state, Household(OpenDoor(), _nobody, _nobody, lambda: None, folder=self._folder))
            ready.set()
            await self.head.serve(server)

        self._serving = asyncio.run_coroutine_threadsafe(serve(), self._loop)
        assert ready.wait(10)

    def stop_head(self) -> None:
        self._loop.call_soon_threadsafe(self.head.stop)
        self._serving.result(10)

    def dismiss(self, why: str, driver: str = "") -> None:
        """Have the head refuse a driver, or all of them, for good."""
        refused = pb.ToDriver(refused=pb.Refused(why=why, for_good=True))
        for name, outbox in list(self.head._drivers.items()):
            if driver in ("", name):
                self._loop.call_soon_threadsafe(outbox.put_nowait, refused)

    def give_up(self, driver: str) -> None:
        """Have the head take a driver for gone, as if it had not heard it for too long; it comes back at once."""

        def leave() -> None:
            self.head._send(self.head._state.driver_leaves(driver, "it was silent for too long"))
            self.head._drivers[driver].put_nowait(None)

        self._loop.call_soon_threadsafe(leave)

    def dial(self) -> grpc.Channel:
        return grpc.insecure_channel(f"127.0.0.1:{self.port}", options=CHANNEL_OPTIONS)

    def join(self, host: str, amounts: Mapping[str, float], labels: Mapping[str, str] | None = None) -> Agent:
        machine = Machine(Resources.of(amounts) + offered(labels or {}), names(amounts.get("gpu", 0)), host=host)
        agent = self.agents[host] = Agent(way(self.dial, self._folder), machine, secrets.token_hex(8))
        return agent

    def drain(self, node: str) -> None:
        asked(self.dial, "Drain", pb.DrainRequest(node=node), pb.DrainReply)

    def connect(self, **options: Any) -> RemoteExecutor:
        return RemoteExecutor(ClusterFleet(self.dial, **options))

    def close(self) -> None:
        if self._loop.is_closed():
            return
        for agent in self.agents.values():
            agent.close()
        self.stop_head()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


def _nobody(*_: Any) -> Any:
    raise AssertionError("in a rig nobody is invited")


class RiggedExecutor(RemoteExecutor):
    """An executor with a cluster of its own, which goes with it."""

    def __init__(self, amounts: Mapping[str, float]) -> None:
        self._rig = Rig()
        self._rig.join("near", amounts)
        super().__init__(ClusterFleet(self._rig.dial))
        while not self.nodes():
            self.events(self.clock() + 1)
        self.events(self.clock())

    def close(self) -> None:
        super().close()
        self._rig.close()
