"""Detached experiments as the command line sees them: by asking the heads of the clusters that this machine knows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from executor.errors import ClusterError
from tune.cli.experiments import find
from tune.errors import ExperimentBusyError, NotAnExperimentError
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

    @property
    def goes_on(self) -> bool:
        """Whether it goes on there by itself."""
        return self.state in ("starting", "running")

    def __str__(self) -> str:
        why = f": {self.why}" if self.why else ""
        return f"experiment {self.name!r} is {self.state} beside the head of cluster {self.cluster!r}{why}"


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
        left = _named(experiment, given)
        if left is None:
            raise
    if remote.is_url(left.place):
        return published.readable(left.place)
    if (Path(left.place) / DATABASE).is_file():
        return Path(left.place)
    there = f"`audition show {left.place}` on its machine" if left.place else "it has no directory yet"
    raise NotAnExperimentError(f"{left}; its results are not seen from here: {there}") from None


def find_to_resume(experiment: str, given: Path | None) -> Path:
    """The directory of `experiment`, to go on with it here; a detached one goes on beside its head.

    Raises:
        NotAnExperimentError: there is none, or it is a detached one that is over: says how that goes on.
        ExperimentBusyError: it is a detached one, which runs.
    """
    try:
        return find(experiment, given)
    except NotAnExperimentError:
        left = _named(experiment, given)
        if left is None:
            raise
    if left.goes_on:
        raise ExperimentBusyError(f"{left}, and goes on there by itself: `audition show {left.name}`") from None
    python = f"tune.run(..., name={left.name!r}, executor='grpc://{left.cluster}', detached=True, resume=True)"
    raise NotAnExperimentError(
        f"{left}, and goes on there too: `audition run SWEEP.yaml --detach --resume`, or {python}"
    ) from None


def _named(experiment: str, given: Path | None) -> Detached | None:
    """The detached experiment of that name, which nobody means who gives a storage directory.

    Of several, one that goes on: it may have ended in one cluster, and have been begun in another.
    """
    named = [] if given else [one for one in detached() if one.name == experiment]
    return max(named, key=lambda one: one.goes_on, default=None)
