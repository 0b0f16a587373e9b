"""Orders that were placed elsewhere on an account."""

from django.contrib import admin

from brokers.models import ExternalOrder
from reliability.admin.records import RecordAdmin


@admin.register(ExternalOrder)
class ExternalOrderAdmin(RecordAdmin):
    list_display = (
        "broker_order_id",
        "account",
        "symbol",
        "side",
        "quantity",
        "filled_quantity",
        "status",
        "changed_at",
    )
    list_filter = ("account", "status")
    list_select_related = ("account",)
    search_fields = ("broker_order_id", "client_order_id")
    ordering = ("-id",)
