"""What the head of a cluster knows and decides: who is there, who holds what, who is told what. Pure.

The head is a switchboard and a bookkeeper: parcels pass through it unopened, and what it knows it can have again after
a restart from the agents and drivers that come back, so that nothing here needs to be on disk but a few names. Facts go
in, with the time; what is to be sent comes out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from executor.cluster import wire
from executor.cluster.correspondence import Correspondence, left
from executor.cluster.fairness import first_before
from executor.cluster.members import Agent, Driver, process_of
from executor.cluster.membership import Terms
from executor.cluster.names import NodeNames
from executor.cluster.protos import cluster as pb
from executor.cluster.sendings import Noted, Sending, ToAgent, ToDriver
from executor.errors import InfeasibleRequestError
from executor.holdings import Holdings
from executor.resources import Node, Request

_CLAIM_S = 5.0
_ANSWER_S = 1.0


class RefusedError(Exception):
    """Somebody cannot be taken in; `for_good` when trying again does not help."""

    def __init__(self, why: str, *, for_good: bool = False) -> None:
        super().__init__(why)
        self.for_good = for_good


class HeadState:
    """One cluster's nodes and drivers. `epoch` counts the starts of the head, `names` knows those before."""

    def __init__(self, cluster: str, epoch: int, terms: Terms, now: float, names: NodeNames | None = None) -> None:
        self.cluster, self.epoch, self.terms = cluster, epoch, terms
        self.names = names or NodeNames()
        self.agents: dict[str, Agent] = {}
        self.drivers: dict[str, Driver] = {}
        self.holdings = Holdings(first=(epoch << 32) + 1)
        self._correspondence = Correspondence()
        self._started_at = now
        self._ticked_at = now

    # ------------------------------------------------------------------------------------------------------- agents

    def agent_came(self, hello: pb.AgentHello, now: float) -> tuple[str, list[Sending]]:
        """An agent says hello; its node's name, and what is to be sent.

        Raises:
            RefusedError: it belongs elsewhere, or what it still runs was given up.
        """
        if hello.cluster and hello.cluster != self.cluster:
            raise RefusedError(f"it belongs to cluster {hello.cluster}, this is {self.cluster}", for_good=True)
        if hello.highest_epoch > self.epoch:
            raise RefusedError("this head is older than the one that it has known: another head took over")
        sendings = self.agent_died(hello.succeeds, now)
        before = self.agents.get(hello.name) if hello.name else None
        given_up = not self._may_come_back(now) if before is None else before.incarnation not in ("", hello.incarnation)
        if hello.name and given_up:
            raise RefusedError("it was silent for too long, and its calls were given up")
        node = Node(hello.name or self.names.of(hello.host, self.drivers), wire.resources_of(hello.capacity))
        if before is None or before.node is None:
            sendings += self._add(node, hello, now)
        agent = self.agents[node.name]
        agent.heard_at = now
        sendings += self._sessions_of(agent, hello.drivers, now)
        return node.name, sendings

    def agent_died(self, incarnation: str, now: float) -> list[Sending]:
        """Its machine, or the agent after it there, knows that nothing is left of an agent, whatever became of it."""
        gone = [agent for agent in self.agents.values() if incarnation and agent.process == process_of(incarnation)]
        return [sending for agent in gone for sending in self.lose(agent.name, "its agent died", now)]

    def _add(self, node: Node, hello: pb.AgentHello, now: float) -> list[Sending]:
        gpus = tuple(hello.gpus)
        agent = self.agents[node.name] = Agent(node.name, hello.incarnation, node, gpus, now, hello.host)
        if hello.HasField("drain"):  # the head before us was told to
            agent.draining, agent.ends_calls_at = True, _deadline(hello.drain, now)
            return []
        self.holdings.add(node, gpus)
        for driver in self.drivers.values():
            for holding in driver.holdings.values():
                self.holdings.take(holding, node.name)
        return self._to_drivers(pb.ToDriver(joined=pb.NodeJoined(node=wire.node(node, gpus))))

    def _sessions_of(self, agent: Agent, drivers: Iterable[str], now: float) -> Iterator[Sending]:
        for name in drivers:
            driver = self.drivers.get(name)
            if driver is None:
                driver = self.drivers[name] = Driver(name, now, known=False)
                others = (one.controller for one in self.drivers.values() if one.known and one.leaving is None)
                driver.leaving = set() if driver.controller and driver.controller in others else None
            driver.nodes.add(agent.name)
            if driver.leaving is not None:
                driver.leaving.add(agent.name)
                yield ToAgent(agent.name, pb.ToAgent(end=pb.EndSession(driver=name, why="its driver has left")))
        # Also those of whom it knows nothing, or nothing any more: what began their session may have been lost.
        for driver in self._drivers_on(agent.name):
            if driver.known and driver.leaving is None:
                yield ToDriver(driver.driver, pb.ToDriver(back=pb.NodeBack(name=agent.name)))

    def agent_spoke(self, name: str, now: float) -> None:
        """Anything was heard of it."""
        self.agents[name].heard_at = now

    def gpus_lost(self, name: str, gpus: Iterable[str], now: float) -> list[Sending]:
        """Which gpus of a node cannot be used now: nothing of them is given until they can."""
        agent = self.agents[name]
        agent.gpus_lost = tuple(gpus)
        self.holdings.withhold(name, agent.gpus_lost)
        lost = ", ".join(agent.gpus_lost)
        return [Noted(f"node {name}: gpus lost: {lost or 'none any more'}"), *self._offer(now)]

    def session_ended(self, name: str, driver: str) -> list[Sending]:
        """A node has nothing any more of a driver that was to leave."""
        found = self.drivers.get(driver)
        if found is not None:
            found.nodes.discard(name)
            if found.leaving is not None:
                found.leaving.discard(name)
                return self._forget_if_left(found)
        return []

    def agent_leaves(self, name: str, now: float) -> list[Sending]:
        """An agent says that it has ended all that it ran, and goes."""
        self.names.leave(name, self.agents[name].host, self.drivers)
        return self.lose(name, "its agent was stopped", now)

    def lose(self, name: str, why: str, now: float) -> list[Sending]:
        """A node is no more."""
        agent = self.agents.pop(name)
        if agent.takes_calls:
            self.holdings.remove(name)
        sendings = [
            Noted(f"node {name} is gone: {why}"),
            *self._to_drivers(pb.ToDriver(lost=pb.NodeLost(name=name, why=why))),
        ]
        for driver in list(self.drivers.values()):
            driver.nodes.discard(name)
            if driver.leaving is not None:
                driver.leaving.discard(name)
                sendings += self._forget_if_left(driver)
        return sendings

    def drain(self, name: str, deadline_s: float, now: float) -> list[Sending]:
        """Give nothing more to a node, have its drivers move what runs there, and end the rest after `deadline_s`.

        With 0 s nothing is ended. Saying it again sets another deadline.

        Raises:
            KeyError: there is no such node.
        """
        agent = self.agents[name]
        drain = pb.Drain(deadline_s=deadline_s)
        sendings: list[Sending] = [ToAgent(name, pb.ToAgent(drain=drain))]
        first = agent.takes_calls
        agent.draining, agent.ends_calls_at = True, _deadline(drain, now)
        if first:
            self.holdings.remove(name)
            sendings += self._to_drivers(pb.ToDriver(draining=_draining(agent)))
        return sendings

    def reservations_on(self, name: str) -> int:
        """How many reservations hold something of a node."""
        return sum(one.is_on(name) for driver in self.drivers.values() for one in driver.holdings.values())

    def is_empty(self, name: str) -> bool:
        """Whether nobody has anything of a node, as far as anybody can tell."""
        return all(driver.known for driver in self._drivers_on(name)) and not self.reservations_on(name)

    def _drivers_on(self, name: str) -> list[Driver]:
        return [driver for driver in self.drivers.values() if name in driver.nodes]

    def _clear(self, agent: Agent) -> list[Sending]:
        """A drained node's time is up: what still runs there is ended, and its drivers told that it is lost."""
        agent.ends_calls_at = None
        why = f"node {agent.name} was drained, and its deadline has passed"
        sendings: list[Sending] = [Noted(f"what runs on it is ended: {why}")]
        for driver in self._drivers_on(agent.name):
            sendings.append(ToAgent(agent.name, pb.ToAgent(end=pb.EndSession(driver=driver.driver, why=why))))
            sendings.append(ToDriver(driver.driver, pb.ToDriver(lost=pb.NodeLost(name=agent.name, why=why))))
        return sendings

    # ------------------------------------------------------------------------------------------------------ drivers

    def driver_came(self, hello: pb.DriverHello, now: float) -> list[Sending]:
        """A driver says hello, for the first time or again.

        Raises:
            RefusedError: it was given up, and takes for running what was ended then.
        """
        driver = self.drivers.get(hello.driver)
        was_given_up = driver is None and not self._driver_may_come_back(now)
        has_calls = was_given_up and any(name in self.agents for name in hello.nodes)
        if has_calls or (driver is not None and driver.leaving is not None):
            raise RefusedError("it was silent for too long, and its calls were ended", for_good=True)
        fresh = driver is None or not driver.known
        if driver is None:
            driver = self.drivers[hello.driver] = Driver(hello.driver, now)
        driver.known, driver.heard_at = True, now
        driver.owner, driver.experiment, driver.priority = hello.owner, hello.experiment, hello.priority
        succession = self._succeed_controller(driver)
        lost = self._lost_to(driver, hello.nodes, fresh, now)
        offers: list[Sending] = []
        parted: list[str] = []
        if was_given_up:
            parted += hello.peers  # they were told that it has left, and have let go of what it would go on with
        else:
            self._correspondence.wrote(driver.driver, hello.peers)
        if fresh:
            self._take_holdings(driver, hello, now)
        else:
            # What was said while the connection broke may be lost: a grant, or that something was given back.
            known = {one.reservation_id for one in hello.holdings}
            for number in [number for number in driver.holdings if number not in known]:
                offers += self.given_back(driver.driver, number, now)
        back = pb.ToAgent(back=pb.DriverBack(driver=driver.driver))
        return [
            # Before the welcome, after which it says again what they may not have heard.
            *(ToDriver(driver.driver, left(peer)) for peer in parted),
            ToDriver(driver.driver, pb.ToDriver(welcome=self._welcome(driver, lost))),
            *succession,
            *(ToAgent(name, back) for name in sorted(driver.nodes) if self._is_here(name)),
            *self._correspondence.back(driver.driver),
            *offers,
        ]

    def _lost_to(self, driver: Driver, nodes: Iterable[str], fresh: bool, now: float) -> list[pb.NodeLost]:
        """Of the nodes that a driver speaks to, those on which it has nothing any more.

        It speaks also to those that it may have room on one day.
        """
        lost = []
        for name in nodes:
            agent = self.agents.get(name)
            if agent is not None and agent.draining and not fresh and name not in driver.nodes:
                why = f"node {name} was drained, and has ended what ran there, while the driver was away"
                lost.append(pb.NodeLost(name=name, why=why))
            elif agent is None and not self._may_come_back(now):
                lost.append(pb.NodeLost(name=name, why="it was lost while the driver was away"))
        return lost

    def _welcome(self, driver: Driver, lost: Iterable[pb.NodeLost]) -> pb.DriverWelcome:
        return pb.DriverWelcome(
            cluster=self.cluster,
            epoch=self.epoch,
            lease_s=self.terms.lease_s,
            beat_s=self.terms.beat_s,
            nodes=[wire.node(one.node, one.gpus) for one in self.agents.values() if one.node and one.takes_calls],
            lost=lost,
            draining=[_draining(one) for one in self.agents.values() if one.draining and one.name in driver.nodes],
        )

    def _succeed_controller(self, driver: Driver) -> list[Sending]:
        """There is one process at a time for a controller beside the head: those before this are gone."""
        return [
            sending
            for other in list(self.drivers.values())
            if driver.controller and other.controller == driver.controller and other is not driver
            for sending in self.driver_leaves(other.driver, "its controller was started again")
        ]

    def _take_holdings(self, driver: Driver, hello: pb.DriverHello, now: float) -> None:
        for message in hello.holdings:
            holding = wire.holding_of(message)
            driver.holdings[holding.reservation.reservation_id] = holding
            for name in set(holding.reservation.nodes):
                if self._is_here(name) and self.agents[name].takes_calls:
                    self.holdings.take(holding, name)
        for name in hello.nodes:
            if name in self.agents:
                driver.nodes.add(name)
            elif self._may_come_back(now):
                # Its agent knew the head before us and has not come yet; until it is lost nobody may have its name.
                self.agents[name] = Agent(name, "", None, (), self._started_at)
                driver.nodes.add(name)

    def _may_come_back(self, now: float) -> bool:
        return self.epoch > 1 and now < self._started_at + self.terms.lost_after_s

    def _is_here(self, name: str) -> bool:
        agent = self.agents.get(name)
        return agent is not None and agent.node is not None

    def _driver_may_come_back(self, now: float) -> bool:
        return self.epoch > 1 and now < self._started_at + self.terms.driver_grace_s

    def driver_spoke(self, driver: str, now: float) -> None:
        """Anything was heard of it."""
        self.drivers[driver].heard_at = now

    def driver_leaves(self, driver: str, why: str) -> list[Sending]:
        """A driver is done, or given up: its sessions end, and then its room is free."""
        found = self.drivers.get(driver)
        if found is None or found.leaving is not None:
            return []
        found.leaving = {name for name in found.nodes if name in self.agents}
        found.waits_for = None
        end = pb.ToAgent(end=pb.EndSession(driver=driver, why=why))
        return [
            Noted(f"driver {driver} is gone: {why}"),
            *(ToAgent(name, end) for name in sorted(found.leaving)),
            *self._correspondence.part(driver),
            *self._forget_if_left(found),
        ]

    def _forget_if_left(self, driver: Driver) -> list[Sending]:
        if driver.leaving:
            return []
        del self.drivers[driver.driver]
        self._correspondence.forget(driver.driver)
        for holding in driver.holdings.values():
            self.holdings.give_back(holding)
        return self._to_drivers(pb.ToDriver(freed=pb.RoomFreed())) if driver.holdings else []

    def wrote(self, driver: str, reader: str) -> None:
        """A driver writes to another: it is told when that comes back, and when it is no more."""
        self._correspondence.wrote(driver, [reader])

    def _tell_of_the_gone(self, now: float) -> list[Sending]:
        """Tell drivers who is not here that they write to; after a restart, once it is late for who was here before."""
        return [] if self._driver_may_come_back(now) else self._correspondence.part_from_all_but(self.drivers.keys())

    # --------------------------------------------------------------------------------------------------------- room

    def asked(self, driver: str, number: int, request: Request, now: float, avoid: Iterable[str] = ()) -> list[Sending]:
        """A driver asks for room, on nodes not in `avoid`."""
        found = self.drivers[driver]
        found.avoids = frozenset(avoid)
        found.claims_until = now + _CLAIM_S
        answer = pb.Answered(number=number)
        try:
            holding = None if self._must_wait(found, request, now) else self.holdings.reserve(request, found.avoids)
        except InfeasibleRequestError as error:
            found.waits_for, found.waits_because = request, str(error)
            if not self._may_come_back(now):
                answer.infeasible = str(error)
        else:
            if holding is None:
                found.waits_for = request
            else:
                found.waits_for = None
                found.holdings[holding.reservation.reservation_id] = holding
                found.nodes.update(holding.reservation.nodes)
                answer.holding.CopyFrom(wire.holding(holding))
        return [ToDriver(driver, pb.ToDriver(answered=answer))]

    def _must_wait(self, driver: Driver, request: Request, now: float) -> bool:
        """Whether room is kept from a driver just now, and why."""
        if any(not other.known for other in self.drivers.values()) or any(
            agent.node is None for agent in self.agents.values()
        ):
            driver.waits_because = "the head has just been started again, and waits for all that were here before"
            return True
        before = first_before(driver, self.drivers.values(), self.holdings, now)
        driver.waits_because = (
            f"{before.experiment or before.driver} has less, or a higher priority"
            if before
            else f"the nodes have no room for {request} just now"
        )
        return before is not None

    def given_back(self, driver: str, reservation_id: int, now: float) -> list[Sending]:
        """A driver gives room back, of which nothing is in use any more."""
        holding = self.drivers[driver].holdings.pop(reservation_id, None)
        if holding is None:
            return []
        self.holdings.give_back(holding)
        return self._offer(now, besides=driver)

    def _offer(self, now: float, *, besides: str | None = None) -> list[Sending]:
        """Tell those who wait that there may be room."""
        waiting = [one for one in self.drivers.values() if one.waits_for is not None and one.driver != besides]
        for one in waiting:
            one.claims_until = now + _ANSWER_S
        return [ToDriver(one.driver, pb.ToDriver(freed=pb.RoomFreed())) for one in waiting]

    # --------------------------------------------------------------------------------------------------------- time

    def tick(self, now: float) -> list[Sending]:
        """Time has passed: who was silent for too long is lost. If we stood still ourselves, that is nobody's fault."""
        stood_still_s = max(0.0, now - self._ticked_at - 2 * self.terms.beat_s)
        self._ticked_at = now
        for agent in self.agents.values():
            agent.heard_at += stood_still_s
        for driver in self.drivers.values():
            driver.heard_at += stood_still_s
        sendings: list[Sending] = []
        for agent in list(self.agents.values()):
            if now - agent.heard_at > self.terms.lost_after_s:
                sendings += self.lose(agent.name, f"it was silent for {self.terms.lost_after_s:g} s", now)
        for agent in self.agents.values():
            is_due = agent.ends_calls_at is not None and now >= agent.ends_calls_at
            if is_due and all(driver.known for driver in self._drivers_on(agent.name)):
                sendings += self._clear(agent)
        for driver in list(self.drivers.values()):
            if driver.leaving is None and now - driver.heard_at > self.terms.driver_grace_s:
                why = f"its driver was silent for {self.terms.driver_grace_s:g} s"
                sendings += self.driver_leaves(driver.driver, why)
        sendings += self._tell_of_the_gone(now)
        lapsed = [one for one in self.drivers.values() if 0 < one.claims_until < now]
        for one in lapsed:
            one.claims_until = 0.0
        return sendings + (self._offer(now) if lapsed else [])

    def _to_drivers(self, message: pb.ToDriver) -> list[Sending]:
        return [
            ToDriver(name, message) for name, driver in self.drivers.items() if driver.known and driver.leaving is None
        ]


def _deadline(drain: pb.Drain, now: float) -> float | None:
    return now + drain.deadline_s if drain.deadline_s else None


def _draining(agent: Agent) -> pb.NodeDraining:
    return pb.NodeDraining(name=agent.name, why=f"node {agent.name} is drained")
