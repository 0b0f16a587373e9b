"""Anchors of the history, and an order as it was known at an instant."""

from datetime import datetime
from typing import Any
from uuid import UUID

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from brokers.core.history import COLUMNS, OrderValues
from brokers.models import HistoryAnchor, Order
from brokers.selectors.history import find_order_then
from reliability.admin.records import RecordAdmin
from reliability.core.presentation import amount_text, instant_text


@admin.register(HistoryAnchor)
class HistoryAnchorAdmin(RecordAdmin):
    list_display = ("number", "rows", "recorded_at", "digest")
    ordering = ("-number",)
    extra_details = ("digest",)

    @admin.display(description="hash")
    def digest(self, anchor: HistoryAnchor) -> str:
        return bytes(anchor.hash).hex()

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        return ["number", "rows", "recorded_at", "digest", "contents"]


def order_known_view(admin_site: admin.AdminSite, request: HttpRequest, order_id: UUID) -> HttpResponse:
    """Show an order as it was known at ``?at=``, now without it."""
    if not request.user.has_perm("brokers.view_order"):
        raise PermissionDenied
    asked = request.GET.get("at", "").strip()
    at = read_instant(asked)
    then = find_order_then(order_id, at)
    if then is None:
        raise Http404("Nothing was ever recorded of such an order.")
    context = {
        **admin_site.each_context(request),
        "title": f"Order as known {f'at {instant_text(at)}' if at else 'now'}",
        "order_id": order_id,
        "opts": Order._meta,
        "asked": asked,
        "is_unreadable": bool(asked) and at is None,
        "then": then,
        "columns": _columns(then.values) if then.values else [],
        "life": [
            {
                "event": step.event,
                "link": step.event.recorded_at.isoformat(),
                "lasted": "" if step.lasted is None else lasted_text(step.lasted.total_seconds()),
                "changes": [(name, value_text(old), value_text(new)) for name, (old, new) in step.changes.items()],
            }
            for step in then.steps
        ],
    }
    return TemplateResponse(request, "admin/brokers/order/known.html", context)


def lasted_text(seconds: float) -> str:
    """Return a duration as it is read at a glance: three digits and a unit."""
    if seconds < 0:
        return "0 ms"
    for limit, unit, size in ((1, "ms", 0.001), (120, "s", 1), (7200, "min", 60), (172_800, "h", 3600)):
        if seconds < limit:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds / 86400:.3g} d"


def value_text(value: Any) -> str:
    """Return a value of an order for people; what has none is a dash."""
    if value is None or value == "":
        return "—"
    if isinstance(value, datetime):
        return instant_text(value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (tuple, list)):
        return ", ".join(map(str, value))
    return amount_text(value) if hasattr(value, "as_tuple") else str(value)


def _columns(values: OrderValues) -> list[tuple[str, str]]:
    return [(name, value_text(getattr(values, name))) for name in COLUMNS]


def read_instant(text: str) -> datetime | None:
    """Read an instant, UTC unless it says otherwise; None when it is none."""
    try:
        value = parse_datetime(text.replace(" ", "+") if "T" in text else text)
    except ValueError:
        return None
    if value is None or timezone.is_aware(value):
        return value
    return value.replace(tzinfo=timezone.get_default_timezone())
