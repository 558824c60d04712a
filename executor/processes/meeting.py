"""Where the workers of a gang on this machine meet: the variables that `torch.distributed` and its like go by."""

from __future__ import annotations

import socket
from collections import deque

from executor.messages import Rank

_REMEMBERED = 1000


class MeetingPoints:
    """Gives each gang a port of this machine that nobody uses, for its rank 0 to listen on.

    It is the system that chooses, when a socket is bound to no port in particular. That socket never listens and is
    closed at once; a port is not given again soon, as its gang may take its time.
    """

    def __init__(self) -> None:
        self._given: deque[int] = deque(maxlen=_REMEMBERED)

    def choose(self) -> int:
        """A port for one gang."""
        while (port := _free_port()) in self._given:
            pass
        self._given.append(port)
        return port


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("", 0))
        port: int = probe.getsockname()[1]
        return port


def variables(rank: Rank, address: str, port: int) -> dict[str, str]:
    """The environment of one worker whose rank 0 can be reached at `address`."""
    return {
        "RANK": str(rank.number),
        "WORLD_SIZE": str(rank.size),
        "LOCAL_RANK": str(rank.local_number),
        "LOCAL_WORLD_SIZE": str(rank.local_size),
        "MASTER_ADDR": address,
        "MASTER_PORT": str(port),
    }
