"""Linux control groups of memory, version 1 and 2: the one that we are in, and those that we make for workers.

A worker's group lies in our own (version 1), or in the nearest one around us that may have groups with limits in it
(version 2, where a group with processes has none). Its name says who made it, so that whoever makes the next removes
those whose maker is gone.
"""

from __future__ import annotations

import itertools
import os
import signal
from contextlib import suppress
from dataclasses import dataclass
from functools import cache

_PREFIX = "audition"
_LOT_BYTES = 64 * os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class _Files:
    """What a version calls its files. ``extras`` are written where they exist, with the limit for ``{limit}``."""

    limit: str
    extras: tuple[tuple[str, str], ...]
    current: str
    peak: str
    kills: str


_VERSION_1 = _Files(
    limit="memory.limit_in_bytes",
    extras=(("memory.memsw.limit_in_bytes", "{limit}"),),
    current="memory.usage_in_bytes",
    peak="memory.max_usage_in_bytes",
    kills="memory.oom_control",
)
_VERSION_2 = _Files(
    limit="memory.max",
    # No swap, which would only make it slow; and all of the group ends together, not a child that nobody misses.
    extras=(("memory.swap.max", "0"), ("memory.oom.group", "1")),
    current="memory.current",
    peak="memory.peak",
    kills="memory.events",
)


@dataclass(frozen=True, slots=True)
class Surrounding:
    """The group that this process is in, and the folder in which groups can be made, if any."""

    path: str
    files: _Files
    room: str | None

    def kills(self) -> int | None:
        """How many of its processes the system has ended for want of memory; None when it does not count them."""
        return _find(f"{self.path}/{self.files.kills}", "oom_kill")

    def left_bytes(self) -> int | None:
        """What its limit leaves to it; None when it has none."""
        limit = _find(f"{self.path}/{self.files.limit}")
        return None if limit is None else max(0, limit - number(f"{self.path}/{self.files.current}"))


class Group:
    """A worker's control group."""

    def __init__(self, path: str, files: _Files) -> None:
        self._path = path
        self._files = files

    def limit(self, limit_bytes: int) -> None:
        """Hold it to the limit.

        Raises:
            OSError: it cannot be.
        """
        _write(f"{self._path}/{self._files.limit}", str(limit_bytes))
        for name, value in self._files.extras:
            with suppress(OSError):
                _write(f"{self._path}/{name}", value.format(limit=limit_bytes))

    def open(self) -> int:
        return os.open(f"{self._path}/cgroup.procs", os.O_WRONLY | os.O_CLOEXEC)

    def holds(self, pid: int) -> bool:
        return pid in self._members()

    def kills(self) -> int:
        return number(f"{self._path}/{self._files.kills}", "oom_kill")

    def was_full(self) -> bool:
        # Version 2 counts how often. Version 1 should, in `failcnt`, but kernels are about where that stays 0.
        counted = number(f"{self._path}/{self._files.kills}", "max")
        return counted > 0 or self.peak_bytes() >= number(f"{self._path}/{self._files.limit}") - _LOT_BYTES

    def peak_bytes(self) -> int:
        return number(f"{self._path}/{self._files.peak}")

    def remove(self) -> bool:
        for pid in self._members():
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        try:
            os.rmdir(self._path)
        except FileNotFoundError:
            return True
        except OSError:
            return False  # what was killed has not quite ended
        return True

    def _members(self) -> set[int]:
        return set(map(int, _words(f"{self._path}/cgroup.procs")))


_numbers = itertools.count(1)


def make_group(limit_bytes: int) -> Group | None:
    around = surrounding()
    if around is None or around.room is None:
        return None
    _sweep_once(around.room, around.files)
    path = f"{around.room}/{_PREFIX}-{_pid_namespace()}-{os.getpid()}-{_started(os.getpid())}-{next(_numbers)}"
    group = Group(path, around.files)
    try:
        os.mkdir(path)
        group.limit(limit_bytes)
        os.close(group.open())  # as it will be for the worker
    except OSError:
        group.remove()
        return None
    return group


