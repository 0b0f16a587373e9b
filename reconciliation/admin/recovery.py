"""Recovery runs with their steps, and asking for one of an account."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from reconciliation.models import RecoveryRun, RecoveryTrigger
from reconciliation.selectors.recovery import run_steps
from reconciliation.services.recovery import request_recovery
from reliability.admin.deciding import ReasonForm, decide
from reliability.admin.records import RecordAdmin, RecordInline, pretty
from reliability.templatetags.stanchion import badge


class TriggerInline(RecordInline):
    model = RecoveryTrigger
    columns = ("noticed_at", "kind", "reason", "since", "noticed_by")


@admin.register(RecoveryRun)
class RecoveryRunAdmin(RecordAdmin):
    list_display = ("id", "account", "state", "trigger", "disrupted_at", "finished_at", "seconds", "told")
    list_filter = ("state", "trigger", "account")
    list_select_related = ("account",)
    ordering = ("-id",)
    extra_details = ("live", "seconds", "steps")
    inlines = (TriggerInline,)
    actions = ("recover_again",)

    def has_run_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("reconciliation.run_recovery")

    @admin.display(description="seconds")
    def seconds(self, run: RecoveryRun) -> str:
        """From the disruption to the end."""
        return "—" if run.finished_at is None else f"{(run.finished_at - run.disrupted_at).total_seconds():.1f}"

    @admin.display(description="findings")
    def told(self, run: RecoveryRun) -> str:
        return " ".join(run.findings) or run.error_message or "—"

    @admin.display(description="progress")
    def live(self, run: RecoveryRun) -> SafeString:
        return format_html('<a href="{}">Live progress</a>', reverse("recovery", args=[run.pk]))

    @admin.display(description="steps")
    def steps(self, run: RecoveryRun) -> SafeString:
        rows = [
            (
                step["number"],
                step["action"].replace("_", " "),
                badge(step["state"]),
                step["error"] or pretty(step["result"]),
            )
            for step in run_steps(run)
        ]
        body = format_html_join("", "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>", rows)
        head = format_html_join("", '<th scope="col">{}</th>', ((title,) for title in ("#", "step", "state", "found")))
        return format_html("<table><thead><tr>{}</tr></thead><tbody>{}</tbody></table>", head, body)

    @admin.action(description="Recover the accounts of chosen runs again", permissions=["run"])
    def recover_again(self, request: HttpRequest, chosen: QuerySet[RecoveryRun]) -> HttpResponse | None:
        begun: set[int] = set()

        def act(row: Any, values: dict[str, Any]) -> None:
            if row.account_id not in begun:
                begun.add(row.account_id)
                request_recovery(row.account_id, by=request.user.get_username(), reason=values["reason"])

        about = "A run that is under way on one of these accounts is void and begins anew."
        return decide(self, request, chosen, action="recover_again", form_class=ReasonForm, act=act, about=about)
