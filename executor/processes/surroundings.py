"""What a call finds around it in its process: streams, environment variables, thread counts, random states."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType

from executor.processes.protocol import THREAD_VARIABLES, Order


class Surroundings:
    """Sets a process up for one call after another; what one call added does not reach the next."""

    def __init__(self, overrides: Mapping[str, str]) -> None:
        self._overrides = overrides
        self._changed: dict[str, str | None] = {}
        self._streams: tuple[int, int] | None = None
        self._log_path: str | None = None
        self._threads = 1
        self._imports = _Imports()

    def enter(self, order: Order) -> None:
        """Set the process up for `order`."""
        self._redirect(order.log_path)
        self._set_environment(order)
        threads = _number(os.environ["OMP_NUM_THREADS"], order.threads)
        self._set_threads(threads)
        self._imports.seed(order.seed, threads)

    def _redirect(self, log_path: str | None) -> None:
        before, self._log_path = self._log_path, log_path
        if before is not None and before != log_path and _is_empty(before) and _pass_on(before, log_path):
            return
        if log_path is not None:
            if self._streams is None:
                self._streams = os.dup(1), os.dup(2)
            log = _open_log(log_path)
            os.dup2(log, 1)
            os.dup2(log, 2)
            os.close(log)
        elif self._streams is not None:
            os.dup2(self._streams[0], 1)
            os.dup2(self._streams[1], 2)

    def _set_environment(self, order: Order) -> None:
        wanted = dict.fromkeys(THREAD_VARIABLES, str(order.threads))
        if order.devices is not None:
            wanted["CUDA_VISIBLE_DEVICES"] = order.devices
        wanted |= self._overrides
        wanted |= order.environment
        for name in self._changed.keys() - wanted.keys():
            _set_variable(name, self._changed.pop(name))
        for name, value in wanted.items():
            before = os.environ.get(name)
            self._changed.setdefault(name, before)
            if before != value:
                os.environ[name] = value

    def _set_threads(self, threads: int) -> None:
        """Tell libraries that are loaded already: they looked at their variables when they were."""
        if threads == self._threads:
            return
        self._threads = threads
        if "numpy" in sys.modules or "scipy" in sys.modules:
            try:
                import threadpoolctl  # a dependency of the user's libraries, and 10 ms: only when needed
            except ImportError:
                pass
            else:
                threadpoolctl.threadpool_limits(threads)
        if "torch" in sys.modules:
            sys.modules["torch"].set_num_threads(threads)


def _number(text: str, otherwise: int) -> int:
    return int(text) if text.isdigit() and int(text) > 0 else otherwise


def _set_variable(name: str, value: str | None) -> None:
    if value is None:
        os.environ.pop(name, None)
    else:
        os.environ[name] = value


def _open_log(path: str) -> int:
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
    try:
        return os.open(path, flags, 0o666)
    except FileNotFoundError:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        return os.open(path, flags, 0o666)


def _is_empty(log_path: str) -> bool:
    try:
        return os.stat(log_path).st_size == 0
    except OSError:
        return False


def _pass_on(empty: str, log_path: str | None) -> bool:
    """Make the empty log of the call before the next one's, which stays open so; else remove it."""
    try:
        if log_path is not None and not os.path.exists(log_path):
            os.rename(empty, log_path)
            # Not so when the program before put something else in the place of its streams.
            return os.path.sameopenfile(1, 2) and os.path.samestat(os.stat(log_path), os.fstat(1))
        os.unlink(empty)
    except OSError:
        pass
    return False


class _Imports:
    """Seeds the libraries that are loaded now, and as an import finder those that are imported later."""

    def __init__(self) -> None:
        self._seed = 0
        self._threads = 1
        self._actions: dict[str, Callable[[ModuleType], None]] = {
            "random": self._seed_python,
            "numpy.random": self._seed_numpy,
            "torch": self._seed_torch,
        }

    def seed(self, seed: int, threads: int) -> None:
        """From now on `seed` and `threads` are what the libraries get."""
        self._seed, self._threads = seed, threads
        for name, action in self._actions.items():
            if name in sys.modules:
                action(sys.modules[name])
        if self not in sys.meta_path:
            sys.meta_path.insert(0, self)

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Find one of our libraries as the other finders do, and have it seeded once it is loaded."""
        if name not in self._actions:
            return None
        action = self._actions[name]
        finders = (finder for finder in sys.meta_path if finder is not self)
        spec = next((spec for finder in finders if (spec := finder.find_spec(name, path, target))), None)
        if spec is not None and spec.loader is not None and hasattr(spec.loader, "__dict__"):
            execute = spec.loader.exec_module

            def exec_module(module: ModuleType) -> None:
                execute(module)
                action(module)

            # Set on this one loader, so that the module keeps the loader it expects to have.
            spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec

    def _seed_python(self, module: ModuleType) -> None:
        module.seed(self._seed)

    def _seed_numpy(self, module: ModuleType) -> None:
        module.seed(self._seed % 2**32)

    def _seed_torch(self, module: ModuleType) -> None:
        module.manual_seed(self._seed % 2**63)
        module.set_num_threads(self._threads)
