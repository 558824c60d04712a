"""The inside of a worker: runs tasks, or is one actor, and speaks to the hub for them."""

from __future__ import annotations

import os
import pickle
import sys
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Any

from executor.interface import Channel, Program, Step
from executor.library.plans import Surrounding

__audition_internal__ = True


@dataclass(frozen=True)
class Post:
    """A worker's number, what it is to set up around itself, and the node it is on."""

    number: int
    surrounding: Surrounding
    node: str
    is_among_nodes: bool


class Host(Program):
    """Serves one hub for as long as that wants it."""

    def preload(self) -> Sequence[str]:
        """What every worker needs beside this: loaded once, before the first is forked."""
        return ("executor.library.client", "executor.library.serving")

    def steps(self, argument: Any) -> Generator[Step, Any, Any]:
        raise NotImplementedError("tasks and actors run in processes; they are no steps")
        yield

    def run(self, channel: Channel, argument: Post) -> None:
        """Set the process up, and serve."""
        from executor.library.client import Client  # the driver pickles this class, and needs none of that
        from executor.library.messages import READY, UNREADY
        from executor.library.runtime import become
        from executor.library.serving import serve
        from executor.processes.worker import SocketChannel

        assert isinstance(channel, SocketChannel)
        client = Client(channel, argument.number, argument.node, is_among_nodes=argument.is_among_nodes)
        client.surrounding = argument.surrounding
        become(client)
        try:
            _set_up(argument)
        except BaseException as error:  # noqa: BLE001 - whatever the user's hook raises
            why = f"the environment of a worker could not be set up: {type(error).__name__}: {error}"
            client.uplink.say((UNREADY, why))
            return
        client.uplink.say((READY, os.getpid()))
        serve(client)


def _set_up(post: Post) -> None:
    surrounding = post.surrounding
    if not post.is_among_nodes:  # where its code came along with this program
        sys.path[:0] = surrounding.code.paths
        if surrounding.code.folder is not None:
            os.chdir(surrounding.code.folder)
    for pickled in (surrounding.setup, surrounding.initializer):
        if pickled is not None:
            hook: Callable[[], Any] = pickle.loads(pickled)  # noqa: S301 - from our own driver
            hook()
