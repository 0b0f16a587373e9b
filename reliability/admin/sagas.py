"""Sagas: their steps, their events, and what a person decides about them."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse

from reliability.admin.deciding import ReasonForm, decide
from reliability.admin.records import RecordAdmin, RecordInline
from reliability.models import Saga, SagaEvent, SagaStep
from reliability.services.sagas.control import cancel_saga, close_saga, resume_saga


class StepInline(RecordInline):
    model = SagaStep
    columns = ("number", "action", "state", "attempts", "error_message", "compensation", "undo_round", "result")


class EventInline(RecordInline):
    model = SagaEvent
    columns = ("sequence", "recorded_at", "kind", "step", "from_state", "to_state", "actor", "detail")


@admin.register(Saga)
class SagaAdmin(RecordAdmin):
    list_display = ("id", "kind", "state", "error_code", "created_at", "deadline_at", "finished_at")
    list_filter = ("state", "kind")
    search_fields = ("=id",)
    search_help_text = "Id of the saga, which is that of the basket it carries out"
    ordering = ("-id",)
    inlines = (StepInline, EventInline)
    leading_fields = ("kind", "state", "error_code", "error_message", "deadline_at")
    actions = ("cancel_chosen", "resume_chosen", "close_chosen")

    def has_operate_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("reliability.operate_saga")

    @admin.action(description="Cancel chosen sagas", permissions=["operate"])
    def cancel_chosen(self, request: HttpRequest, chosen: QuerySet[Saga]) -> HttpResponse | None:
        about = "They are given up: what was begun is taken back, the last step first."
        return self._decide(request, chosen, "cancel_chosen", cancel_saga, about)

    @admin.action(description="Resume chosen sagas that need a person", permissions=["operate"])
    def resume_chosen(self, request: HttpRequest, chosen: QuerySet[Saga]) -> HttpResponse | None:
        about = "The compensation that failed is tried once more."
        return self._decide(request, chosen, "resume_chosen", resume_saga, about)

    @admin.action(description="Close chosen sagas that need a person", permissions=["operate"])
    def close_chosen(self, request: HttpRequest, chosen: QuerySet[Saga]) -> HttpResponse | None:
        about = "They end as they are: whoever closes them has settled by hand what could not be taken back."
        return self._decide(request, chosen, "close_chosen", close_saga, about)

    def _decide(
        self, request: HttpRequest, chosen: QuerySet[Saga], action: str, service: Any, about: str
    ) -> HttpResponse | None:
        actor = request.user.get_username()

        def act(row: Any, values: dict[str, Any]) -> None:
            service(row.pk, actor=actor, reason=values["reason"])

        return decide(self, request, chosen, action=action, form_class=ReasonForm, act=act, about=about)
