"""Which machines a session may connect to: public ones, and those that the installation names.

An address of a broker is typed by a person, and its name is resolved by somebody else. It must not become a way to
what only this machine can reach. The address is judged that the connection is about to be made to, not the one that
an earlier look-up gave, so that a name that changes its answer gains nothing.
"""

import asyncio
import ipaddress
import socket
from collections.abc import Callable, Sequence
from typing import Any

from reliability.core.channels import is_public

LOOPBACK = ("127.0.0.0/8", "::1/128")


class AddressNotAllowedError(OSError):
    """The connection would leave for a private address that the installation does not name."""


def is_allowed(ip: str, private_networks: Sequence[str]) -> bool:
    """Return whether an address is public, or within one of the networks."""
    bare = ip.partition("%")[0]
    if is_public(bare):
        return True
    found: Any = ipaddress.ip_address(bare)
    found = getattr(found, "ipv4_mapped", None) or found
    networks = [ipaddress.ip_network(one) for one in private_networks]
    return any(found in network for network in networks if network.version == found.version)


def require_allowed(ip: str, private_networks: Sequence[str]) -> None:
    """Raise ``AddressNotAllowedError`` for an address that may not be connected to."""
    if not is_allowed(ip, private_networks):
        raise AddressNotAllowedError(f"{ip} is on a private network, which this installation does not allow")


def guarded_sockets(private_networks: Sequence[str]) -> Callable[[Any], socket.socket]:
    """Return what makes the sockets of an HTTP client, one for each resolved address it is about to connect to."""

    def make(address: Any) -> socket.socket:
        family, kind, protocol, _, (ip, *_rest) = address
        require_allowed(str(ip), private_networks)
        return socket.socket(family, kind, protocol)

    return make


async def resolve_allowed(host: str, port: int, private_networks: Sequence[str]) -> str:
    """Return an address of a host that may be connected to, for a client that opens its connections itself.

    One of IPv4 if there is any: that client tries no second one, and gateways often listen there only.

    Raises:
        AddressNotAllowedError: none of them may be.
        OSError: the host has none.
    """
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    found.sort(key=lambda entry: entry[0] != socket.AF_INET)
    addresses = [str(entry[4][0]) for entry in found]
    for ip in addresses:
        if is_allowed(ip, private_networks):
            return ip
    raise AddressNotAllowedError(f"{addresses[0]} is on a private network, which this installation does not allow")
