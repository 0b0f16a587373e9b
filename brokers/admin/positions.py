"""Positions and the fills that moved them."""

from django.contrib import admin
from django.utils.safestring import SafeString

from brokers.models import Position, PositionEvent
from reliability.admin.records import RecordAdmin, link_to_list


@admin.register(Position)
class PositionAdmin(RecordAdmin):
    list_display = ("symbol", "account", "quantity", "average_price", "realized_profit", "version", "changed_at")
    list_filter = ("account",)
    list_select_related = ("account",)
    search_fields = ("^symbol",)
    ordering = ("account", "symbol")
    extra_details = ("changes",)

    @admin.display(description="see also")
    def changes(self, position: Position) -> SafeString:
        return link_to_list(PositionEvent, "What moved this position", f"position={position.pk}")


@admin.register(PositionEvent)
class PositionEventAdmin(RecordAdmin):
    list_display = ("id", "position", "sequence", "fill", "quantity_before", "quantity_after", "recorded_at")
    list_select_related = ("position", "fill")
    ordering = ("-id",)
