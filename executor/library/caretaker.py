"""The process beside a cluster's head that has the detached actors of one namespace: a driver that does not leave.

It employs their workers as every driver does its own, so that restarts, leases and drains are the same. What it is
asked by other drivers `Guests` sees to. It opens nothing that users' programs give: their workers do.
"""

from __future__ import annotations

import logging
import math
import signal
import sys
import time
from pathlib import Path

from executor.cluster.controllers import Post, State
from executor.errors import ClusterError
from executor.hosting.fleet import Fleet
from executor.library.creations import Creations
from executor.library.guests import Guests
from executor.library.hub import Hub
from executor.library.nodes import Nodes
from executor.platform import here

_log = logging.getLogger(__name__)

_LOOK_S = 0.5
_IDLE_S = 60.0


class Caretaker:
    """Has the actors until it is closed. `fleet` is the cluster, and we are one of its controllers there.

    Those of the `creations` that a caretaker before us has left, and may be restarted, are created again.
    """

    def __init__(self, fleet: Fleet, creations: Creations) -> None:
        assert fleet.mail is not None, "a cluster's drivers can write to each other"
        self.dismissed = ""
        """Why the cluster will not have us any more."""
        self.stopped = False
        """Whether that is because it was stopped: else it may have who comes after us."""
        nodes = Nodes(fleet, {}, ())
        with nodes.lock:  # until we can hear what drivers write
            nodes.on_dismissed = self._note_dismissed
            self._hub = Hub(nodes)
            self._guests = Guests(self._hub, nodes, fleet.mail, creations)

    def _note_dismissed(self, why: str, stopped: bool) -> None:
        self._guests.keep_creations()
        self.dismissed, self.stopped = why, stopped

    def names(self) -> tuple[str, ...]:
        """The names of the actors that live."""
        with self._hub.lock:
            return tuple(sorted(self._hub.actors.named))

    @property
    def asked_at(self) -> float:
        """When a driver has last asked for anything, by the monotonic clock."""
        return self._guests.asked_at

    def is_needed(self, now: float) -> bool:
        """Whether there are actors, or somebody may just be about to have some."""
        return bool(self.names()) or now - self.asked_at <= _IDLE_S

    def close(self) -> None:
        """End all actors."""
        self._hub.close()


def run(post: Post) -> int:
    """Be a namespace's caretaker until nobody needs it, somebody ends it, or the cluster is stopped; the exit code."""
    from executor.cluster.client import open_fleet

    post.hold()
    if post.order.ended_by:
        post.say_ended()
        return 0
    ending: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: ending.append(number))
    waiting = here.poller()
    waiting.wake_on_signals()
    creations = Creations(post.folder / "creations")
    try:
        # An actor that is given up for want of nodes is lost for good, and there may be some again tomorrow.
        cluster = post.folder.parent.parent.name
        fleet = open_fleet(cluster, experiment=post.name, patience_s=math.inf, controller=post.name)
    except ClusterError as error:
        _log.warning("the cluster is gone: %s", error)
        return 1
    caretaker = Caretaker(fleet, creations)
    try:
        names: tuple[str, ...] | None = None
        while not ending and not caretaker.dismissed:
            if names != (names := caretaker.names()):
                post.say(State("running", actors=names))
            if not caretaker.is_needed(time.monotonic()):
                post.say(State("finished", "nobody has an actor here any more"))
                return 0
            waiting.poll(_LOOK_S)
    finally:
        caretaker.close()
    if not caretaker.stopped and not post.order.ended_by:
        return 1  # the machine goes down, or we were given up: somebody starts us again
    creations.clear()
    post.say(State("ended", caretaker.dismissed if caretaker.stopped else f"{post.order.ended_by} ended it"))
    return 0


def main() -> None:
    """What the head starts, with a folder as its argument; nobody types it."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    sys.exit(run(Post(Path(sys.argv[1]))))


if __name__ == "__main__":
    main()
