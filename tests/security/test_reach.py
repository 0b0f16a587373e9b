"""Addresses that people type lead to brokers and channels, and to nothing that only this machine can reach."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from hypothesis import given
from hypothesis import strategies as st

from brokers.adapters.alpaca.transport import AlpacaTransport
from brokers.adapters.ccxt.transport import OneAttemptHttp
from brokers.adapters.ib.address import Address
from brokers.adapters.ib.connection import GatewayConnection
from brokers.adapters.interface import AccountSettings
from brokers.adapters.reach import AddressNotAllowedError, is_allowed, resolve_allowed
from brokers.admin import accounts
from brokers.admin.accounts import require_safe_address
from brokers.conf import BrokersConf
from reliability.conf import ReliabilityConf
from reliability.services import channels
from reliability.services.channels import hand_over
from reliability.services.reach import PrivateAddressError, only_public

SETTINGS = AccountSettings("desk", "", "", {"api_key": "k", "api_secret": "s"}, private_networks=())
PRIVATE = [
    *("127.0.0.1", "10.0.0.8", "192.168.1.1", "172.16.0.1", "169.254.169.254", "0.0.0.0", "100.64.0.1", "224.0.0.1"),
    *("255.255.255.255", "::1", "fe80::1%1", "fd00::1", "::ffff:127.0.0.1", "::ffff:10.0.0.8"),
]


class Canary:
    """A server that nobody should be able to reach; counts who does."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self.hits = 0
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self.hits += 1
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
            connection.close()

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def canary() -> Iterator[Canary]:
    server = Canary()
    yield server
    server.close()


@pytest.mark.parametrize("ip", PRIVATE)
def test_private_addresses_are_not_allowed_unless_named(ip: str) -> None:
    assert not is_allowed(ip, ())


@given(st.ip_addresses(v=4), st.integers(8, 32))
def test_a_named_network_is_allowed_whole_and_nothing_private_beside_it(ip: Any, length: int) -> None:
    assert is_allowed(str(ip), (f"{ip}/32",))
    assert is_allowed(f"::ffff:{ip}", (f"{ip}/32",))
    assert not is_allowed("10.255.255.254", ("10.0.0.0/16", "127.0.0.0/8", "::1/128", f"192.168.0.0/{max(16, length)}"))


