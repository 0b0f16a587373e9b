"""A door opens to a client that trusts the authority under a good certificate only."""

import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from config.chaos.faults.certificates import HOST, VARIABLE, Door, trusted_authority


@pytest.fixture(scope="module")
def authority() -> Iterator[Path]:
    with trusted_authority() as environment:
        yield Path(environment[VARIABLE])


@pytest.fixture
def echo() -> Iterator[int]:
    """A server that sends back what it gets; yields its port."""
    server = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                client, _ = server.accept()
            except OSError:
                return
            with client:
                client.sendall(client.recv(100))

    threading.Thread(target=serve, daemon=True).start()
    yield server.getsockname()[1]
    server.close()


def ask(door: Door, authority: Path) -> bytes:
    context = ssl.create_default_context(cafile=str(authority))
    port = int(door.url.rpartition(":")[2])
    plain = socket.create_connection(("127.0.0.1", port), timeout=10)
    with context.wrap_socket(plain, server_hostname=HOST) as client:
        client.sendall(b"hello")
        return client.recv(100)


def test_a_good_certificate_opens(authority: Path, echo: int) -> None:
    door = Door(authority, "good", echo)
    assert ask(door, authority) == b"hello"
    door.close()
    with pytest.raises(ConnectionRefusedError):
        ask(door, authority)


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        ("expired", "certificate has expired"),
        ("other_name", "Hostname mismatch"),
        ("stranger", "certificate signature failure"),
    ],
)
def test_a_bad_certificate_is_refused_for_its_own_reason(authority: Path, echo: int, kind: str, why: str) -> None:
    door = Door(authority, kind, echo)
    with pytest.raises(ssl.SSLCertVerificationError, match=why):
        ask(door, authority)
    door.close()
