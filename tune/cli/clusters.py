"""``audition cluster``: start one, let machines and people in, look at it, end it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import typer

from executor.cluster import client, wire
from executor.cluster.controllers import kind_of
from executor.cluster.home import PLACE, Place, is_served
from executor.cluster.membership import Terms
from executor.cluster.protos import cluster as pb
from executor.cluster.security.credentials import cluster_folder, known_clusters, make_private
from executor.cluster.security.knocking import knock
from executor.cluster.security.roles import Role
from executor.cluster.security.tokens import Invitation
from executor.cluster.serving import Offer, this_python
from executor.errors import ClusterError
from tune.cli.terminal import print_json, print_table
from tune.views.wording import duration_text

_CONTROLLER = "tune.detached"
_READY_S = 15.0
_LOOK_S = 0.05
_DRAIN_LOOK_S = 0.2


def start(
    name: str, host: str, port: int, offer: Offer | None, terms: Terms, *, controllers: bool, foreground: bool
) -> None:
    """Start a head, and a node on this machine if there is an offer; say how others join.

    Raises:
        ClusterError: it runs already, or did not come up.
    """
    folder = cluster_folder(name)
    make_private(folder)
    if is_served(folder):
        raise ClusterError(f"cluster {name!r} runs already: `audition cluster stop {name}` ends it")
    (folder / PLACE).unlink(missing_ok=True)
    controller = _CONTROLLER if controllers else ""
    options = json.dumps({"host": host, "port": port, "terms": asdict(terms), "controller": controller})
    head = _spawn(folder, "head", options)
    _await_head(folder, head)
    started = [head]
    if offer is not None:
        _issue_agent(folder)
        started.append(_spawn(folder, "node", json.dumps(asdict(offer))))
    place = Place.load(folder)
    typer.echo(f"cluster {name!r} is served at grpc://{place.address}")
    typer.echo(f'experiments run on it by: tune.run(..., executor="grpc://{place.address}")')
    typer.echo("another machine joins, once and within 15 minutes, by:")
    typer.echo(f"  audition cluster join {_invitation(folder, Role.AGENT)}")
    if foreground:
        _stay(started)


def _spawn(folder: Path, what: str, options: str) -> subprocess.Popen[bytes]:
    """A process that goes on when this one and its terminal are gone; what it says is in ``WHAT.log``."""
    log = os.open(folder / f"{what}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        return subprocess.Popen(
            this_python(what, str(folder), options),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    finally:
        os.close(log)


def _await_head(folder: Path, head: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + _READY_S
    while not (folder / PLACE).exists():
        if head.poll() is not None or time.monotonic() > until:
            last = (folder / "head.log").read_text(errors="replace").splitlines()[-1:]
            raise ClusterError(f"the head did not come up: {last[0] if last else 'it said nothing'}")
        time.sleep(_LOOK_S)


def _issue_agent(folder: Path) -> None:
    """A certificate for the node on the head's own machine, by an invitation like any other's."""
    credentials, _ = knock(_invitation(folder, Role.AGENT, host="127.0.0.1"))
    credentials.save(folder, Role.AGENT)


def _invitation(folder: Path, role: Role, host: str | None = None) -> Invitation:
    reply: pb.InviteReply = client.ask(folder, "Invite", pb.InviteRequest(role=role), pb.InviteReply)
    return Invitation(host or Place.load(folder).host, reply.port, reply.pin, reply.token)


def _stay(started: Sequence[subprocess.Popen[bytes]]) -> None:
    """Stay until one of the processes ends, or a signal ends them all: the node first, which says so to the head."""

    def end(*_: object) -> None:
        for process in reversed(started):
            process.terminate()
            process.wait()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    for process in started:
        process.wait()


def invite(name: str | None, role: str) -> None:
    """Print the line that lets one machine or person in."""
    if role not in list(Role):
        raise ClusterError(f"role must be one of {', '.join(Role)}, got {role!r}")
    typer.echo(f"audition cluster join {_invitation(_folder(name), Role(role))}")


def join(text: str, name: str | None, offer: Offer, *, foreground: bool) -> None:
    """Accept an invitation: become a node, or get credentials."""
    invitation = Invitation.parse(text)
    credentials, certified = knock(invitation)
    role = Role(certified.role)
    folder = cluster_folder(name or f"{invitation.host.strip('[]')}-{certified.port}".replace(":", "."))
    credentials.save(folder, role)
    place = Place(invitation.host, certified.port)
    if not (folder / PLACE).exists():
        place.save(folder)
    if role is not Role.AGENT:
        typer.echo(f"credentials of a {role} for grpc://{place.address} are in {folder}")
        return
    node = _spawn(folder, "node", json.dumps(asdict(offer)))
    typer.echo(f"this machine is a node of the cluster at {place.address} (process {node.pid}, log {folder}/node.log)")
    if foreground:
        _stay([node])


def show_status(name: str | None, *, as_json: bool) -> None:
    """Print nodes and experiments."""
    folder = _folder(name)
    found = client.status(folder)
    if as_json:
        print_json(_as_data(found))
        return
    typer.echo(f"cluster {folder.name!r} at {Place.load(folder).address}, up {duration_text(found.up_s)}")
    if not found.nodes:
        typer.echo("no nodes: `audition cluster invite` prints the line by which one joins")
    else:
        rows = [
            [node.name, _state_of(node), node.reservations, _shown(node.capacity), _shown(node.free)]
            for node in found.nodes
        ]
        print_table(("node", "state", "reservations", "has", "free"), rows)
    if found.drivers:
        typer.echo()
        print_table(
            ("experiment", "owner", "priority", "reservations", "holds", "state"),
            [
                [
                    one.experiment or one.driver,
                    one.owner,
                    one.priority,
                    one.reservations,
                    _shown(one.holds),
                    ("waits: " + one.waits_for if one.waits_for else "connected") if one.connected else "away",
                ]
                for one in found.drivers
            ],
        )
    if experiments := client.experiments(found):
        typer.echo()
        rows = [[one.name, one.owner, _told(one), one.place] for one in experiments]
        print_table(("detached", "owner", "state", "directory, beside the head"), rows)
    if namespaces := client.namespaces(found):
        typer.echo()
        rows = [[name, _told(one), ", ".join(one.actors)] for name, one in namespaces.items()]
        print_table(("namespace", "state", "detached actors"), rows)


def _told(one: pb.ControllerStatus) -> str:
    return f"{one.state}: {one.why}" if one.why else one.state


def _state_of(node: pb.NodeStatus) -> str:
    return f"{node.state}, without gpu {', '.join(node.gpus_lost)}" if node.gpus_lost else node.state


def _shown(amounts: pb.Resources) -> str:
    return str(wire.resources_of(amounts))


def _as_data(found: pb.StatusReply) -> dict[str, Any]:
    return {
        "cluster": found.cluster,
        "epoch": found.epoch,
        "up_s": found.up_s,
        "nodes": [
            {
                "name": node.name,
                "state": node.state,
                "capacity": wire.resources_of(node.capacity).as_dict(),
                "free": wire.resources_of(node.free).as_dict(),
                "silent_s": node.silent_s,
                "reservations": node.reservations,
                "gpus_lost": list(node.gpus_lost),
            }
            for node in found.nodes
        ],
        "experiments": [
            {
                "experiment": one.experiment,
                "driver": one.driver,
                "owner": one.owner,
                "priority": one.priority,
                "reservations": one.reservations,
                "holds": wire.resources_of(one.holds).as_dict(),
                "connected": one.connected,
                "waits_for": one.waits_for,
            }
            for one in found.drivers
        ],
        "detached": [
            {
                "experiment": one.name,
                "owner": one.owner,
                "state": one.state,
                "why": one.why,
                "directory": one.place,
                "created": one.created,
                "pid": one.pid or None,
            }
            for one in client.experiments(found)
        ],
        "namespaces": [
            {"namespace": name, "state": one.state, "why": one.why, "actors": list(one.actors), "pid": one.pid or None}
            for name, one in client.namespaces(found).items()
        ],
    }


def drain(node: str, name: str | None, deadline_s: float | None, *, wait: bool) -> None:
    """Give nothing more to a node, have its trials go on elsewhere, and stay until it is empty."""
    folder = _folder(name)
    client.ask(folder, "Drain", pb.DrainRequest(node=node, deadline_s=deadline_s or 0.0), pb.DrainReply)
    typer.echo(f"node {node} gets nothing more to run, and its trials go on elsewhere from their next report on")
    left = None
    while wait and (found := next((one for one in client.status(folder).nodes if one.name == node), None)):
        if found.state == "drained":
            typer.echo(f"node {node} is empty")
            return
        if found.reservations != left:
            left = found.reservations
            typer.echo(f"{left} {'reservation is' if left == 1 else 'reservations are'} left on it")
        time.sleep(_DRAIN_LOOK_S)
    if wait:
        typer.echo(f"node {node} is gone")


def end(controller: str, name: str | None) -> None:
    """Ask a detached experiment to end in good order, or the actors of a namespace to."""
    client.end(_folder(name), controller)
    what = "end its actors" if kind_of(controller) else "save and stop"
    typer.echo(f"{controller} was asked to {what}: `audition cluster status` shows when it has")


def forget(controller: str, name: str | None) -> None:
    """List a detached experiment, or a namespace, that is over no more."""
    place = client.forget(_folder(name), controller)
    typer.echo(f"{controller} was forgotten" + (f"; its results stay in {place}, beside the head" if place else ""))


def stop(name: str | None) -> None:
    """End a cluster: its nodes leave, its experiments lose their calls and can be resumed."""
    folder = _folder(name)
    client.ask(folder, "Stop", pb.StopRequest(), pb.StopReply)
    until = time.monotonic() + _READY_S
    while is_served(folder) and time.monotonic() < until:  # so that it may be started again at once
        time.sleep(_LOOK_S)
    typer.echo(f"cluster {folder.name!r} was stopped")


def _folder(name: str | None) -> Path:
    """The folder of the cluster that is meant: by its name or address, or the only one."""
    if name is not None:
        return client.folder_of(name.removeprefix("grpc://"))
    names = known_clusters()
    if len(names) != 1:
        known = ", ".join(names) or "none: `audition cluster start` makes one"
        raise ClusterError(f"say which cluster is meant; known here: {known}")
    return cluster_folder(names[0])
