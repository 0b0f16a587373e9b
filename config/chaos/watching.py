"""Looks at the health page a few times a second while an episode runs, and remembers when it was not well."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

from config.chaos.stack import Stack

_EVERY_SECONDS = 0.1
_CALL_SECONDS = 1.0


@contextmanager
def health_watch(stack: Stack) -> Iterator[list[tuple[float, str]]]:
    """Yield the list of (monotonic instant, what was wrong) that grows while the block runs."""
    found: list[tuple[float, str]] = []
    over = threading.Event()
    address = stack.instance.urls["web"] + "/health/ready"

    def watch() -> None:
        while not over.wait(_EVERY_SECONDS):
            if wrong := _look(address):
                found.append((time.monotonic(), wrong))

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        over.set()
        thread.join(5)


def _look(address: str) -> str:
    try:
        with urlopen(address, timeout=_CALL_SECONDS) as response:
            status = json.loads(response.read()).get("status")
            return "" if status == "ready" else f"says {status}"
    except HTTPError as error:
        with error:
            return f"{error.code} {error.read(300).decode(errors='replace')}"
    except (URLError, OSError, ValueError) as error:
        return f"no answer: {error}"