@cache
def _sweep_once(room: str, files: _Files) -> None:
    """Remove the groups whose makers were killed before they could, and end what is still in them."""
    for name in os.listdir(room):
        words = name.split("-")
        if len(words) == 5 and words[:2] == [_PREFIX, str(_pid_namespace())] and str(_started(words[2])) != words[3]:
            Group(f"{room}/{name}", files).remove()


def _pid_namespace() -> int:
    """Only within it do process ids mean the same."""
    return os.stat("/proc/self/ns/pid").st_ino


def _started(pid: int | str) -> int | None:
    """When the process was started, on the machine's own clock: ids are used again, together with this they are not."""
    try:
        with open(f"/proc/{pid}/stat", "rb", buffering=0) as stat:
            return int(stat.read().rpartition(b")")[2].split()[19])
    except OSError:
        return None


@cache
def surrounding() -> Surrounding | None:
    """The group of memory that this process is in; None where there are no such groups."""
    groups = dict(line.rstrip("\n").split(":", 2)[1:] for line in _lines("/proc/self/cgroup"))
    mounts = [line.split() for line in _lines("/proc/self/mountinfo")]
    for controllers, path in groups.items():
        if "memory" in controllers.split(","):
            return _version_1(path, [words for words in mounts if "memory" in words[-1].split(",")])
    return _version_2(groups.get("", "/"), [words for words in mounts if words[words.index("-") + 1] == "cgroup2"])


def _version_1(path: str, mounts: list[list[str]]) -> Surrounding | None:
    for words in mounts:
        if own := _inside(path, root=words[3], mount=words[4]):
            return Surrounding(own, _VERSION_1, own if _may_make(own) else None)
    return None


def _version_2(path: str, mounts: list[list[str]]) -> Surrounding | None:
    for words in mounts:
        if own := _inside(path, root=words[3], mount=words[4]):
            return Surrounding(own, _VERSION_2, room_of_version_2(own, words[4]) if _are_wanted() else None)
    return None


def room_of_version_2(own: str, mount: str) -> str | None:
    """The nearest folder, our own or one around it, whose groups may have limits; never past a limit of ours."""
    folder = own
    while True:
        if "memory" in _words(f"{folder}/cgroup.subtree_control"):
            return folder if _may_make(folder) else None
        if folder == mount or _find(f"{folder}/memory.max") is not None:
            return None
        folder = os.path.dirname(folder)


def _inside(path: str, *, root: str, mount: str) -> str | None:
    """Where the group `path` is found when `root` is what is mounted; None when it lies outside, or nowhere."""
    root = root.rstrip("/")
    found = f"{mount}{path.removeprefix(root)}".rstrip("/")
    return found if f"{path}/".startswith(f"{root}/") and ".." not in path and os.path.isdir(found) else None


def _may_make(folder: str) -> bool:
    return _are_wanted() and os.access(folder, os.W_OK) and os.access(f"{folder}/cgroup.procs", os.W_OK)


def _are_wanted() -> bool:
    return os.environ.get("AUDITION_CGROUPS", "") != "0"


def number(path: str, key: str = "") -> int:
    """The number in the file, or the one behind `key`; 0 when there is none."""
    return _find(path, key) or 0


def _find(path: str, key: str = "") -> int | None:
    for line in _lines(path):
        words = line.split()
        if not key and words and words[0].isdigit():
            return int(words[0])
        if key and len(words) > 1 and words[0] == key:
            return int(words[1])
    return None


def _words(path: str) -> list[str]:
    return " ".join(_lines(path)).split()


def _lines(path: str) -> list[str]:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.readlines()
    except OSError:
        return []


def _write(path: str, text: str) -> None:
    with open(path, "w", encoding="ascii") as file:
        file.write(text)
