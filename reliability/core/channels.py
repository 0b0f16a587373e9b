"""Which addresses messages may be sent to, and what an answer means for a further attempt."""

import ipaddress
import re
from collections.abc import Iterable
from enum import StrEnum
from urllib.parse import urlsplit

# Schemes of Apprise that speak to somebody over a network. None that runs a program or writes a file.
SCHEMES = frozenset(
    {
        *("json", "jsons", "xml", "xmls", "form", "forms", "mailto", "mailtos", "slack", "msteams", "workflows"),
        *("discord", "tgram", "pagerduty", "opsgenie", "victorops", "pagertree", "ntfy", "ntfys", "gotify", "gotifys"),
        *("pover", "matrix", "matrixs", "mmost", "mmosts", "rocket", "rockets", "twilio", "sns", "ses", "webex"),
        *("signal", "signals", "signl4", "splunk", "zulip", "gchat", "apprise", "apprises"),
    }
)
_OWN_HOST = frozenset(
    {
        *("json", "jsons", "xml", "xmls", "form", "forms", "mailto", "mailtos", "ntfy", "ntfys", "gotify", "gotifys"),
        *("matrix", "matrixs", "mmost", "mmosts", "rocket", "rockets", "signal", "signals", "apprise", "apprises"),
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


def named_host(address: str) -> str:
    """Return the host that an address names for itself, or an empty string: services with hosts of their own."""
    parts = urlsplit(address)
    if parts.scheme.lower() not in _OWN_HOST:
        return ""
    query = dict(pair.partition("=")[::2] for pair in parts.query.split("&"))
    return query.get("smtp") or parts.hostname or ""


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
