"""Reading Flower's pages for those who are logged in here: what may be asked for, and asking it.

Flower's own buttons shut workers down, revoke and send tasks, and keep no record of who did it; so nothing is handed
on that changes anything. What they are for is done here, on record: lanes are paused, dead letters replayed.
"""

import base64
import http.client
import re
from dataclasses import dataclass
from urllib.parse import quote, urlsplit

from reliability.conf import get_conf
from reliability.core.errors import ReliabilityError

TIMEOUT_SECONDS = 8.0
LARGEST_BYTES = 8 * 1024 * 1024
_PAGES = re.compile(r"(|workers|worker/.+|tasks|task/.+|broker|static/.+|api/workers|api/tasks|api/queues/length)")
_TABLE = "tasks/datatable"  # its table of tasks is read by POST: the parameters are too many for an address
_ASKED = ("Accept", "If-None-Match", "Content-Type")
_ANSWERED = ("Content-Type", "Cache-Control", "Etag", "Last-Modified", "Expires")


@dataclass(frozen=True, slots=True)
class FlowerAnswer:
    status: int
    body: bytes
    headers: dict[str, str]


def may_read(method: str, path: str) -> bool:
    """Tell whether a request only reads; ``path`` is what follows ``/flower/``."""
    if ".." in path.split("/"):
        return False
    if method in ("GET", "HEAD"):
        return _PAGES.fullmatch(path) is not None or path == _TABLE
    return method == "POST" and path == _TABLE


def read_flower(method: str, path: str, query: str, headers: dict[str, str], body: bytes) -> FlowerAnswer:
    """Ask Flower for a page under our own login there; raises ``ReliabilityError`` when it does not answer."""
    conf = get_conf()
    address = urlsplit(conf.flower_url)
    make = http.client.HTTPSConnection if address.scheme == "https" else http.client.HTTPConnection
    connection = make(address.hostname or "", address.port, timeout=TIMEOUT_SECONDS)
    target = f"{address.path.rstrip('/')}/flower/{quote(path)}" + (f"?{query}" if query else "")
    try:
        connection.request(method, target, body or None, {**_kept(headers, _ASKED), **_login(conf.flower_login)})
        answer = connection.getresponse()
        content = answer.read(LARGEST_BYTES + 1)
    except (OSError, http.client.HTTPException) as error:
        raise ReliabilityError("NETWORK_CONNECT_REFUSED", f"Flower does not answer: {error}") from error
    finally:
        connection.close()
    if len(content) > LARGEST_BYTES:
        raise ReliabilityError("SYSTEM_UNEXPECTED", "Flower's answer is longer than 8 MB.")
    return FlowerAnswer(answer.status, content, _kept(dict(answer.getheaders()), _ANSWERED))


def _login(login: str) -> dict[str, str]:
    return {"Authorization": f"Basic {base64.b64encode(login.encode()).decode()}"} if login else {}


def _kept(headers: dict[str, str], names: tuple[str, ...]) -> dict[str, str]:
    """Return some headers, whatever case their names have."""
    by_name = {name.lower(): value for name, value in headers.items()}
    return {name: by_name[name.lower()] for name in names if name.lower() in by_name}
