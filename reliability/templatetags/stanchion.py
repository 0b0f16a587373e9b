"""How pages write instants, ages, amounts and states."""

from datetime import datetime, timedelta
from typing import Any

from django import template
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from reliability.core.presentation import age_text, amount_text, instant_text, state_tone
from reliability.core.runbooks import RUNBOOKS
from reliability.core.taxonomy import ErrorSeverity

register = template.Library()

_MARKS = {"good": "●", "busy": "◐", "warn": "▲", "bad": "■", "quiet": "○"}


@register.filter
def instant(value: datetime | None) -> SafeString | str:
    """Return an instant in UTC with milliseconds."""
    if value is None:
        return "—"
    return format_html('<time datetime="{}">{}</time>', value.isoformat(), instant_text(value))


@register.filter
def age(value: datetime | None) -> SafeString | str:
    """Return how long ago an instant was; the page's script keeps it current."""
    if value is None:
        return "—"
    text = age_text(timezone.now() - value)
    return format_html(
        '<time datetime="{}" title="{}" data-age>{}</time>', value.isoformat(), instant_text(value), text
    )


@register.filter
def countdown(value: datetime | None) -> SafeString | str:
    """Return how long it is to an instant, to the second; the page's script counts it down."""
    if value is None:
        return "—"
    whole = value.replace(microsecond=0)
    text = age_text(whole - timezone.now())
    return format_html(
        '<time datetime="{}" title="{}" data-until>{}</time>', whole.isoformat(), instant_text(whole), text
    )


@register.filter
def amount(value: Any) -> str:
    return "—" if value is None else amount_text(value)


@register.filter
def duration(seconds: float | None) -> str:
    """Return a number of seconds as a person says it."""
    return "—" if seconds is None else age_text(timedelta(seconds=seconds))


@register.filter
def severity_rank(name: str) -> int:
    """Return the number that rows have for a severity, as filters of admin want it."""
    return ErrorSeverity(name).rank


@register.filter
def badge(state: str, called: str = "") -> SafeString:
    """Return a state as text in a shape of its own: the colour is never the only sign. ``called``: other words."""
    tone = state_tone(state)
    return format_html(
        '<span class="badge {}"><span aria-hidden="true">{}</span> {}</span>',
        tone,
        _MARKS[tone],
        called or state.replace("_", " "),
    )


@register.filter
def percent(share: float) -> str:
    """Return a share as percent, as exact as it is small."""
    digits = 0 if abs(share) >= 0.1 or share == 0 else 2
    return f"{100 * share:.{digits}f} %"


@register.filter
def runbook_of(code: str) -> str:
    """Return the name of the runbook of an error code, empty where there is none."""
    name = f"error:{code}"
    return name if name in RUNBOOKS else ""


@register.filter
def words(name: str) -> str:
    """Return an identifier as words."""
    return name.replace("_", " ").replace(".", " ")


@register.filter
def short(identifier: Any) -> str:
    """Return the end of a long id: the random part, which tells two apart."""
    return str(identifier)[-8:]
