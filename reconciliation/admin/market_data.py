"""Market data in admin: feeds, which may be set up and changed; series, gaps and doubtful bars, which are records."""

from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.db import models
from django.http import HttpRequest

from brokers.admin.accounts import AuditedAdmin, require_safe_address
from reconciliation.models import BackfillAttempt, BarConflict, BarSeries, Feed, Gap, LastTick, QuestionableBar
from reconciliation.services.market_data.feed_settings import add_feed
from reconciliation.services.market_data.feeds import follow_feed_policies
from reliability.admin.records import RecordAdmin, RefusalsTold

_OPERATE = "reconciliation.operate_marketdata"
_POINT = "brokers.set_credentials"
_WHERE = ("account", "data_url", "stream_url")
_SETTINGS = (*_WHERE, "enabled", "priority", "silence_ms", "late_seconds", "gap_policy", "history_from", "with_ticks")
_SEEN = ("state", "state_since", "last_bar_at", "last_error", "delivers")


class FeedForm(forms.ModelForm):
    def clean_data_url(self) -> str:
        return self._checked("data_url", "http")

    def clean_stream_url(self) -> str:
        return self._checked("stream_url", "ws")

    def _checked(self, name: str, scheme: str) -> str:
        url = str(self.cleaned_data[name])
        if url:
            require_safe_address(url, scheme)
        return url

    def clean_silence_ms(self) -> int:
        if self.cleaned_data["silence_ms"] < 100:
            raise ValidationError("Below 100 ms the network itself would be taken for silence.")
        return int(self.cleaned_data["silence_ms"])


@admin.register(Feed)
class FeedAdmin(RefusalsTold, AuditedAdmin):
    """Where bars come from. What a feed delivers is set up by ``manage.py feeds subscribe``.

    The credentials of its account go to the addresses of a feed: only whoever may set credentials says which those are.
    """

    form = FeedForm
    list_display = ("name", "state", "enabled", "account", "priority", "delivers", "last_bar_at", "last_error")
    list_filter = ("state", "enabled")
    ordering = ("priority", "name")
    fields = ("name", *_SETTINGS, *_SEEN)
    readonly_fields = _SEEN

    def has_add_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm(_POINT)

    def has_change_permission(self, request: HttpRequest, obj: models.Model | None = None) -> bool:
        return request.user.has_perm(_OPERATE) or request.user.has_perm(_POINT)

    def get_queryset(self, request: HttpRequest) -> models.QuerySet[Feed]:
        return super().get_queryset(request).prefetch_related("subscriptions__series")

    def get_fields(self, request: HttpRequest, obj: models.Model | None = None) -> list[Any]:
        return super().get_fields(request, obj) if obj else ["name", *_WHERE, "priority"]

    def fixed_fields(self, request: HttpRequest, obj: models.Model | None = None) -> tuple[str, ...]:
        if obj is None:
            return ()
        return ("name", *_SEEN) if request.user.has_perm(_POINT) else ("name", *_WHERE, *_SEEN)

    @admin.display(description="delivers")
    def delivers(self, feed: Feed) -> str:
        return ", ".join(sorted(str(one.series) for one in feed.subscriptions.all())) or "nothing yet"

    def save_model(self, request: HttpRequest, obj: Feed, form: Any, change: bool) -> None:
        if change:
            super().save_model(request, obj, form, change)
            follow_feed_policies()
            return
        named = {name: form.cleaned_data[name] for name in (*_WHERE, "priority")}
        obj.pk = add_feed(form.cleaned_data["name"], by=request.user.get_username(), **named).pk


@admin.register(BarSeries)
class BarSeriesAdmin(RecordAdmin):
    list_display = (
        "symbol",
        "timeframe",
        "calendar",
        "gap_policy",
        "feed_policy",
        "quiet_slots",
        "checked_until",
        "released_until",
    )
    list_filter = ("timeframe", "calendar", "gap_policy")
    search_fields = ("^symbol",)
    ordering = ("symbol", "timeframe")


@admin.register(Gap)
class GapAdmin(RecordAdmin):
    list_display = ("id", "series", "state", "cause", "started_at", "ended_at", "missing", "reason", "found_at")
    list_filter = ("state", "cause")
    list_select_related = ("series",)
    search_fields = ("^series__symbol",)
    ordering = ("-id",)


@admin.register(QuestionableBar)
class QuestionableBarAdmin(RecordAdmin):
    list_display = ("symbol", "timeframe", "stamp", "state", "why", "source", "received_at", "decided_by")
    list_filter = ("state", "source")
    search_fields = ("^symbol",)
    ordering = ("-id",)

    @admin.display(description="why")
    def why(self, row: QuestionableBar) -> str:
        return ", ".join(row.faults).replace("_", " ")


@admin.register(LastTick)
class LastTickAdmin(RecordAdmin):
    list_display = (
        "symbol",
        "feed",
        "quote_at",
        "bid",
        "ask",
        "trade_at",
        "price",
        "bar_at",
        "habit_seconds",
        "refused",
    )
    list_filter = ("feed",)
    list_select_related = ("feed",)
    search_fields = ("^symbol",)
    ordering = ("symbol", "feed")


@admin.register(BarConflict)
class BarConflictAdmin(RecordAdmin):
    list_display = ("series", "opened_at", "recorded_source", "recorded_close", "given_source", "given", "found_at")
    list_filter = ("recorded_source", "given_source")
    list_select_related = ("series",)
    ordering = ("-id",)


@admin.register(BackfillAttempt)
class BackfillAttemptAdmin(RecordAdmin):
    list_display = (
        "gap",
        "source",
        "started_at",
        "ended_at",
        "given",
        "usable",
        "questionable",
        "error_code",
        "asked_at",
    )
    list_filter = ("source", "error_code")
    list_select_related = ("gap__series",)
    ordering = ("-id",)
