"""Detached experiments as the command line sees them: by asking the heads of the clusters that this machine knows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from executor.errors import ClusterError
from tune.cli.experiments import find
from tune.errors import NotAnExperimentError
from tune.storage import published, remote
from tune.storage.journal import DATABASE

if TYPE_CHECKING:
    from executor.cluster.protos import cluster as pb

_ASK_S = 3.0


@dataclass(frozen=True)
class Detached:
    """An experiment beside the head of `cluster`; `place` is its directory there, or its URL."""

    name: str
    state: str
    why: str
    cluster: str
    place: str


def detached() -> Iterator[Detached]:
    """Those of each cluster whose head answers."""
    from executor.cluster.security.credentials import cluster_folder, known_clusters

    for cluster in known_clusters():
        for one in _experiments(cluster_folder(cluster)):
            yield Detached(one.name, one.state, one.why, cluster, one.place)


def _experiments(folder: Path) -> Sequence[pb.ControllerStatus]:
    from executor.cluster import client

    try:
        return client.experiments(client.status(folder, within_s=_ASK_S))
    except ClusterError:
        return ()


def find_to_show(experiment: str, given: Path | None) -> Path:
    """The directory of `experiment`, which may be the name of a detached one too when no storage directory is `given`.

    Raises:
        NotAnExperimentError: there is none, or it is not seen from here: says where it is, and how it stands.
    """
    try:
        return find(experiment, given)
    except NotAnExperimentError:
        left = None if given else next((one for one in detached() if one.name == experiment), None)
        if left is None:
            raise
    if remote.is_url(left.place):
        return published.readable(left.place)
    if (Path(left.place) / DATABASE).is_file():
        return Path(left.place)
    why = f": {left.why}" if left.why else ""
    there = f"`audition show {left.place}` on its machine" if left.place else "it has no directory yet"
    raise NotAnExperimentError(
        f"experiment {experiment!r} is {left.state} beside the head of cluster {left.cluster!r}{why}; "
        f"its results are not seen from here: {there}"
    ) from None
