"""Dead letters: found, understood, replayed or discarded."""

from collections.abc import Callable
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from reliability.admin.jobs import AttemptInline, about
from reliability.admin.records import RecordAdmin
from reliability.core.errors import ReliabilityError
from reliability.core.jobs import JobState
from reliability.models import DeadLetter
from reliability.services.jobs.bulk_replay import ask_for_replay
from reliability.services.jobs.deadletters import MOST_AT_ONCE, discard_dead_letters


@admin.register(DeadLetter)
class DeadLetterAdmin(RecordAdmin):
    list_display = ("id", "kind", "lane", "error_code", "error_message", "attempt", about, "finished_at")
    list_filter = ("kind", "error_code", "lane")
    show_facets = admin.ShowFacets.ALWAYS
    search_fields = ("=id", "error_message", "error_code", "kind")
    search_help_text = "Job number, or words of the error"
    ordering = ("-id",)
    inlines = (AttemptInline,)
    leading_fields = ("kind", "error_code", "error_message", "payload", "subject", "finished_at")
    actions = ("replay", "discard")
    change_form_template = "admin/reliability/deadletter/change_form.html"

    def get_queryset(self, request: HttpRequest) -> QuerySet[DeadLetter]:
        return super().get_queryset(request).filter(state=JobState.DEAD)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("reliability.view_job")

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def has_operate_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("reliability.operate_deadletter")

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        context = {"may_operate": self.has_operate_permission(request), "picked_name": ACTION_CHECKBOX_NAME}
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), **context})

    @admin.action(description="Replay chosen dead letters", permissions=["operate"])
    def replay(self, request: HttpRequest, chosen: QuerySet[DeadLetter]) -> HttpResponse | None:
        def act(ids: list[int], who: str, reason: str) -> str:
            return str(ask_for_replay(ids, by=who, reason=reason))

        return self._decide(request, chosen, "replay", act)

    @admin.action(description="Discard chosen dead letters", permissions=["operate"])
    def discard(self, request: HttpRequest, chosen: QuerySet[DeadLetter]) -> HttpResponse | None:
        def act(ids: list[int], who: str, reason: str) -> str:
            changed = discard_dead_letters(ids, actor=who, reason=reason)
            return f"{changed} dead letter{'' if changed == 1 else 's'} discarded."

        return self._decide(request, chosen, "discard", act)

    def _decide(
        self, request: HttpRequest, chosen: QuerySet[DeadLetter], action: str, act: Callable[[list[int], str, str], str]
    ) -> HttpResponse | None:
        """Ask for a reason first; then act on exactly the jobs that the question showed."""
        reason = request.POST.get("reason", "").strip()
        if not reason:
            return self._ask(request, chosen, action)
        ids = [int(text) for text in request.POST.getlist(ACTION_CHECKBOX_NAME) if text.isdecimal()]
        try:
            self.message_user(request, act(ids, request.user.get_username(), reason), messages.SUCCESS)
        except ReliabilityError as error:
            self.message_user(request, f"Nothing was changed: {error.message}", messages.ERROR)
        return None

    def _ask(self, request: HttpRequest, chosen: QuerySet[DeadLetter], action: str) -> HttpResponse:
        jobs = list(chosen.order_by("id")[: MOST_AT_ONCE + 1])
        context = {
            **self.admin_site.each_context(request),
            "title": f"{action.capitalize()} {len(jobs[:MOST_AT_ONCE])} dead letter{'' if len(jobs) == 1 else 's'}",
            "opts": self.model._meta,
            "action": action,
            "jobs": jobs[:MOST_AT_ONCE],
            "more": len(jobs) > MOST_AT_ONCE,
            "most": MOST_AT_ONCE,
            "picked_name": ACTION_CHECKBOX_NAME,
        }
        return TemplateResponse(request, "admin/reliability/deadletter/decide.html", context)
