"""Which addresses messages may be sent to, and what an answer means for a further attempt."""

import ipaddress
import re
from collections.abc import Iterable
from enum import StrEnum
from urllib.parse import unquote, urlsplit

# Schemes of Apprise that speak to somebody over a network. None that runs a program or writes a file.
SCHEMES = frozenset(
    {
        *("json", "jsons", "xml", "xmls", "form", "forms", "mailto", "mailtos", "slack", "msteams", "workflows"),
        *("discord", "tgram", "pagerduty", "opsgenie", "victorops", "pagertree", "ntfy", "ntfys", "gotify", "gotifys"),
        *("pover", "matrix", "matrixs", "mmost", "mmosts", "rocket", "rockets", "twilio", "sns", "ses", "webex"),
        *("signal", "signals", "signl4", "splunk", "zulip", "gchat", "apprise", "apprises"),
    }
)
# What these have before the path is no host but a key: they are sent to at hosts that Apprise knows by itself.
_HOSTS_KNOWN = frozenset(
    {
        *("slack", "discord", "tgram", "pagerduty", "opsgenie", "victorops", "splunk", "pagertree", "pover", "twilio"),
        *("sns", "ses", "webex", "signl4", "gchat", "msteams"),
    }
)
_STATUS = re.compile(r"error=(\d{3})\b")
_RETRIED = frozenset({408, 425, 429})


class AttemptOutcome(StrEnum):
    """How one try to hand a message over ended."""

    SENT = "sent"
    RETRIED = "retried"
    REFUSED = "refused"
    GIVEN_UP = "given_up"


def check_address(address: str) -> str:
    """Return the scheme of an Apprise address.

    Raises:
        ValueError: it is no address, or of a kind that is not sent to; never says what is secret in it.
    """
    try:
        scheme = urlsplit(address).scheme.lower()
    except ValueError:
        raise ValueError("that is not an address") from None
    if scheme not in SCHEMES:
        raise ValueError(f"addresses of kind {scheme[:20] or 'nothing'!r} are not sent to")
    return scheme


def named_hosts(address: str) -> tuple[str, ...]:
    """Return the hosts that an address names for itself; none where the service has hosts of its own.

    As Apprise reads them: names of parameters in any case and encoded, parameters apart by ``&`` or ``;``. What it
    takes a host from otherwise is not known here: see ``reliability.services.reach`` for what is relied on.
    """
    parts = urlsplit(address)
    if parts.scheme.lower() in _HOSTS_KNOWN:
        return ()
    pairs = [pair.partition("=")[::2] for pair in parts.query.replace(";", "&").split("&")]
    servers = [unquote(value).strip() for name, value in pairs if unquote(name).strip().lower() == "smtp"]
    host = unquote(parts.hostname or "")
    if parts.scheme.lower() == "zulip" and "." not in host:
        return ()  # the name of an organization there
    # A mail address has a domain, which need not be a host, and its server beside it.
    found = servers if servers and parts.scheme.lower() in ("mailto", "mailtos") else [host, *servers]
    return tuple(_bare(one) for one in found if one)


def _bare(host: str) -> str:
    """Return a host without a port: what is written into a parameter may have one."""
    return urlsplit(f"//{host}").hostname or host


def is_public(ip: str) -> bool:
    """Return whether an address is one that anybody could reach: no loopback, private, link-local or reserved one."""
    found = ipaddress.ip_address(ip)
    mapped = getattr(found, "ipv4_mapped", None)
    return (mapped or found).is_global and not found.is_multicast


def status_in(lines: Iterable[str]) -> int | None:
    """Return the HTTP status that a channel's own log names, if it does."""
    found = [int(match[1]) for line in lines for match in _STATUS.finditer(line)]
    return found[-1] if found else None


def is_final(status: int | None) -> bool:
    """Return whether trying again is pointless: refused with 4xx, other than being told to come later."""
    return status is not None and 400 <= status < 500 and status not in _RETRIED
