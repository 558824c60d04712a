"""The large objects of one driver on one machine: those that were made here, and copies of those of others."""

from __future__ import annotations

import logging
import ssl
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from executor.depot.store import Place, Store
from executor.depot.transfer import (
    Listener,
    Peer,
    Secret,
    Wish,
    borrow,
    fill,
    get,
    is_out_of_reach,
    lend,
    listening_at,
    pour,
    put,
    thank,
)
from executor.errors import ObjectStoreFullError
from executor.platform import here

_log = logging.getLogger(__name__)

_TRIES = 2
_SHUNNED_S = 30.0
_BROUGHT_AT_ONCE = 16
"""More at once would only wait for each other at who sends them, until some take that for out of reach."""

PIECE_BYTES = 4 << 20
"""How much of an object a piece of it is."""

Then = Callable[[str, str], None]
"""Told the path where an object lies now; or an empty one, and why it cannot be had."""


@dataclass(frozen=True, slots=True)
class Key:
    """An object's name among machines: the node where it was made (empty for the driver), and its number there."""

    home: str
    segment: int


Holders = Callable[[Key], Sequence[str]]
"""The depots that have an object, in the order in which they are to be asked."""


_NOWHERE = Place(0, "", 0)


@dataclass(slots=True, eq=False)
class _Copy:
    size: int
    place: Place = _NOWHERE
    waiting: list[Then] = field(default_factory=list)
    is_whole: bool = False
    is_unwanted: bool = False
    """Whether nobody needs it any more: its memory is given back once nobody writes to it."""
    writers: int = 1
    """How many threads fill it just now; the first of them is the one that brings it."""


def _where_it_was_made(key: Key) -> Sequence[str]:
    return (key.home,)


