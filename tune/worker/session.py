"""One attempt of a trial, inside its process: what `tune.report` and its sisters speak to.

The dialogue of a report is written once, as a generator that yields what is sent and receives the answers. A live trial
drives it over its channel; a simulated one hands it to the simulated executor.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from executor.interface import Channel, Step, drive
from executor.messages import Rank
from searchers.domain import Domain
from tune.errors import CheckpointCorruptError, NotInTrialError, NotRankZeroError, StorageNotSharedError
from tune.machine.events import Answer, GoOn, Leave, SaveNow, Take
from tune.storage.checkpoints import Checkpoint, SaveFunction, copy_from
from tune.storage.directory import rendezvous
from tune.storage.places import Access, DirectoryPlace, Place
from tune.worker import accord
from tune.worker.carrying import Carried
from tune.worker.messages import Ask, Begin, Bring, Process, Refuse, Report, Save, Stage, Task, Unsaved
from tune.worker.metrics import check_decisive, normalise
from tune.worker.saving import Saving

__audition_internal__ = True

_POLL_S = 0.01
_SLOWEST_POLL_S = 0.5

CheckpointSource = str | os.PathLike[str] | Checkpoint | SaveFunction
Dialogue = Generator[Step, Answer, None]


class TrialLeave(BaseException):
    """Ends a trial that was told to stop or pause: raised by `tune.report`, so that ``finally`` blocks run.

    Not an `Exception`, so that ``except Exception`` lets it through. Who swallows it meets it again at the next report.
    """


@dataclass(frozen=True, slots=True)
class Setting:
    """What all trials of an experiment share: where it lives, its name, and the metrics that decisions rest on.

    `directory` is the experiment's on the machine that runs it, `place` where checkpoints are, that directory by
    default. `reuse` says whether a process runs one trial after another; `announces`, whether a trial says that it
    begins; `saves_aside`, whether it trains on while a checkpoint is saved.
    """

    directory: str
    experiment: str
    metrics: tuple[str, ...] = ()
    reuse: bool = False
    announces: bool = False
    place: Place | None = None
    saves_aside: bool = False


class Session:
    """The state of one attempt, in one of its workers."""

    def __init__(
        self, setting: Setting, task: Task, channel: Channel | None, clock: Callable[[], float] | None, rank: Rank
    ) -> None:
        self.setting = setting
        self.task = task
        self.channel = channel
        self.rank = rank
        self._shared = setting.place or DirectoryPlace(setting.directory)
        self.place = _access(self._shared, channel, rank)
        self._saving = Saving(self.place, task, channel, aside=setting.saves_aside)
        self.iteration = task.checkpoint.iteration if task.checkpoint else 0
        self.checkpoint = task.checkpoint
        self.files: Path | None = None
        """The directory of the checkpoint to go on from, once it was found whole."""
        self.told_to_leave = False
        self._free_until = task.free_until
        self.knows = False
        self._introduced = False
        self._clock = clock
        self._last = clock() if clock else 0.0

    # What a live trial calls.

    def report(self, metrics: Mapping[str, Any], checkpoint: CheckpointSource | None = None) -> None:
        """Send a result and wait for the answer; raises `TrialLeave` when it is to leave."""
        self.converse(self.reporting(metrics, checkpoint))
        if self.told_to_leave:
            raise TrialLeave

    def ask(self, name: str, domain: Domain) -> Any:
        """The value of a parameter that is asked for while the trial runs."""
        assert self.channel is not None
        answer = self.channel.emit(Ask(name, domain))
        assert isinstance(answer, Take)
        return answer.value

    def converse(self, dialogue: Generator[Step, Answer, Any]) -> Any:
        """Drive a dialogue over the channel, and return what it returns."""
        assert self.channel is not None
        return drive(self.channel, dialogue)

    @property
    def should_stop(self) -> bool:
        """Whether the trial was told to end, or soon will be; one that returns after it knows has left as told."""
        self.knows = self.told_to_leave or (self.channel is not None and self.channel.cancelled)
        return self.knows

    # The dialogues.

    def reporting(self, metrics: Mapping[str, Any], checkpoint: CheckpointSource | None = None) -> Dialogue:
        """Report a result; save the offered checkpoint when asked to."""
        if self.rank.number:
            raise NotRankZeroError(
                f"rank {self.rank.number} of {self.rank.size} reported a result, but in a gang only rank 0 reports: "
                "bring the metrics to rank 0 (by an all-reduce, say) and report them there, "
                "if tune.get_context().get_world_rank() == 0"
            )
        plain = normalise(metrics)
        check_decisive(plain, self.setting.metrics)
        seconds = self.lap(plain)
        fill = checkpoint if callable(checkpoint) else None
        saved = None
        if checkpoint is not None and fill is None:
            path = _path_of(checkpoint)
            if self.setting.announces and self.channel is not None:
                self.channel.tell(Bring())
            saved = self._saving.take(copy_from(path), self.iteration + 1)
            if isinstance(saved, Unsaved):
                yield Step(saved, waits=False)
        self.iteration += 1  # not before: a report that raises here was never made
        waits = not self._is_free or fill is not None or bool(plain.get("done"))  # which ends it
        kept = saved.checkpoint if isinstance(saved, Save) else None
        report = Report(plain, seconds, kept, fill is not None, self.process(), isinstance(saved, Stage))
        answer = yield Step(report, seconds, waits)
        if isinstance(answer, SaveNow):
            assert fill is not None
            answer = yield Step(self._saving.take(fill, self.iteration))
        self._saving.go_on_aside()
        if isinstance(answer, GoOn):
            self._free_until = answer.free_until
        elif isinstance(answer, Leave):
            self._free_until, self.told_to_leave = 0, True
            self._saving.finish()
        if self._clock:
            self._last = self._clock()

    def starting(self) -> Dialogue:
        """Find a checkpoint that is whole, going back to earlier ones if need be. In a gang rank 0 does."""
        if self.rank.size > 1 and self.task.checkpoint is not None and self._clock and not self._shared.is_seen():
            raise StorageNotSharedError(
                f"rank {self.rank.number} cannot go on from a checkpoint: {_sees_nothing()}. The workers of a gang need"
                " a storage_path that all their nodes share, under the same name, or a URL"
            )
        if self.rank.number:
            yield from self._following()
            return
        if self.task.attempt > 1:
            self.place.clear_unfinished(self.task.trial_id)
        while self.checkpoint is not None:
            try:
                self.files = self.place.fetch(self.checkpoint, self.task.trial_id)
                break
            except CheckpointCorruptError as error:
                answer = yield Step(Refuse(self.checkpoint, str(error)))
                assert isinstance(answer, Take)
                self.checkpoint = answer.value
        if self.rank.size > 1 and self.task.checkpoint is not None:
            accord.announce(self._shared, self.task, self.checkpoint)
        self.iteration = self.checkpoint.iteration if self.checkpoint else 0
        if self._clock:
            self._last = self._clock()

    def announcing(self) -> Dialogue:
        """Say that the user's code begins, where somebody waits for it; it does not when the answer is to leave."""
        if self.setting.announces and not self.rank.number:
            answer = yield Step(Begin(), waits=False)
            self.told_to_leave = isinstance(answer, Leave)

    def _following(self) -> Dialogue:
        """Wait for rank 0 to find the checkpoint to start from."""
        pause_s = _POLL_S
        while self.task.checkpoint is not None:
            if found := accord.announced(self._shared, self.task):
                (self.checkpoint,) = found
                if self.checkpoint:
                    self.files = self.place.fetch(self.checkpoint, self.task.trial_id)
                break
            if self._clock:
                time.sleep(pause_s)
            yield Step(None, pause_s)
            pause_s = min(2 * pause_s, _SLOWEST_POLL_S)
        self.iteration = self.checkpoint.iteration if self.checkpoint else 0

    @property
    def meeting_place(self) -> Path:
        """A directory for what the workers of this attempt leave each other.

        Raises:
            StorageNotSharedError: they run on several nodes, and share none.
        """
        if self.rank.local_size < self.rank.size:
            instead = "let them meet at MASTER_ADDR and MASTER_PORT, or give a storage_path that all their nodes share"
            if not isinstance(self._shared, DirectoryPlace):
                raise StorageNotSharedError(
                    f"the workers of {self.task.trial_id} run on several nodes and share no directory, since its"
                    f" experiment is at {self._shared.address}: {instead}"
                )
            if not self._shared.is_seen():
                raise StorageNotSharedError(f"rank {self.rank.number} cannot meet others: {_sees_nothing()}; {instead}")
        return rendezvous(Path(self.setting.directory), self.task.trial_id, self.task.attempt)

    @property
    def _is_free(self) -> bool:
        """Whether the result of this iteration can be answered by nothing but to go on."""
        if self.iteration >= self._free_until:
            return False
        return self.channel is None or not self.channel.cancelled

    def lap(self, metrics: Mapping[str, Any]) -> float:
        """Seconds of work since the last report; in a simulation what the trial says it took, one second by default."""
        if self._clock:
            return self._clock() - self._last
        return float(metrics.get("time_this_iter_s", 1.0))

    def process(self) -> Process | None:
        """Which process this is, said once; nothing in a simulation."""
        if self._introduced or self.channel is None:
            return None
        self._introduced = True
        return Process(os.getpid(), socket.gethostname())

    def finish(self) -> None:
        """Wait for a checkpoint that is still being saved; raises what went wrong with it."""
        self._saving.finish()

    def end(self) -> None:
        """Give back what the attempt held; a checkpoint that is still being saved is finished before."""
        self._saving.close()
        if self.files is not None:
            self.place.release(self.files)


