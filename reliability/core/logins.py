"""How often a password may be guessed before whoever guesses has to wait."""

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True)
class LoginLimit:
    """``most`` wrong passwords within ``window``; then none is looked at until the oldest of them is that old."""

    most: int
    window: timedelta

    def wait(self, failures: Sequence[datetime], now: datetime) -> timedelta:
        """Return how long to wait, zero if not at all, after failures given newest first."""
        if len(failures) < self.most:
            return timedelta(0)
        return max(timedelta(0), failures[self.most - 1] + self.window - now)


# One person at one address: another address of the same person is not kept out by it.
PAIR = LoginLimit(5, timedelta(minutes=15))
# One address, whoever it tries to be; wide, because a whole office may have one.
ADDRESS = LoginLimit(50, timedelta(minutes=15))
KEPT = timedelta(hours=1)


def counted_source(address: str) -> str:
    """Return what guesses from an address are counted by, at most 64 characters: itself, or its network in IPv6.

    Whoever has one IPv6 address has a /64 of them and could come from another one with each guess.
    """
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address[:64]
    if isinstance(found, ipaddress.IPv4Address):
        return str(found)
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(ipaddress.ip_network((found, 64), strict=False))


def caller_address(peer: str, forwarded: str, proxies: int) -> str:
    """Return the address of whoever called, behind so many proxies of our own.

    Each of our proxies appends the address it was called from to ``X-Forwarded-For`` (``forwarded``); what stands
    before those entries is the caller's own word and is not believed.
    """
    if proxies < 1:
        return peer
    hops = [part.strip() for part in forwarded.split(",") if part.strip()]
    return hops[-proxies] if len(hops) >= proxies else peer
