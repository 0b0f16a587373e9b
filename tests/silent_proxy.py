"""A way to a server that can go silent: connections stay, and nothing comes through any more, as when it is frozen."""

import socket
import threading
from collections.abc import Callable

_CHUNK = 65_536


class SilentProxy:
    """Carries bytes between callers and a server until ``silence``; ``close`` ends all connections.

    ``connect`` opens a connection to the server.
    """

    def __init__(self, connect: Callable[[], socket.socket]) -> None:
        self._connect = connect
        self._speaks = threading.Event()
        self._speaks.set()
        self._sockets: list[socket.socket] = []
        self._is_closed = False
        self._door = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._door.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def silence(self) -> None:
        """Let nothing through from now on; new connections are accepted and hear nothing."""
        self._speaks.clear()

    def close(self) -> None:
        self._is_closed = True
        self._speaks.set()
        for one in (self._door, *self._sockets):
            try:
                one.shutdown(socket.SHUT_RDWR)
            except OSError:  # the other side was quicker
                continue
            finally:
                one.close()

    def _accept(self) -> None:
        while not self._is_closed:
            try:
                caller, _ = self._door.accept()
            except OSError:  # closed
                return
            server = self._connect()
            self._sockets += [caller, server]
            for source, target in ((caller, server), (server, caller)):
                threading.Thread(target=self._carry, args=(source, target), daemon=True).start()

    def _carry(self, source: socket.socket, target: socket.socket) -> None:
        try:
            while chunk := source.recv(_CHUNK):
                self._speaks.wait()
                target.sendall(chunk)
            target.shutdown(socket.SHUT_WR)
        except OSError:  # one of the two is gone
            return
