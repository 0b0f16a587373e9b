"""Hand one message to one channel through Apprise. Network only; what became of it comes back as a plain value."""

import asyncio
import logging
import socket
from contextlib import nullcontext
from dataclasses import dataclass

from reliability.conf import get_conf
from reliability.core.channels import check_address, is_final, is_public, named_hosts, status_in
from reliability.core.taxonomy import ErrorSeverity
from reliability.services.reach import only_public

_TIMEOUT_SECONDS = 6.0
_PRIVATE = "its host is on a private network, which this installation does not allow"


@dataclass(frozen=True, slots=True)
class Handover:
    """Whether a message was taken. ``is_final``: the channel refused it for good; ``status`` is HTTP's, if known."""

    is_sent: bool
    is_final: bool = False
    status: int | None = None
    message: str = ""


async def hand_over(address: str, title: str, body: str, severity: int) -> Handover:
    """Send a message; never raises for what the channel does, and never names the address.

    A host on this network is refused unless the installation allows it (``STANCHION_PRIVATE_CHANNELS``): an address
    must not become a way to reach what only this machine can. The hosts that it names are judged before, and each
    connection is judged again when it is made. Redirects are not followed.
    """
    try:
        check_address(address)
        await asyncio.to_thread(require_reachable, address)
    except ValueError as error:
        return Handover(is_sent=False, is_final=True, message=str(error))
    except OSError as error:
        return Handover(is_sent=False, message=f"its host is not found: {error.strerror or error}"[:200])
    return await asyncio.to_thread(_send, address, title, body, severity)


def require_reachable(address: str) -> None:
    """Raise ``ValueError`` for a host that must not be sent to, ``OSError`` for one that has no address."""
    if get_conf().private_channels:
        return
    for host in named_hosts(address):
        found = {str(entry[4][0]) for entry in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)}
        if not all(is_public(ip.partition("%")[0]) for ip in found):
            raise ValueError(_PRIVATE)


def _send(address: str, title: str, body: str, severity: int) -> Handover:
    import apprise

    asset = apprise.AppriseAsset(
        app_id="Stanchion", app_desc="Stanchion", http_redirects=False, plugin_paths=None, secure_logging=True
    )
    sender = apprise.Apprise(asset=asset)
    if not sender.add(address):
        return Handover(is_sent=False, is_final=True, message="Apprise cannot read the address")
    kind = apprise.NotifyType.FAILURE if severity <= ErrorSeverity.HIGH.rank else apprise.NotifyType.WARNING
    with nullcontext() if get_conf().private_channels else only_public() as watch:
        result = sender.notify(
            body=body, title=title, notify_type=kind, timeout=_TIMEOUT_SECONDS, log_level=logging.INFO
        )
    if result:
        return Handover(is_sent=True)
    if watch is not None and watch.refused:
        return Handover(is_sent=False, is_final=True, message=_PRIVATE)
    lines = [str(entry.message) for entry in result.logs()]
    status = status_in(lines)
    return Handover(is_sent=False, is_final=is_final(status), status=status, message=_last(lines) or result.status.name)


def _last(lines: list[str]) -> str:
    return lines[-1][:300] if lines else ""


def shown_address(address: str) -> str:
    """Return an address as people may see it: its kind and host, without what is secret."""
    scheme, hosts = check_address(address), named_hosts(address)
    return f"{scheme}://{hosts[0] if hosts else '…'}/…"[:200]
