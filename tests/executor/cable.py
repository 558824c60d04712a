"""A TCP connection's way through a test: it can go quiet in either direction, be cut, and heal."""

from __future__ import annotations

import selectors
import socket
import threading
from dataclasses import dataclass, field


@dataclass(eq=False)
class _Pair:
    """One connection: what each end sends goes to the other, unless its direction is quiet."""

    near: socket.socket
    far: socket.socket
    waiting: dict[socket.socket, bytearray] = field(default_factory=dict)


class Cable:
    """Listens on a port of loopback and passes on to another, until closed.

    What is sent in a quiet direction waits, as it does on a network that loses every packet.
    """

    def __init__(self, to_port: int) -> None:
        self._to_port = to_port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._pairs: list[_Pair] = []
        self._selector = selectors.DefaultSelector()
        self._wake, waker = socket.socketpair()
        self._waker = waker
        self._quiet = {"up": False, "down": False}
        self._lock = threading.Lock()
        self._open = True
        for sock in (self._listener, self._wake):
            self._selector.register(sock, selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def quiet(self, *directions: str) -> None:
        """Lose what goes ``up`` (to the port), ``down`` (back), or both; new connections come about and say nothing."""
        with self._lock:
            for direction in directions or ("up", "down"):
                self._quiet[direction] = True
        self._waker.send(b"w")

    def heal(self) -> None:
        """Pass on again, also what waited."""
        with self._lock:
            self._quiet = dict.fromkeys(self._quiet, False)
        self._waker.send(b"w")

    def cut(self) -> None:
        """Reset all connections; new ones may be made."""
        with self._lock:
            for pair in self._pairs:
                for sock in (pair.near, pair.far):
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                self._drop(pair)
            self._pairs.clear()

    def close(self) -> None:
        self._open = False
        self._waker.send(b"w")
        self._thread.join()
        self.cut()
        for sock in (self._listener, self._wake, self._waker):
            sock.close()
        self._selector.close()

    def _run(self) -> None:
        while self._open:
            ready = [key.fileobj for key, _ in self._selector.select()]
            with self._lock:
                for sock in ready:
                    if sock is self._wake:
                        self._wake.recv(1000)
                    elif sock is self._listener:
                        self._accept()
                    else:
                        self._read(sock)  # type: ignore[arg-type]
                for pair in self._pairs:
                    self._flush(pair)

    def _accept(self) -> None:
        near, _ = self._listener.accept()
        try:
            far = socket.create_connection(("127.0.0.1", self._to_port))
        except OSError:
            near.close()
            return
        pair = _Pair(near, far, {near: bytearray(), far: bytearray()})
        self._pairs.append(pair)
        for sock in (near, far):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._selector.register(sock, selectors.EVENT_READ)

    def _read(self, sock: socket.socket) -> None:
        pair = next((pair for pair in self._pairs if sock in (pair.near, pair.far)), None)
        if pair is None:
            return
        try:
            data = sock.recv(1 << 16)
        except OSError:
            data = b""
        if data:
            pair.waiting[sock] += data
        elif self._quiet["up"] or self._quiet["down"]:
            self._selector.unregister(sock)  # nobody hears of its end either
        else:
            self._drop(pair)
            self._pairs.remove(pair)

    def _flush(self, pair: _Pair) -> None:
        for source, target, direction in ((pair.near, pair.far, "up"), (pair.far, pair.near, "down")):
            if pair.waiting[source] and not self._quiet[direction]:
                try:
                    target.sendall(pair.waiting[source])
                except OSError:
                    pass
                pair.waiting[source].clear()

    def _drop(self, pair: _Pair) -> None:
        for sock in (pair.near, pair.far):
            if sock in self._selector.get_map():
                self._selector.unregister(sock)
            sock.close()
