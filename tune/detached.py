"""Experiments whose controller lives beside a cluster's head: sent there, looked at from here, and run there.

This process may go once the experiment is sent. The controller owns the journal, on the head's machine; the head starts
it again when it dies, and when the head itself has been started again, and it goes on from the journal.
"""

from __future__ import annotations

import copy
import logging
import pickle
import sys
import time
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from executor.connect import connect
from executor.errors import ClusterError
from executor.pickling import dump
from tune.conduct import conduct
from tune.errors import ExecutorLostError, InvalidArgumentError, NotAnExperimentError, TuneError
from tune.job import Job
from tune.settings import RunConfig, TuneConfig
from tune.storage import published
from tune.views.reading import was_interrupted
from tune.views.results import ResultGrid
from tune.views.snapshot import Snapshot
from tune.wrappers import Fitted

if TYPE_CHECKING:
    from executor.cluster.controllers import Post
    from executor.cluster.protos import cluster as pb

log = logging.getLogger(__name__)

_CLUSTER = "grpc://"
_LOOK_S, _LONGEST_LOOK_S = 0.2, 2.0
_BEGIN_S = 60.0
_EXPERIMENTS = "experiments"


class DetachedRun(ResultGrid):
    """An experiment beside a cluster's head, by its name there: its results so far, and whether it still runs.

    Results are read from where the experiment is, `place`: a URL, or a directory of the head's machine, which has to be
    seen here under the same path.
    """

    def __init__(self, name: str, executor: str) -> None:
        """The experiment of that name on the cluster at `executor`, ``grpc://HOST:PORT`` or ``grpc://NAME``.

        Raises:
            ClusterError: there is none, or the cluster cannot be reached.
        """
        self.name = name
        self._folder = _folder_of(executor)
        self._taken: Snapshot | None = None
        self.metric = self.mode = None
        self._address = self._status().place
        self._directory = Path(self._address)

    def _status(self) -> pb.ControllerStatus:
        from executor.cluster.client import controller

        return controller(self._folder, self.name)

    @property
    def state(self) -> str:
        """``starting``, ``running``, ``finished``, ``ended`` (somebody asked it to) or ``failed``."""
        return str(self._status().state)

    @property
    def place(self) -> str:
        """Where the experiment is: a URL, or a directory of the head's machine."""
        return self._address

    def wait(self, timeout_s: float | None = None) -> DetachedRun:
        """Wait until it is over, also while the head is away; the results then.

        Raises:
            TuneError: it failed; says why.
            TimeoutError: it is not over after `timeout_s`.
        """
        until = None if timeout_s is None else time.monotonic() + timeout_s
        away, pause_s = False, _LOOK_S
        while True:
            try:
                found, away = self._status(), False
            except ClusterError as error:
                if not away:
                    log.warning("%s: waiting, though the head cannot be asked: %s", self.name, error)
                away = True
            else:
                if found.state == "failed":
                    raise TuneError(f"{self.name} failed: {found.why}")
                if found.state in ("finished", "ended"):
                    self._taken = None  # so that what is at a URL is read anew
                    return self
            if until is not None and time.monotonic() > until:
                raise TimeoutError(f"{self.name} is not over after {timeout_s:g} s")
            time.sleep(pause_s)
            pause_s = min(pause_s * 1.2, _LONGEST_LOOK_S)

    def end(self) -> None:
        """Ask its trials to save and stop, as Ctrl-C does; a second time ends them at once.

        ``tune.run(..., name=NAME, detached=True, resume=True)`` goes on with it.

        Raises:
            ClusterError: the head cannot be reached.
        """
        from executor.cluster.client import end

        end(self._folder, self.name)

    @property
    def _snapshot(self) -> Snapshot:
        try:
            if self._taken is None:
                self.refresh()
            found = super()._snapshot
        except NotAnExperimentError:
            where = f"{self._address}, on the head's machine, which is not seen from here"
            raise NotAnExperimentError(f"the results of {self.name} are in {where}") from None
        if self.metric is None:
            self.metric, self.mode = next(iter(found.objectives.modes.items()), (None, None))
        return found

    def __repr__(self) -> str:
        return f"DetachedRun({self.name!r}, in {self._address})"


class Going(StrEnum):
    """Whether an experiment goes on from what there is of it, which only its controller can see."""

    NEW = "new"
    ON = "on"
    AUTO = "auto"
    """If there is anything."""

    @classmethod
    def as_asked(cls, resume: object) -> Going:
        """What `resume` means: true, false, ``"AUTO"``, or the path to go on at."""
        if not resume:
            return cls.NEW
        return cls.AUTO if resume == "AUTO" else cls.ON