class Depot:
    """Keeps objects in `store`, and brings those of others: once, whoever asks for it.

    What is on the same machine, in a depot that will `lend`, is used where it lies. The rest it brings from the depots
    that it was told to `meet`. What it cannot bring it asks for by `want`, and then it is handed over a connection, or
    `take` is given it piece by piece, or `give_up` says that there is none.
    """

    def __init__(
        self,
        name: str,
        store: Store,
        secret: Secret,
        want: Callable[[Key, int, str], None],
        holders: Holders = _where_it_was_made,
    ) -> None:
        self.store = store
        self._name = name
        self._secret = secret
        self._want = want
        self._holders = holders
        self._context = secret.context(server=False)
        self._lock = threading.Lock()
        self._peers: dict[str, Peer] = {}
        self._shunned: dict[str, float] = {}
        self._copies: dict[Key, _Copy] = {}
        self._to_bring: deque[tuple[Key, _Copy]] = deque()
        self._bringing = 0
        self._listeners: list[Listener] = []
        self._port = 0

    def listen(self, address: str) -> Peer:
        """Serve others at that address, from now on."""
        at = listening_at((address, 0))
        address, self._port = at.getsockname()[:2]
        self._listeners.append(Listener(at, self._secret, self._serve))
        return address, self._port

    def lend(self) -> None:
        """Let others on this machine, where that can be, use what is here in the very memory in which it lies.

        One that listens does so first: it is called after its port.
        """
        name = here.neighbourly(self._secret.name_of(self._name, self._port))
        if name is None:
            return
        try:
            self._listeners.append(Listener(listening_at(name), self._secret, self._serve))
        except OSError as error:  # forbidden by a sandbox: all are sent what is here
            _log.info("objects of %s are not lent: %s", self._name or "the driver", error)

    def meet(self, name: str, peer: Peer) -> None:
        """Another depot is to be reached there."""
        self._peers[name] = peer

    def lose(self, name: str) -> None:
        """Another depot is gone, and nothing more comes from there: what it was to send is wanted of others."""
        self._peers.pop(name, None)
        with self._lock:
            awaited = [
                (key, copy.size)
                for key, copy in self._copies.items()
                if not copy.is_whole and copy.place is not _NOWHERE  # what has no place yet finds out in its turn
            ]
        for key, size in awaited:
            if key.home not in self._peers:  # or who had a copy of what is of another one that is gone
                self._want(key, size, f"{name} is gone")

    def fetch(self, key: Key, size: int, then: Then) -> None:
        """Have an object here; `then` is told where, now or from another thread."""
        with self._lock:
            copy = self._copies.get(key)
            if copy is None:
                copy = self._copies[key] = _Copy(size)
                self._to_bring.append((key, copy))
            is_whole = copy.is_whole
            if not is_whole:
                copy.waiting.append(then)
        if is_whole:
            then(copy.place.path, "")
        else:
            self._start_bringing()

    def _start_bringing(self) -> None:
        """One thread more, if something waits for one and they are not too many yet."""
        with self._lock:
            if not self._to_bring or self._bringing == _BROUGHT_AT_ONCE:
                return
            self._bringing += 1
        try:
            threading.Thread(target=self._bring_all, daemon=True).start()
        except RuntimeError as error:  # the machine has no more
            self._note_no_thread(str(error))

    def _note_no_thread(self, why: str) -> None:
        with self._lock:
            self._bringing -= 1
            if self._bringing:
                return  # those come to it
            stuck = list(self._to_bring)
            self._to_bring.clear()
        for key, copy in stuck:
            self.give_up(key, f"it cannot be brought: {why}")
            self._end_writing(copy)

    def _bring_all(self) -> None:
        while (next_one := self._next_to_bring()) is not None:
            key, copy = next_one
            try:
                self._bring(key, copy)
            except Exception as error:  # noqa: BLE001 - a mistake in one must not keep the others from coming
                _log.exception("object %d of %s cannot be brought", key.segment, key.home or "the driver")
                self.give_up(key, f"it cannot be brought: {error!r}")

    def _next_to_bring(self) -> tuple[Key, _Copy] | None:
        with self._lock:
            if self._to_bring:
                return self._to_bring.popleft()
            self._bringing -= 1
            return None

    def _bring(self, key: Key, copy: _Copy) -> None:
        if not copy.is_unwanted and (place := self._borrowed(key, copy.size)) is not None:
            with self._lock:
                copy.place, copy.is_whole = place, True  # at once: what is another's is not to be filled
            self._is_there(copy)
            return
        memory = self._room_for(key, copy)
        if memory is None:
            self._end_writing(copy)
            return
        with memory:
            why = self._why_not_brought(key, copy, memory)
        if not why:
            self._is_there(copy)
        elif self._end_writing(copy):
            self._want(key, copy.size, why)

    def _borrowed(self, key: Key, size: int) -> Place | None:
        """Where an object lies on this machine, if it does."""
        for name in self._holders(key):
            _, port = self._peers.get(name, ("", 0))
            peer = here.neighbourly(self._secret.name_of(name, port))
            if peer is None:
                return None
            with suppress(OSError):  # it is on another machine, or one cannot see the other's processes
                return borrow(peer, self._context, Wish("lend", key.home, key.segment, size), self.store)
        return None

    def _room_for(self, key: Key, copy: _Copy) -> memoryview | None:
        """The memory to fill; none when there is no room, or nobody needs it any more, as when the store was closed."""
        try:
            with self._lock:
                if copy.is_unwanted:
                    return None
                copy.place = self.store.allocate(copy.size)
                return self.store.memory_of(copy.place)[: copy.size]
        except ObjectStoreFullError as error:
            self.give_up(key, str(error))
            return None

    def _why_not_brought(self, key: Key, copy: _Copy, memory: memoryview) -> str:
        """Fill a copy from whoever has the object; empty when all of it has come."""
        why = f"nobody knows where {key.home or 'the driver'} is to be reached"
        for name in self._holders(key):
            peer = self._peer(name)
            if peer is None:
                continue
            for _ in range(_TRIES):
                if copy.is_unwanted:
                    return "nobody needs it any more"
                try:
                    get(peer, self._context, Wish("get", key.home, key.segment, copy.size), memory)
                except OSError as error:
                    why = f"{name or 'the driver'} at {peer[0]}:{peer[1]}: {error}"
                    self._note_failure(name, error)
                else:
                    return ""
        return why

    def _begin_writing(self, key: Key) -> _Copy | None:
        """What is to be filled; None when it is not wanted any more, is whole, or was not asked for so far."""
        with self._lock:
            copy = self._copies.get(key)
            if copy is None or copy.is_whole or copy.place is _NOWHERE:
                return None
            copy.writers += 1
            return copy

    def _end_writing(self, copy: _Copy) -> bool:
        """One writer less, who has not filled all of it; whether the rest is still wanted."""
        with self._lock:
            self._one_writer_less(copy)
            unwanted = copy.is_unwanted
            waiting = self._unanswered(copy) if unwanted and not copy.writers else []
            wanted = not unwanted and not copy.is_whole
        for then in waiting:
            then("", "nobody needs it any more")
        return wanted

    def _one_writer_less(self, copy: _Copy) -> None:
        copy.writers -= 1
        if copy.is_unwanted and not copy.writers:
            self.store.give_back(copy.place.segment)

    @staticmethod
    def _unanswered(copy: _Copy) -> list[Then]:
        waiting, copy.waiting = copy.waiting, []
        return waiting

    def _is_there(self, copy: _Copy) -> None:
        """A writer has filled it."""
        with self._lock:
            copy.is_whole = True
            waiting = self._unanswered(copy)
            self._one_writer_less(copy)
        for then in waiting:
            then(copy.place.path, "")

    def give_up(self, key: Key, why: str) -> None:
        """What was wanted cannot be had."""
        with self._lock:
            copy = self._copies.get(key)
            if copy is None or copy.is_whole:
                return
            self._let_go(key, copy)
            waiting = self._unanswered(copy)
        for then in waiting:
            then("", why)

    def _let_go(self, key: Key, copy: _Copy) -> None:
        """Give its memory back, or leave that to who writes to it: else it would be another object's by then."""
        del self._copies[key]
        copy.is_unwanted = True
        if not copy.writers:
            self.store.give_back(copy.place.segment)

    def take(self, key: Key, offset: int, content: bytes) -> int:
        """A piece of what was wanted; where the next one begins, 0 when none is needed any more."""
        if (copy := self._begin_writing(key)) is None:
            return 0
        end = min(offset + len(content), copy.size)
        with self.store.memory_of(copy.place) as memory:
            memory[offset:end] = content[: end - offset]
        if end < copy.size:
            return end if self._end_writing(copy) else 0
        self._is_there(copy)
        return 0

    def piece(self, key: Key, offset: int) -> bytes:
        """A piece of an object that is here; it may go on past its end.

        Raises:
            KeyError: it is not here.
        """
        with self._memory_of(key) as memory:
            return bytes(memory[offset : offset + PIECE_BYTES])

    def size_of(self, key: Key) -> int:
        """How large what is fetched is; 0 when it is not fetched any more."""
        copy = self._copies.get(key)
        return 0 if copy is None else copy.size

    def hand(self, name: str, key: Key, size: int) -> None:
        """Give an object that is here to another depot, which wants it.

        Raises:
            OSError: that cannot be reached, or does not take it.
            KeyError: the object is not here.
        """
        peer = self._peer(name)
        if peer is None:
            raise ConnectionError(f"{name} could not be reached a moment ago")
        with self._memory_of(key) as memory:
            try:
                put(peer, self._context, Wish("put", key.home, key.segment, size), memory[:size])
            except OSError as error:
                self._note_failure(name, error)
                raise

    def _peer(self, name: str) -> Peer | None:
        """Where another depot is to be reached, if it is worth a try just now."""
        return None if time.monotonic() < self._shunned.get(name, 0.0) else self._peers.get(name)

    def _note_failure(self, name: str, error: OSError) -> None:
        """Do not try a depot for a while that is out of reach: behind a firewall each try would take its time."""
        if is_out_of_reach(error):
            self._shunned[name] = time.monotonic() + _SHUNNED_S

    def _memory_of(self, key: Key) -> memoryview:
        return self.store.memory_of(Place(self._segment_of(key), "", 0))

    def _segment_of(self, key: Key) -> int:
        """Where an object is that is here.

        Raises:
            KeyError: it is not.
        """
        return key.segment if key.home == self._name else self._copies[key].place.segment

    def _serve(self, wish: Wish, connection: ssl.SSLSocket) -> None:
        key = Key(wish.home, wish.segment)
        if wish.verb == "get":
            with self._memory_of(key) as memory:
                pour(connection, memory[: wish.size])
        elif wish.verb == "lend":
            lend(connection, self.store.lend(self._segment_of(key)))
        elif wish.verb == "put" and (copy := self._begin_writing(key)) is not None:
            self._fill(copy, connection)

    def _fill(self, copy: _Copy, connection: ssl.SSLSocket) -> None:
        try:
            with self.store.memory_of(copy.place) as memory:
                fill(connection, memory[: copy.size])
        except OSError:
            self._end_writing(copy)
            raise
        self._is_there(copy)
        thank(connection)

    def discard(self, key: Key) -> None:
        """Nobody refers to an object any more."""
        if key.home == self._name:
            self.store.give_back(key.segment)
            return
        with self._lock:
            copy = self._copies.get(key)
            if copy is None:
                return
            self._let_go(key, copy)
            waiting = [] if copy.writers else self._unanswered(copy)
        for then in waiting:
            then("", "nobody needs it any more")

    def close(self) -> None:
        """Let go of everything."""
        for listener in self._listeners:
            listener.close()
        for key in list(self._copies):
            self.give_up(key, "its executor was shut down")
        self.store.close()
