"""What a cluster's head says of it to people: its nodes, its drivers, and the controllers beside it."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from executor.cluster import wire
from executor.cluster.controllers import Controllers, Post
from executor.cluster.members import Agent, Driver
from executor.cluster.protos import cluster as pb
from executor.cluster.state import HeadState
from executor.labels import without
from executor.resources import Resources


def overview(
    state: HeadState,
    now: float,
    *,
    up_s: float,
    connected: Collection[str],
    controllers: Iterable[pb.ControllerStatus],
) -> pb.StatusReply:
    """All that there is; `connected` are the names of the nodes and drivers that have a stream to us."""
    free = state.holdings.free()
    return pb.StatusReply(
        cluster=state.cluster,
        epoch=state.epoch,
        up_s=up_s,
        nodes=[
            _node(state, agent, now, free.get(agent.name), agent.name in connected) for agent in state.agents.values()
        ],
        drivers=[_driver(driver, driver.driver in connected) for driver in state.drivers.values()],
        controllers=controllers,
    )


def beside(controllers: Controllers | None) -> list[pb.ControllerStatus]:
    """The controllers beside the head, each of which is read from the disk."""
    return [_controller(post) for post in controllers.posts()] if controllers else []


def _node(state: HeadState, agent: Agent, now: float, free: Resources | None, connected: bool) -> pb.NodeStatus:
    return pb.NodeStatus(
        name=agent.name,
        state=_state_of(state, agent) if connected else "silent",
        capacity=wire.resources(without(agent.node.capacity)) if agent.node else None,
        free=None if free is None else wire.resources(without(free)),
        silent_s=now - agent.heard_at,
        reservations=state.reservations_on(agent.name),
        gpus_lost=agent.gpus_lost,
    )


def _state_of(state: HeadState, agent: Agent) -> str:
    if not agent.draining:
        return "ready"
    return "drained" if state.is_empty(agent.name) else "draining"


def _driver(driver: Driver, connected: bool) -> pb.DriverStatus:
    return pb.DriverStatus(
        driver=driver.driver,
        owner=driver.owner,
        experiment=driver.experiment,
        priority=driver.priority,
        reservations=len(driver.holdings),
        holds=wire.resources(without(driver.held())),
        connected=connected,
        waits_for=driver.waits_because if driver.waits_for is not None else "",
    )


def _controller(post: Post) -> pb.ControllerStatus:
    order, said, pid = post.order, post.state, post.running()
    return pb.ControllerStatus(
        name=post.name,
        owner=order.owner,
        state=said.state,
        why=said.why,
        place=said.place,
        created=order.created,
        pid=pid or 0,
        actors=said.actors,
    )
