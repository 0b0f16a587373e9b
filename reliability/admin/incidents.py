"""Incidents: found, handled, looked back at."""

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html_join
from django.utils.safestring import SafeString

from reliability.admin.alerts import severity_badge
from reliability.admin.deciding import ReasonForm, TellsErrors, decide
from reliability.admin.records import PlainAdmin, RecordAdmin, link_to
from reliability.admin.timelines import history_of
from reliability.core.incidents import UNRESOLVED
from reliability.models import Delivery, Incident
from reliability.selectors.incidents import list_incident_alerts
from reliability.services.incident_decisions import (
    REGULATORY_FIELDS,
    REVIEW_FIELDS,
    acknowledge_incident,
    close_incident,
    mitigate_incident,
    write_review,
)
from reliability.templatetags.stanchion import badge

_WRITTEN = (*REVIEW_FIELDS, *REGULATORY_FIELDS)


class UnresolvedIncidents(admin.SimpleListFilter):
    title = "whether it is over"
    parameter_name = "over"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("no", "not over")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(state__in=UNRESOLVED) if self.value() == "no" else queryset


@admin.register(Incident)
class IncidentAdmin(TellsErrors, PlainAdmin):
    """A record but for the review: its fields are written here, each change with what was there before."""

    list_display = (
        "number",
        severity_badge,
        "state",
        "domain",
        "subject",
        "title",
        "detected_at",
        "acknowledged_by",
        "resolved_at",
    )
    list_filter = (UnresolvedIncidents, "state", "severity", "domain", "kind")
    search_fields = ("=id", "=subject", "title")
    search_help_text = "Number without INC-, subject, or words of the title"
    ordering = ("-id",)
    actions = ("acknowledge", "mitigate", "close")
    readonly_fields = ("number", "severity", "alerts", "history")

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        first = ("number", "severity", "alerts", "history")
        hidden = {*_WRITTEN, *first, "id", "severity_is_set"}
        facts = [name for name in self._fields_by_name if name not in hidden]
        return [
            "number",
            self._shown("severity"),
            "alerts",
            "history",
            *(self._shown(name) for name in facts),
            *_WRITTEN,
        ]

    def fixed_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        facts = [name for name in self._fields_by_name if name not in _WRITTEN]
        return (*self.readonly_fields, *facts)

    @admin.display(description="number", ordering="id")
    def number(self, row: Incident) -> str:
        return row.number

    @admin.display(description="alerts")
    def alerts(self, row: Incident) -> SafeString | str:
        lines = (
            (badge(alert.severity_name), link_to(alert), alert.message) for alert in list_incident_alerts(row.pk, 20)
        )
        return format_html_join("", "<div>{} {}: {}</div>", lines) or "—"

    @admin.display(description="history")
    def history(self, row: Incident) -> SafeString:
        return history_of("incident", row.pk)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("reliability.review_incident")

    def has_operate_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("reliability.operate_incident")

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """Ask for an instant in one field: two would have one name."""
        if db_field.name != "reported_at":
            return super().formfield_for_dbfield(db_field, request, **kwargs)
        widget = forms.DateTimeInput(attrs={"class": "vTextField"})
        return forms.DateTimeField(required=False, widget=widget, help_text="UTC, for example 2026-11-24 03:00:00")

    def save_model(self, request: HttpRequest, obj: Incident, form: Any, change: bool) -> None:
        values = {name: form.cleaned_data[name] for name in form.changed_data if name in _WRITTEN}
        if values:
            write_review(obj.pk, values, actor=request.user.get_username(), reason="written in admin")

    @admin.action(description="Acknowledge chosen incidents", permissions=["operate"])
    def acknowledge(self, request: HttpRequest, chosen: QuerySet[Incident]) -> HttpResponse | None:
        def act(row: Any, values: dict[str, Any]) -> None:
            acknowledge_incident(row.pk, actor=request.user.get_username(), reason=values["reason"])

        about = "You work on them; nobody else is paged. You are reminded, and it is taken back if you do not answer."
        return decide(self, request, chosen, action="acknowledge", form_class=ReasonForm, act=act, about=about)

    @admin.action(description="Say that chosen incidents do no harm any more", permissions=["operate"])
    def mitigate(self, request: HttpRequest, chosen: QuerySet[Incident]) -> HttpResponse | None:
        def act(row: Any, values: dict[str, Any]) -> None:
            mitigate_incident(row.pk, actor=request.user.get_username(), reason=values["reason"])

        about = "Their cause is still there; they are resolved when their alerts are over."
        return decide(self, request, chosen, action="mitigate", form_class=ReasonForm, act=act, about=about)

    @admin.action(description="Close chosen incidents", permissions=["operate"])
    def close(self, request: HttpRequest, chosen: QuerySet[Incident]) -> HttpResponse | None:
        def act(row: Any, values: dict[str, Any]) -> None:
            close_incident(row.pk, actor=request.user.get_username(), reason=values["reason"])

        about = "They were looked back at. Only what is resolved can be closed."
        return decide(self, request, chosen, action="close", form_class=ReasonForm, act=act, about=about)


@admin.register(Delivery)
class DeliveryAdmin(RecordAdmin):
    list_display = ("id", "state", "reason", "recipient", "title", "created_at", "finished_at")
    list_filter = ("state", "reason", "recipient")
    list_select_related = ("recipient",)
    search_fields = ("=incident__id", "title")
    search_help_text = "Number of the incident without INC-, or words of the title"
    ordering = ("-id",)
    extra_details = ("tries",)

    @admin.display(description="attempts")
    def tries(self, row: Delivery) -> SafeString | str:
        lines = (
            (one.attempt, one.outcome.replace("_", " "), one.status or "", one.message) for one in row.attempts.all()
        )
        return format_html_join("", "<div>{}. {} {} {}</div>", lines) or "none yet"
