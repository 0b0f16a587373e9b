"""Requests that failed for a reason of ours, as errors."""

import sys
import traceback
from pathlib import Path
from typing import Any

from django.core.signals import got_request_exception

from reliability.core.errors import ReliabilityError
from reliability.core.fingerprint import ErrorFacts
from reliability.services.error_recorder import errors

_ROOT = Path(__file__).resolve().parents[2]  # not a setting: another project has other ones


def note_failed_request(known: ReliabilityError, error: BaseException, view: object) -> None:
    """Take a request that is answered with 500 or above; ``known`` is what the caller is told."""
    errors.note(
        ErrorFacts(
            source="api",
            operation=type(view).__name__ if view is not None else "page",
            code=known.code,
            category=known.definition.category,
            severity=known.definition.severity,
            kind=type(error).__name__,
            place=innermost_place(error),
            message=str(error)[:1000],
        )
    )


def innermost_place(error: BaseException) -> str:
    """Return the innermost function of ours that an exception went through, as module and name."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        path = Path(frame.filename)
        if path.is_relative_to(_ROOT) and "site-packages" not in path.parts:
            return f"{'.'.join(path.relative_to(_ROOT).with_suffix('').parts)}:{frame.name}"
    return ""


def connect_failed_pages() -> None:
    """Have exceptions of pages recorded, too: Django answers those by itself."""
    got_request_exception.connect(_note_page, dispatch_uid="stanchion_failed_pages")


def _note_page(sender: Any, request: Any = None, **_: Any) -> None:
    error = sys.exc_info()[1]
    if error is not None:
        note_failed_request(ReliabilityError("SYSTEM_UNEXPECTED"), error, None)
