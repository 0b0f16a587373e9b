"""Positions and what moved them: fills, and corrections by hand with their reasons; charts, and any instant."""

from datetime import datetime
from decimal import Decimal
from functools import partial
from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe

from brokers.admin.history import read_instant
from brokers.core.corporate_actions import SplitRatio
from brokers.models import Position, PositionChange, PositionCheckpoint, PositionEvent
from brokers.selectors.accounts import list_accounts
from brokers.selectors.holdings import list_positions_then, position_points
from brokers.services.account_proposals import (
    HANDLE_PERMISSION,
    POSITION_PERMISSION,
    propose_adjustment,
    propose_split,
    propose_symbol,
)
from reliability.admin.deciding import ReasonForm, decide
from reliability.admin.records import RecordAdmin, link_to_list
from reliability.core.charts import Chart, draw

_NO_ORDER = "No order is sent, and open orders are left alone."


class AdjustForm(ReasonForm):
    quantity = forms.DecimalField(max_digits=27, decimal_places=12, label="Quantity held, negative when short")
    average_price = forms.DecimalField(
        max_digits=27, decimal_places=12, required=False, min_value=Decimal(0), label="Average price; empty keeps it"
    )


class SplitForm(ReasonForm):
    new = forms.DecimalField(max_digits=12, decimal_places=6, min_value=Decimal("0.000001"), label="New units")
    old = forms.DecimalField(max_digits=12, decimal_places=6, min_value=Decimal("0.000001"), label="for each old")


class SymbolForm(ReasonForm):
    new_symbol = forms.CharField(max_length=32, label="New symbol")

    def clean_new_symbol(self) -> str:
        symbol = str(self.cleaned_data["new_symbol"]).strip().upper()
        if not symbol:
            raise ValidationError("Name the new symbol.")
        return symbol


@admin.register(Position)
class PositionAdmin(RecordAdmin):
    list_display = ("symbol", "account", "quantity", "average_price", "realized_profit", "version", "changed_at")
    list_filter = ("account",)
    list_select_related = ("account",)
    search_fields = ("^symbol",)
    ordering = ("account", "symbol")
    extra_details = ("changes", "charts")
    actions = ("adjust", "split", "new_symbol")

    @admin.display(description="see also")
    def changes(self, position: Position) -> SafeString:
        events = link_to_list(PositionEvent, "What moved this position", f"position={position.pk}")
        changes = link_to_list(PositionChange, "Changes by hand", f"event__position={position.pk}")
        known = reverse("admin:brokers_position_known")
        return format_html('{} · {} · <a href="{}">Positions as known at an instant</a>', events, changes, known)

    @admin.display(description="history")
    def charts(self, position: Position) -> SafeString | str:
        points = position_points(position.pk)
        quantity = Chart(f"{position.symbol} held", [(at, value) for at, value, _ in points])
        profit = Chart(f"{position.symbol} profit realized", [(at, value) for at, _, value in points])
        return figures(quantity, profit)

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(partial(positions_known_view, self.admin_site))
        return [path("known/", view, name="brokers_position_known"), *super().get_urls()]

    def has_adjust_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm(POSITION_PERMISSION) and request.user.has_perm(HANDLE_PERMISSION)

    @admin.action(description="Set what is held by hand", permissions=["adjust"])
    def adjust(self, request: HttpRequest, chosen: QuerySet[Position]) -> HttpResponse | None:
        def act(row: Any, values: dict[str, Any]) -> None:
            numbers = {"quantity": values["quantity"], "average_price": values["average_price"]}
            told = {"by": request.user.get_username(), "reason": values["reason"]}
            propose_adjustment(row.account_id, row.symbol, **numbers, **told)

        about = f"The position is set once another person confirms it, with both names and the reason. {_NO_ORDER}"
        return decide(self, request, chosen, action="adjust", form_class=AdjustForm, act=act, about=about)

    @admin.action(description="Record a split", permissions=["adjust"])
    def split(self, request: HttpRequest, chosen: QuerySet[Position]) -> HttpResponse | None:
        def act(row: Any, values: dict[str, Any]) -> None:
            ratio = SplitRatio(values["new"], values["old"])
            propose_split(row.account_id, row.symbol, ratio, by=request.user.get_username(), reason=values["reason"])

        about = f"Quantity and average price change by the ratio once another person confirms it. {_NO_ORDER}"
        return decide(self, request, chosen, action="split", form_class=SplitForm, act=act, about=about)

    @admin.action(description="Record a new symbol", permissions=["adjust"])
    def new_symbol(self, request: HttpRequest, chosen: QuerySet[Position]) -> HttpResponse | None:
        def act(row: Any, values: dict[str, Any]) -> None:
            told = {"by": request.user.get_username(), "reason": values["reason"]}
            propose_symbol(row.account_id, row.symbol, values["new_symbol"], **told)

        about = f"What is held goes by the new symbol once another person confirms it. {_NO_ORDER}"
        return decide(self, request, chosen, action="new_symbol", form_class=SymbolForm, act=act, about=about)


@admin.register(PositionEvent)
class PositionEventAdmin(RecordAdmin):
    list_display = ("id", "position", "sequence", "fill", "quantity_before", "quantity_after", "recorded_at")
    list_select_related = ("position", "fill")
    ordering = ("-id",)


@admin.register(PositionChange)
class PositionChangeAdmin(RecordAdmin):
    list_display = ("id", "event", "kind", "actor", "reason", "recorded_at")
    list_filter = ("kind",)
    list_select_related = ("event",)
    ordering = ("-id",)


@admin.register(PositionCheckpoint)
class PositionCheckpointAdmin(RecordAdmin):
    list_display = ("day", "account", "symbol", "quantity", "average_price", "realized_profit", "version")
    list_filter = ("account",)
    list_select_related = ("account",)
    search_fields = ("^symbol",)
    ordering = ("-day", "account", "symbol")


def figures(*charts: Chart) -> SafeString | str:
    """Return charts with their titles, one below the other."""
    drawn = [(chart.title, draw(chart)) for chart in charts]
    parts = [
        format_html("<figure><figcaption>{}</figcaption>{}</figure>", title, mark_safe(svg))  # noqa: S308  # escaped
        for title, svg in drawn
        if svg
    ]
    return format_html('<div class="charts">{}</div>', mark_safe("".join(parts))) if parts else "—"  # noqa: S308


def positions_known_view(admin_site: admin.AdminSite, request: HttpRequest) -> HttpResponse:
    """Show positions as they were known at ``?at=``, now without it."""
    if not request.user.has_perm("brokers.view_position"):
        raise PermissionDenied
    asked, account = request.GET.get("at", "").strip(), request.GET.get("account", "").strip()
    at = read_instant(asked)
    instant: datetime = at or timezone.now()
    context = {
        **admin_site.each_context(request),
        "title": "Positions as known at an instant",
        "opts": Position._meta,
        "asked": asked,
        "account": account,
        "accounts": [one.name for one in list_accounts()],
        "is_unreadable": bool(asked) and at is None,
        "at": instant,
        "positions": list_positions_then(instant, account=account),
    }
    return TemplateResponse(request, "admin/brokers/position/known.html", context)
