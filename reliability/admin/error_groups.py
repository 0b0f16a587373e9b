"""Kinds of errors, and each error that was kept: found, understood, decided."""

from datetime import timedelta
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.safestring import SafeString

from reliability.admin.alerts import severity_badge
from reliability.admin.deciding import ReasonForm, decide
from reliability.admin.records import RecordAdmin, link_to_list
from reliability.admin.timelines import history_of, timeline_of
from reliability.core.catalog import CATALOG
from reliability.models import ErrorEvent, ErrorGroup
from reliability.selectors.error_groups import list_group_events
from reliability.services.error_group_decisions import merge_groups, reopen_group, resolve_group, snooze_group


class SnoozeForm(ReasonForm):
    """How long, or how many more; whatever comes first."""

    field_order = ("hours", "more", "reason")
    hours = forms.FloatField(required=False, min_value=0.1, max_value=24 * 30, help_text="Hours; or leave it empty.")
    more = forms.IntegerField(required=False, min_value=1, help_text="Further errors; or leave it empty.")


@admin.register(ErrorGroup)
class ErrorGroupAdmin(RecordAdmin):
    list_display = (
        "id",
        severity_badge,
        "state",
        "code",
        "source",
        "operation",
        "title",
        "count",
        "regressions",
        "first_seen_at",
        "last_seen_at",
    )
    list_filter = ("state", "category", "severity", "source")
    search_fields = ("=id", "=code", "title", "source")
    search_help_text = "Number, code, source, or words of the message"
    ordering = ("-last_seen_at",)
    actions = ("resolve", "snooze", "reopen", "merge")
    leading_fields = ("state", "code", "title", "source", "operation", "count", "stored", "first_seen_at")
    extra_details = ("what_to_do", "newest", "history", "same_code")

    @admin.display(description="what to do")
    def what_to_do(self, row: ErrorGroup) -> str:
        definition = CATALOG.get(row.code)
        return f"{definition.suggestion} {definition.manual_steps}".strip() if definition else "—"

    @admin.display(description="newest errors")
    def newest(self, row: ErrorGroup) -> SafeString:
        events = list_group_events(row.pk, 10)
        return timeline_of((one.occurred_at, one.message or one.kind, one.correlation_id) for one in events)

    @admin.display(description="history")
    def history(self, row: ErrorGroup) -> SafeString:
        return history_of("error_group", row.pk)

    @admin.display(description="errors of this code")
    def same_code(self, row: ErrorGroup) -> SafeString:
        return link_to_list(ErrorEvent, "all kept", f"code={row.code}")

    def has_decide_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("reliability.decide_errorgroup")

    @admin.action(description="Resolve chosen groups", permissions=["decide"])
    def resolve(self, request: HttpRequest, chosen: QuerySet[ErrorGroup]) -> HttpResponse | None:
        def act(row: Any, values: dict[str, Any]) -> None:
            resolve_group(row.pk, actor=request.user.get_username(), reason=values["reason"])

        about = "They are mended. The next error of such a kind is a regression, and people are told."
        return decide(self, request, chosen, action="resolve", form_class=ReasonForm, act=act, about=about)

    @admin.action(description="Snooze chosen groups", permissions=["decide"])
    def snooze(self, request: HttpRequest, chosen: QuerySet[ErrorGroup]) -> HttpResponse | None:
        def act(row: Any, values: dict[str, Any]) -> None:
            until = timezone.now() + timedelta(hours=values["hours"]) if values["hours"] else None
            snooze_group(
                row.pk, actor=request.user.get_username(), reason=values["reason"], until=until, more=values["more"]
            )

        about = "Nobody is told of them until the time is over or the number is reached; counting goes on."
        return decide(self, request, chosen, action="snooze", form_class=SnoozeForm, act=act, about=about)

    @admin.action(description="Reopen chosen groups", permissions=["decide"])
    def reopen(self, request: HttpRequest, chosen: QuerySet[ErrorGroup]) -> HttpResponse | None:
        def act(row: Any, values: dict[str, Any]) -> None:
            reopen_group(row.pk, actor=request.user.get_username(), reason=values["reason"])

        about = "Their snooze or resolution is taken back."
        return decide(self, request, chosen, action="reopen", form_class=ReasonForm, act=act, about=about)

    @admin.action(description="Merge chosen groups into the oldest", permissions=["decide"])
    def merge(self, request: HttpRequest, chosen: QuerySet[ErrorGroup]) -> HttpResponse | None:
        ids = sorted(int(text) for text in request.POST.getlist(ACTION_CHECKBOX_NAME) if text.isdecimal())
        if len(ids) < 2:
            self.message_user(request, "Nothing was changed: choose at least two groups.", messages.ERROR)
            return None

        def act(row: Any, values: dict[str, Any]) -> None:
            if row.pk == ids[0]:
                return
            merge_groups(ids[0], [row.pk], actor=request.user.get_username(), reason=values["reason"])

        about = f"All become part of group {ids[0]}, for good: their counts, and every further error of theirs."
        return decide(self, request, chosen, action="merge", form_class=ReasonForm, act=act, about=about)


@admin.register(ErrorEvent)
class ErrorEventAdmin(RecordAdmin):
    list_display = ("id", severity_badge, "occurred_at", "code", "source", "operation", "message", "correlation_id")
    list_filter = ("category", "severity")
    search_fields = ("=correlation_id", "=fingerprint")
    search_help_text = "A correlation id"
    ordering = ("-id",)
