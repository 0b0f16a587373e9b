"""Lanes: how many calls each may have under way."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from reliability.admin.records import PlainAdmin
from reliability.models import Lane
from reliability.services.lanes import set_lane_concurrency


@admin.register(Lane)
class LaneAdmin(PlainAdmin):
    """Pausing is on the operator screen, where it asks for a reason."""

    list_display = ("name", "concurrency", "paused_at", "paused_by", "paused_reason")
    fields = ("name", "concurrency", "paused_at", "paused_by", "paused_reason")
    readonly_fields = ("name", "paused_at", "paused_by", "paused_reason")
    ordering = ("name",)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def save_model(self, request: HttpRequest, obj: Lane, form: Any, change: bool) -> None:
        set_lane_concurrency(obj.name, obj.concurrency, actor=request.user.get_username())
