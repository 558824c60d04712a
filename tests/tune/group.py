"""A collective between the workers of a trial, over the address that they find in their environment."""

from __future__ import annotations

import json
import os
import socket
import time
from typing import Any, ClassVar

import tune
from tests.tune.trainables import DEADLINE_S


class Group:
    """All workers of this trial, each joined to rank 0 until its process ends."""

    _kept: ClassVar[list[Group]] = []

    def __init__(self) -> None:
        context = tune.get_context()
        self.rank, self.size = context.get_world_rank(), context.get_world_size()
        address = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
        if self.rank:
            self._joined = [_connect(address)]
        else:
            with socket.create_server(address) as server:
                self._joined = [server.accept()[0] for _ in range(self.size - 1)]
        self._files = [one.makefile("rw") for one in self._joined]
        self._kept.append(self)  # so that the others lose it by its end, not by what it raises on the way there

    def gather(self, value: Any = None) -> list[Any]:
        """Everybody's value in order of rank, at everybody; waits until all have come.

        Raises:
            EOFError: somebody is gone.
        """
        if self.rank:
            self._send(self._files[0], [self.rank, value])
            found: list[Any] = self._receive(self._files[0])
            return found
        values = {0: value, **dict(self._receive(one) for one in self._files)}
        for one in self._files:
            self._send(one, [values[rank] for rank in range(self.size)])
        return [values[rank] for rank in range(self.size)]

    @staticmethod
    def _send(file: Any, value: Any) -> None:
        file.write(json.dumps(value) + "\n")
        file.flush()

    @staticmethod
    def _receive(file: Any) -> Any:
        line = file.readline()
        if not line:
            raise EOFError("a worker is gone")
        return json.loads(line)


def _connect(address: tuple[str, int]) -> socket.socket:
    until = time.monotonic() + DEADLINE_S
    while True:
        try:
            return socket.create_connection(address)
        except ConnectionRefusedError:
            if time.monotonic() > until:
                raise
            time.sleep(0.005)