def submit(job: Job, going: Going = Going.NEW) -> DetachedRun:
    """Send a job to the head of its cluster, and wait until it has begun there.

    Unless it is to be new, an experiment of that name that is over goes on.

    Raises:
        InvalidArgumentError: the job has mistakes; nothing was sent.
        ClusterError: the cluster cannot be reached, takes no controllers, or has one of that name.
        TuneError: it could not begin there, or failed at once.
    """
    from executor.cluster import client

    address = job.run.executor
    if not isinstance(address, str) or not address.startswith(_CLUSTER):
        raise InvalidArgumentError(
            [f"detached=True needs executor='grpc://HOST:PORT', a cluster of ours, got {address!r}"]
        )
    folder = _folder_of(address)
    client.submit(folder, job.name, _packed(job, going), again=going is not Going.NEW)
    until = time.monotonic() + _BEGIN_S
    while (found := client.controller(folder, job.name)).state == "starting" and time.monotonic() < until:
        time.sleep(_LOOK_S)
    if found.state == "failed":
        raise TuneError(f"{job.name} has failed beside the head: {found.why}")
    return DetachedRun(job.name, address)


def _folder_of(address: str) -> Path:
    from executor.cluster.client import folder_of

    return folder_of(address.removeprefix(_CLUSTER).partition("?")[0])


@dataclass(frozen=True, slots=True)
class _Sent:
    """A job on its way: all that `Job` is made of."""

    fitted: Fitted
    space: Any
    tune: TuneConfig
    run: RunConfig
    resources: Any


def _packed(job: Job, going: Going) -> bytes:
    """A job as its controller is given it: code first, then what that code is needed to load."""
    from executor.hosting.runtime_env import RuntimeEnv

    job.check()
    tune, run = copy.deepcopy(job.tune), job.run
    job.policies()  # finds the mistakes that only making them does, and reads what is known before
    tune = replace(tune, warm_start=job.tune.warm_start, seed=job.seed)
    storage = None if run.storage_path is None else job.storage_path
    _, mark, asked = run.executor.removeprefix(_CLUSTER).partition("?")
    env = RuntimeEnv.of(run.runtime_env)
    packages = [
        (one.package.digest, one.package.content, "" if one.is_folder else source.name)
        for one, source in zip(env.packed(), [*filter(None, [env.working_dir]), *env.py_modules], strict=True)
    ]
    run = replace(run, name=job.name, storage_path=storage, executor=mark + asked, runtime_env=None)
    sent = dump(_Sent(job.fitted, job.space, tune, run, job.resources))
    return pickle.dumps((going.value, packages, dict(env.env_vars), sent), 5)


def _unpacked(post: Post) -> tuple[Job, bool]:
    """The job that a controller was given, with code and executor in place; whether it goes on from its journal.

    Raises:
        NotAnExperimentError: it was to go on, and there is nothing.
    """
    going, packages, variables, sent = pickle.loads(post.content)  # noqa: S301 - sent by who may run code here
    env = _put_in_place(post.folder / "code", packages)
    found: _Sent = pickle.loads(sent)  # noqa: S301
    cluster = post.folder.parent.parent
    run = replace(found.run, storage_path=found.run.storage_path or cluster / _EXPERIMENTS)
    job = Job(found.fitted, found.space, found.tune, run, found.resources)
    begins_anew = post.state.place == ""
    goes_on = published.exists(job.home) and not (begins_anew and going == Going.NEW)
    if begins_anew and going == Going.ON and not goes_on:
        raise NotAnExperimentError(f"there is no experiment to resume in {job.home.address}")
    executor = connect(
        f"{_CLUSTER}{cluster.name}{run.executor}",
        experiment=job.name,
        runtime_env={**env, "env_vars": variables},
        controller=post.name,
    )
    job.run = replace(run, executor=executor)
    return job, goes_on


def _put_in_place(folder: Path, packages: list[tuple[str, bytes, str]]) -> dict[str, Any]:
    """Unpack the code that was sent along, import from it, and have it sent on to nodes as it came."""
    from executor.hosting.packages import Package, unpack

    env: dict[str, Any] = {"py_modules": []} if packages else {}
    for digest, content, name in packages:
        place = folder / digest
        unpack(Package(digest, content), place)
        sys.path.insert(0, str(place))
        if name:
            env["py_modules"].append(place / name)
        else:
            env["working_dir"] = place
    return env


def run_controller(post: Post) -> int:
    """Be the controller of an experiment until it is over, or its cluster is; the exit code."""
    from executor.cluster.controllers import State

    post.hold()
    if post.order.ended_by:
        post.say_ended()
        return 0
    place = post.state.place
    try:
        job, resume = _unpacked(post)
        place = job.home.address
        if resume or not published.exists(job.home):
            post.say(State(post.state.state, place=place))  # from now on the journal there is ours
        with job.run.executor:
            conduct(job, resume=resume, begun=lambda: post.say(State("running", place=place)))
    except (ClusterError, ExecutorLostError) as error:
        log.warning("the cluster is gone, and the experiment goes on when it is back: %s", error)
        return 1
    except BaseException as error:  # also what a callback ends its process by: we would be started again, for ever
        log.exception("the experiment failed")
        post.say(State("failed", f"{type(error).__name__}: {error}", place))
        return 1
    if was_interrupted(job.home.live):
        if not (who := post.order.ended_by):
            return 1  # the machine goes down, and somebody starts us again
        post.say(State("ended", f"{who} ended it", place))
    else:
        post.say(State("finished", place=place))
    return 0


def main() -> None:
    """What the head starts, with a folder as its argument; nobody types it."""
    from executor.cluster.controllers import Post

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    sys.exit(run_controller(Post(Path(sys.argv[1]))))


if __name__ == "__main__":
    main()