def _access(place: Place, channel: Channel | None, rank: Rank) -> Access:
    """How a worker gets at checkpoints: by its channel, where it does not see them and may speak."""
    if channel is None or rank.number or place.is_seen():
        return place
    return Carried(place.address, channel)


def _sees_nothing() -> str:
    return f"{socket.gethostname()} does not see the experiment's directory"


def _path_of(checkpoint: Any) -> str:
    path = checkpoint.path if isinstance(checkpoint, Checkpoint) else checkpoint
    if not isinstance(path, str | os.PathLike):
        raise TypeError(f"checkpoint must be a directory, a Checkpoint or a function of a directory, got {path!r}")
    if not Path(path).is_dir():
        raise FileNotFoundError(f"checkpoint {os.fspath(path)!r} is no directory")
    return os.fspath(path)


# The session of this process. A worker runs one trial at a time, and its threads share it.
_current: Session | None = None


def enter(session: Session | None) -> None:
    """Make `session` the one that this process's trial speaks to."""
    global _current
    _current = session


def current(caller: str) -> Session:
    """The session of this process.

    Raises:
        NotInTrialError: no trial runs here; names `caller`.
    """
    if _current is None:
        raise NotInTrialError(f"{caller} works only inside a trial: call it from the function given to tune.run")
    return _current


def live_clock() -> Callable[[], float]:
    """The clock of a trial in a process of its own."""
    return time.monotonic