# However the address of this machine is written; names are made up by the resolver of the test.
SPELLINGS = [
    *("127.0.0.1", "127.1", "2130706433", "0x7f000001", "017700000001", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0"),
    *("localhost", "broker.example"),
]


@pytest.fixture
def lying_resolver(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that looks public when it was typed and leads here when it is connected to."""
    real = socket.getaddrinfo

    def resolve(host: Any, port: Any, *args: Any, **options: Any) -> Any:
        return real("127.0.0.1" if host in ("broker.example", b"broker.example") else host, port, *args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)


async def _get(transport: Any, url: str) -> str:
    try:
        async with transport.http.get(url) as answer:
            return f"reached: {answer.status}"
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    finally:
        await transport.http.close()


@pytest.mark.parametrize("host", SPELLINGS)
@pytest.mark.parametrize("kind", [AlpacaTransport, OneAttemptHttp])
def test_no_spelling_of_this_machine_is_connected_to(
    kind: Any, host: str, canary: Canary, lying_resolver: None
) -> None:
    async def get() -> str:
        return await _get(kind(SETTINGS), f"http://{host}:{canary.port}/")

    said = asyncio.run(get())

    assert "reached" not in said
    assert canary.hits == 0


@pytest.mark.parametrize("kind", [AlpacaTransport, OneAttemptHttp])
def test_this_machine_is_connected_to_where_it_is_named(kind: Any, canary: Canary) -> None:
    async def get() -> str:
        return await _get(
            kind(replace(SETTINGS, private_networks=("127.0.0.0/8",))), f"http://127.0.0.1:{canary.port}/"
        )

    assert (asyncio.run(get()), canary.hits) == ("reached: 200", 1)


def test_a_gateway_is_reached_where_it_is_named_only(canary: Canary, lying_resolver: None) -> None:
    async def open_at(host: str) -> None:
        await GatewayConnection(Address(host, canary.port, range(1, 2), 99, 45), 1).open(5)

    for host in ("127.0.0.1", "broker.example"):
        with pytest.raises(AddressNotAllowedError):
            asyncio.run(open_at(host))

    assert canary.hits == 0
    assert asyncio.run(resolve_allowed("broker.example", 1, ("127.0.0.0/8",))) == "127.0.0.1"


def test_a_gateway_is_looked_for_at_ipv4_first(monkeypatch: pytest.MonkeyPatch) -> None:
    both = [(socket.AF_INET6, 1, 6, "", ("::1", 1, 0, 0)), (socket.AF_INET, 1, 6, "", ("127.0.0.1", 1))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **options: list(both))
    assert asyncio.run(resolve_allowed("gateway.example", 1, ("127.0.0.0/8", "::1/128"))) == "127.0.0.1"
    assert asyncio.run(resolve_allowed("gateway.example", 1, ("::1/128",))) == "::1"


@pytest.mark.parametrize("host", SPELLINGS)
def test_a_message_is_not_handed_to_this_machine(
    host: str, canary: Canary, lying_resolver: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(channels, "get_conf", lambda: ReliabilityConf(private_channels=False))

    handover = asyncio.run(hand_over(f"json://{host}:{canary.port}/", "title", "body", 3))

    assert not handover.is_sent
    assert canary.hits == 0


# As Apprise reads them, and not as an address is read otherwise.
CUNNING = [
    "mailtos://u:p@example.com?SMTP=127.0.0.1",
    "mailto://u:p@example.com:{port}?SMTP=127.0.0.1&mode=insecure",
    "mailto://u:p@example.com:{port}?a=b;smtp=127.0.0.1&mode=insecure",
    "mailto://u:p@example.com:{port}?%73mtp=127.0.0.1&mode=insecure",
    "mailto://u:p@broker.example:{port}?mode=insecure&to=a@broker.example",
    "workflows://127.0.0.1:{port}/aGVsbG8/c2lnbmF0dXJl",
    "workflows://broker.example:{port}/aGVsbG8/c2lnbmF0dXJl",
    "zulip://bot@127.0.0.1/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "zulip://bot@broker.example/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "jsons://broker.example:{port}/",
    "ntfy://127.0.0.1:{port}/topic",
    "matrix://u:p@127.0.0.1:{port}/#room",
]


@pytest.mark.parametrize("is_judged_before", [True, False])
@pytest.mark.parametrize("address", CUNNING)
def test_no_way_of_writing_a_channel_leads_to_this_machine(
    address: str, is_judged_before: bool, canary: Canary, lying_resolver: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also when the name looked public before: what the library connects to is what counts."""
    monkeypatch.setattr(channels, "get_conf", lambda: ReliabilityConf(private_channels=False))
    if not is_judged_before:
        monkeypatch.setattr(channels, "require_reachable", lambda address: None)

    handover = asyncio.run(hand_over(address.format(port=canary.port), "title", "body", 3))

    assert canary.hits == 0
    assert (handover.is_sent, handover.is_final) == (False, True)
    assert "private network" in handover.message


def test_a_private_channel_is_reached_where_the_installation_allows_it(
    canary: Canary, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(channels, "get_conf", lambda: ReliabilityConf(private_channels=True))

    assert asyncio.run(hand_over(f"json://127.0.0.1:{canary.port}/", "title", "body", 3)).is_sent
    assert canary.hits == 1


def test_connections_of_others_are_not_judged_while_a_message_is_sent(canary: Canary) -> None:
    def connect() -> None:
        socket.create_connection(("127.0.0.1", canary.port), 5).close()

    with only_public() as watch, pytest.raises(PrivateAddressError):
        connect()
    with only_public():
        other = threading.Thread(target=connect)
        other.start()
        other.join()
    connect()

    assert watch.refused == ["127.0.0.1"]


@pytest.mark.parametrize(
    ("address", "networks", "is_fine"),
    [
        ("https://api.example.com", (), True),
        ("https://169.254.169.254/latest", (), False),
        ("https://10.0.0.8", (), False),
        ("https://10.0.0.8", ("10.0.0.0/8",), True),
        ("https://[::ffff:127.0.0.1]", (), False),
        ("http://127.0.0.1:9001", (), False),
        ("http://127.0.0.1:9001", ("127.0.0.0/8",), True),
        ("https://localhost", (), False),
        ("https://user:pw@api.example.com", (), False),
        ("http://api.example.com", (), False),
        ("file:///etc/passwd", ("127.0.0.0/8",), False),
    ],
)
def test_an_address_of_a_broker_is_judged_when_it_is_typed(
    address: str, networks: tuple[str, ...], is_fine: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    conf = BrokersConf(encryption_keys=(), private_networks=networks)
    monkeypatch.setattr(accounts, "get_conf", lambda: conf)
    if is_fine:
        require_safe_address(address, "http")
        return
    with pytest.raises(ValidationError):
        require_safe_address(address, "http")
