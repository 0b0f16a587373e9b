"""Free loopback ports for an instance.

A block is taken below the range the kernel hands to outgoing connections: a port from that range
could be lost to a client that retries while its server restarts. A lock file held for as long as
the instance runs keeps two instances off the same block.
"""

import fcntl
import os
import socket
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

_FIRST, _LAST, _SIZE = 8700, 28700, 20


class NoFreePortsError(Exception):
    """Every block is in use."""


@dataclass(slots=True)
class PortBlock:
    """Ports ``base`` ... ``base + 19``, ours until ``release``."""

    base: int
    descriptor: int

    def release(self) -> None:
        os.close(self.descriptor)


def take_block(preferred: int | None = None) -> PortBlock:
    """Return a block nobody uses; the preferred one if it is free, so that addresses stay the same."""
    first: Iterable[int] = () if preferred is None else (preferred,)
    for base in (*first, *range(_FIRST, _LAST, _SIZE)):
        block = _try_block(base)
        if block is not None:
            return block
    raise NoFreePortsError("no free ports on 127.0.0.1")


def _try_block(base: int) -> PortBlock | None:
    folder = Path(tempfile.gettempdir()) / f"stanchion-ports-{os.geteuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    descriptor = os.open(folder / str(base), os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    if all(_is_free(port) for port in range(base, base + _SIZE)):
        return PortBlock(base, descriptor)
    os.close(descriptor)
    return None


def _is_free(port: int) -> bool:
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
