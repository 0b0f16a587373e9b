"""How admin pages show what happened to something, in order."""

from collections.abc import Iterable
from datetime import datetime

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from reliability.core.presentation import instant_text
from reliability.selectors.alerts import list_timeline


def timeline_of(entries: Iterable[tuple[datetime, str, str]]) -> SafeString:
    """Return a list of instants with what happened and a note under it."""
    rows = format_html_join(
        "",
        '<li><span class="instant">{}</span> {}<br><span class="note">{}</span></li>',
        ((instant_text(at), text, note) for at, text, note in entries),
    )
    return format_html('<ol class="timeline">{}</ol>', rows) if rows else SafeString("—")


def history_of(subject_kind: str, subject_id: int) -> SafeString:
    """Return everything that happened to one subject, oldest first."""
    return timeline_of(
        (entry["recorded_at"], _what(entry), entry["reason"]) for entry in list_timeline(subject_kind, subject_id)
    )


def _what(entry: dict[str, str]) -> str:
    who = f" by {entry['actor']}" if entry["actor"] else ""
    return f"{entry['kind'].replace('_', ' ')}{who}"
