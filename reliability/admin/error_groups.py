"""Kinds of errors, and each error that was kept: found, understood, decided."""

from datetime import timedelta
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from reliability.admin.alerts import severity_badge
from reliability.admin.deciding import ReasonForm, decide
from reliability.admin.records import RecordAdmin, link_to_list
from reliability.admin.timelines import history_of, timeline_of
from reliability.core.catalog import CATALOG
from reliability.core.runbooks import RUNBOOKS
from reliability.models import ErrorEvent, ErrorGroup
from reliability.selectors.error_groups import list_group_events
from reliability.selectors.releases import list_releases
from reliability.services.error_group_decisions import (
    LONGEST_WINDOW_SECONDS,
    MOST_TIMES,
    assign_group,
    merge_groups,
    reopen_group,
    resolve_group,
    snooze_group,
)


class SnoozeForm(ReasonForm):
    """How long, or how many more; whatever comes first."""

    field_order = ("hours", "more", "times", "minutes", "reason")
    hours = forms.FloatField(required=False, min_value=0.1, max_value=24 * 30, help_text="Hours; or leave it empty.")
    more = forms.IntegerField(required=False, min_value=1, help_text="Further errors; or leave it empty.")
    times = forms.IntegerField(required=False, min_value=1, max_value=MOST_TIMES, help_text="So many within ...")
    minutes = forms.FloatField(
        required=False, min_value=0.1, max_value=LONGEST_WINDOW_SECONDS / 60, help_text="... so many minutes."
    )


class ResolveForm(ReasonForm):
    """When it is mended: now, or in a release."""

    field_order = ("release", "reason")
    release = forms.CharField(
        required=False,
        max_length=64,
        help_text="The release that mends it, or next; errors of older ones are then no regression. Empty: now.",
    )


class AssignForm(ReasonForm):
    """Whose it is to mend."""

    field_order = ("owner", "reason")
    owner = forms.CharField(required=False, max_length=150, help_text="A user name; empty: nobody.")


@admin.register(ErrorGroup)
class ErrorGroupAdmin(RecordAdmin):
    list_display = (
        "id",
        severity_badge,
        "state",
        "owner",
        "code",
        "source",
        "operation",
        "title",
        "count",
        "regressions",
        "first_seen_at",
        "last_seen_at",
    )
    list_filter = ("state", "category", "severity", "source", ("owner", admin.RelatedOnlyFieldListFilter))
    list_select_related = ("owner", "merged_into")
    search_fields = ("=id", "=code", "title", "source")
    search_help_text = "Number, code, source, or words of the message"
    ordering = ("-last_seen_at",)
    actions = ("assign", "resolve", "snooze", "reopen", "merge")
    leading_fields = ("state", "code", "title", "source", "operation", "count", "stored", "first_seen_at")
    extra_details = ("what_to_do", "runbook", "newest", "history", "releases", "same_code")

    @admin.display(description="what to do")
    def what_to_do(self, row: ErrorGroup) -> str:
        definition = CATALOG.get(row.code)
        return f"{definition.suggestion} {definition.manual_steps}".strip() if definition else "—"

    @admin.display(description="runbook")
    def runbook(self, row: ErrorGroup) -> SafeString | str:
        name = f"error:{row.code}"
        if name not in RUNBOOKS:
            return "—"
        return format_html('<a href="{}">{}</a>', reverse("runbook", args=[name]), name)

    @admin.display(description="releases since")
    def releases(self, row: ErrorGroup) -> SafeString:
        return timeline_of((one.started_at, one.name, "") for one in list_releases(since=row.first_seen_at))

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
            actor = request.user.get_username()
            resolve_group(row.pk, actor=actor, reason=values["reason"], release=values["release"])

        about = "They are mended. The next error of such a kind is a regression, and people are told."
        return decide(self, request, chosen, action="resolve", form_class=ResolveForm, act=act, about=about)

    @admin.action(description="Assign chosen groups", permissions=["decide"])
    def assign(self, request: HttpRequest, chosen: QuerySet[ErrorGroup]) -> HttpResponse | None:
        def act(row: Any, values: dict[str, Any]) -> None:
            actor = request.user.get_username()
            assign_group(row.pk, owner=values["owner"], actor=actor, reason=values["reason"])

        about = "Whose they are to mend."
        return decide(self, request, chosen, action="assign", form_class=AssignForm, act=act, about=about)

    @admin.action(description="Snooze chosen groups", permissions=["decide"])
    def snooze(self, request: HttpRequest, chosen: QuerySet[ErrorGroup]) -> HttpResponse | None:
        def act(row: Any, values: dict[str, Any]) -> None:
            until = timezone.now() + timedelta(hours=values["hours"]) if values["hours"] else None
            window = round(values["minutes"] * 60) if values["minutes"] else None
            limits = {"until": until, "more": values["more"], "times": values["times"], "window_seconds": window}
            snooze_group(row.pk, actor=request.user.get_username(), reason=values["reason"], **limits)

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
