"""What a user of a cluster does: find it, ask about it, and run on it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from executor.cluster.dialing import asked, dialer
from executor.cluster.fleet import ClusterFleet, Identity
from executor.cluster.home import Place
from executor.cluster.protos import cluster as pb
from executor.cluster.security.credentials import Credentials, cluster_folder, known_clusters
from executor.cluster.security.roles import Role
from executor.errors import ClusterError


def folder_of(target: str) -> Path:
    """The folder of the cluster that is called `target` here, or served at that ``HOST:PORT``.

    Raises:
        ClusterError: this machine has no credentials for it.
    """
    names = known_clusters()
    if target in names:
        return cluster_folder(target)
    for name in names:
        folder = cluster_folder(name)
        try:
            if Place.load(folder).address == target:
                return folder
        except ClusterError:
            continue
    known = ", ".join(names) or "none"
    raise ClusterError(
        f"there are no credentials for a cluster at {target!r} here (known: {known}). On a machine that has them, "
        f"`audition cluster invite --role driver` prints the line that gets them for this one"
    )


def open_fleet(target: str, *, experiment: str = "", priority: int = 0, patience_s: float = 60.0) -> ClusterFleet:
    """The nodes of the cluster that is served at ``HOST:PORT``, or that has that name on this machine.

    A request that no node can hold waits up to `patience_s` for one that can. Room is given to a higher `priority`
    first, and shared among experiments of the same.

    Raises:
        ClusterError: there are no credentials for it here, or its head does not answer or refuses us.
    """
    folder = folder_of(target)
    dial = dialer(Place.load(folder).address, lambda: Credentials.load(folder, Role.DRIVER))
    return ClusterFleet(dial, Identity(experiment, priority), patience_s=patience_s)


def ask(folder: Path, call: str, question: Any, reply: Any) -> Any:
    """One question to the head.

    Raises:
        ClusterError: it cannot be reached, or refuses.
    """
    place = Place.load(folder)
    role = Role.DRIVER if (folder / f"{Role.DRIVER}.crt").exists() else Role.VIEWER
    try:
        return asked(dialer(place.address, lambda: Credentials.load(folder, role)), call, question, reply)
    except ClusterError as error:
        raise ClusterError(f"the head of cluster {folder.name!r} at {place.address}: {error}") from None


def status(folder: Path) -> pb.StatusReply:
    """The cluster's nodes and experiments."""
    found: pb.StatusReply = ask(folder, "Status", pb.StatusRequest(), pb.StatusReply)
    return found
