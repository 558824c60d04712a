"""What a user of a cluster does: find it, ask about it, and run on it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from executor.cluster.controllers import ACTORS, FOLDER, Post, called, kind_of
from executor.cluster.dialing import ASK_S, asked, dialer
from executor.cluster.fleet import ClusterFleet, Identity, owner
from executor.cluster.home import Place
from executor.cluster.protos import cluster as pb
from executor.cluster.security.credentials import Credentials, cluster_folder, known_clusters
from executor.cluster.security.roles import Role
from executor.errors import ClusterError

_MOST_BYTES = 60 * 2**20
_SUBMIT_S = 120.0


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


def open_fleet(
    target: str, *, experiment: str = "", priority: int = 0, patience_s: float = 60.0, controller: str = ""
) -> ClusterFleet:
    """The nodes of the cluster that is served at ``HOST:PORT``, or that has that name on this machine.

    A request that no node can hold waits up to `patience_s` for one that can. Room is given to a higher `priority`
    first, and shared among experiments of the same. `controller` is which of those beside the head we are, if we are
    one: what is left of the process before us ends.

    Raises:
        ClusterError: there are no credentials for it here, or its head does not answer or refuses us.
    """
    folder = folder_of(target)
    dial = dialer(Place.load(folder).address, lambda: Credentials.load(folder, Role.DRIVER))
    token = Post(folder / FOLDER / controller).token if controller else ""
    identity = Identity(experiment, priority, controller, token)
    return ClusterFleet(dial, identity, folder=folder, patience_s=patience_s)


def ask(folder: Path, call: str, question: Any, reply: Any, *, within_s: float = ASK_S) -> Any:
    """One question to the head.

    Raises:
        ClusterError: it cannot be reached, or refuses.
    """
    place = Place.load(folder)
    role = Role.DRIVER if (folder / f"{Role.DRIVER}.crt").exists() else Role.VIEWER
    try:
        return asked(dialer(place.address, lambda: Credentials.load(folder, role)), call, question, reply, within_s)
    except ClusterError as error:
        raise ClusterError(f"the head of cluster {folder.name!r} at {place.address}: {error}") from None


def submit(folder: Path, name: str, content: bytes, *, again: bool = False) -> None:
    """Have a controller beside the head that is given `content`; with `again`, go on with one that is over.

    Raises:
        ClusterError: the name is taken, `content` is too large, or the head cannot be reached, or takes none.
    """
    if len(content) > _MOST_BYTES:
        raise ClusterError(
            f"{name!r} takes {len(content) / 2**20:.0f} MiB with the code that its runtime_env sends along, and a "
            f"detached experiment may take {_MOST_BYTES // 2**20}: leave large files out by runtime_env's excludes, or "
            f"have them where trials run"
        )
    request = pb.SubmitRequest(name=name, owner=owner(), content=content, again=again)
    ask(folder, "Submit", request, pb.SubmitReply, within_s=_SUBMIT_S)


def controller(folder: Path, name: str) -> pb.ControllerStatus:
    """How a controller beside the head stands.

    Raises:
        ClusterError: there is none of this name, or the head cannot be reached.
    """
    found = status(folder).controllers
    for one in found:
        if one.name == name:
            return one
    known = ", ".join(one.name for one in found) or "none"
    raise ClusterError(f"there is no {called(name)} in cluster {folder.name!r}; there is: {known}")


def end(folder: Path, name: str) -> None:
    """Ask a controller to end in good order; a second time at once.

    Raises:
        ClusterError: there is none of this name, or the head cannot be reached.
    """
    ask(folder, "End", pb.EndRequest(name=name, who=owner()), pb.EndReply)


def forget(folder: Path, name: str) -> str:
    """Have a controller that is over be listed no more; where what it has kept stays.

    Raises:
        ClusterError: there is none of this name, it is not over, or the head cannot be reached.
    """
    return str(ask(folder, "Forget", pb.ForgetRequest(name=name), pb.ForgetReply).place)


def status(folder: Path, *, within_s: float = ASK_S) -> pb.StatusReply:
    """The cluster's nodes and experiments.

    Raises:
        ClusterError: the head cannot be reached.
    """
    found: pb.StatusReply = ask(folder, "Status", pb.StatusRequest(), pb.StatusReply, within_s=within_s)
    return found


def experiments(found: pb.StatusReply) -> list[pb.ControllerStatus]:
    """Of a cluster's controllers those of experiments."""
    return [one for one in found.controllers if not kind_of(one.name)]


def namespaces(found: pb.StatusReply) -> dict[str, pb.ControllerStatus]:
    """Those that have detached actors, by the namespaces of these."""
    return {one.name.partition(":")[2]: one for one in found.controllers if kind_of(one.name) == ACTORS}
