"""Anchors outside the database: in the log, and in a file where one is named.

What somebody with every right in the database recomputes there, a copy elsewhere finds.
"""

import json
import logging
import os
from collections.abc import Iterator
from pathlib import Path

from brokers.conf import get_conf
from brokers.models import HistoryAnchor
from reliability.core.errors import ReliabilityError

logger = logging.getLogger(__name__)

_MOST_AT_ONCE = 1000


def publish_anchors() -> None:
    """Write anchors the log and the file do not have yet; a file that cannot be written is an error in the log."""
    newest = HistoryAnchor.objects.order_by("-number").first()
    if newest is None:
        return
    logger.info("history anchored", extra={"anchor": newest.number, "rows": newest.rows, "hash": newest.hash.hex()})
    path = get_conf().anchor_file
    if not path:
        return
    try:
        _append(Path(path))
    except (OSError, ReliabilityError) as error:
        logger.error("anchors cannot be written outside the database", extra={"file": path, "error": str(error)})


def read_anchor_file(path: Path) -> dict[int, str]:
    """Return the hash of each anchor in a file, in hexadecimal, by number.

    Raises:
        ReliabilityError: the file cannot be read, or a line of it is no anchor.
    """
    try:
        return dict(_lines(path))
    except OSError as error:
        raise ReliabilityError("VALIDATION_INVALID_REQUEST", f"{path} cannot be read: {error}.") from error


def _append(path: Path) -> None:
    """Append what is missing: also anchors whose process died between its commit and the file."""
    written = max(read_anchor_file(path), default=0) if path.exists() else 0
    missing = HistoryAnchor.objects.filter(number__gt=written).order_by("number")[:_MOST_AT_ONCE]
    with path.open("a", encoding="utf-8") as file:
        for anchor in missing:
            line = {
                "anchor": anchor.number,
                "recorded_at": anchor.recorded_at.isoformat(),
                "rows": anchor.rows,
                "hash": anchor.hash.hex(),
            }
            file.write(json.dumps(line) + "\n")
        file.flush()
        os.fsync(file.fileno())


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, start=1):
            try:
                anchor = json.loads(line)
                yield int(anchor["anchor"]), str(anchor["hash"])
            except (ValueError, KeyError, TypeError) as error:
                text = f"line {number} of {path} is no anchor: {error!r}"
                raise ReliabilityError("VALIDATION_INVALID_REQUEST", text) from error
