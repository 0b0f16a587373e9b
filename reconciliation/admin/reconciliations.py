"""Runs and what they found: asking for one, following it, and deciding on differences."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from brokers.services.accounts import list_profiles
from reconciliation.core.runs import RunKind
from reconciliation.models import Discrepancy, ReconciliationMark, ReconciliationRun
from reconciliation.selectors.runs import differing_part
from reconciliation.services.resolutions import ask_for_run, propose_acceptance
from reliability.admin.deciding import ReasonForm, decide
from reliability.admin.records import RecordAdmin, RecordInline


class RequestForm(forms.ModelForm):
    """Which account is reconciled, and how far back."""

    chosen = forms.ChoiceField(choices=lambda: [(one.id, one.name) for one in list_profiles()], label="Account")
    how = forms.ChoiceField(
        choices=[(member.value, member.value) for member in RunKind],
        label="Kind",
        help_text="Incremental: executions since the last clean mark. Full: all that the broker lists.",
    )

    class Meta:
        model = ReconciliationRun
        fields: tuple[str, ...] = ()


class FoundInline(RecordInline):
    model = Discrepancy
    fk_name = "run"
    columns = ("id", "kind", "subject_type", "subject", "symbol", "recorded", "reported", "state", "resolution")


@admin.register(ReconciliationRun)
class ReconciliationRunAdmin(RecordAdmin):
    list_display = (
        "id", "account", "kind", "state", "requested_by", "orders_reported", "fills_reported", "found", "remaining",
        "requested_at",
    )  # fmt: skip
    list_filter = ("account", "kind", "state")
    list_select_related = ("account",)
    ordering = ("-id",)
    actions = ("reconcile_again",)
    extra_details = ("follow",)
    inlines = (FoundInline,)

    @admin.display(description="see also")
    def follow(self, run: ReconciliationRun) -> SafeString:
        return format_html(
            '<a href="{}">Operator\'s page of this run</a>', reverse("reconciliation-run", args=[run.pk])
        )

    def has_add_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("reconciliation.run_reconciliation")

    def has_run_permission(self, request: HttpRequest) -> bool:
        return self.has_add_permission(request)

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        return super().get_form(request, obj, change, **kwargs) if obj is not None else RequestForm

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        return ["chosen", "how"] if obj is None else super().get_fields(request, obj)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        return [] if obj is None else super().get_readonly_fields(request, obj)

    def get_inlines(self, request: HttpRequest, obj: Any) -> Any:
        return () if obj is None else self.inlines

    def save_form(self, request: HttpRequest, form: Any, change: bool) -> ReconciliationRun:
        """Ask for the run: the service writes the row."""
        values = form.cleaned_data
        run_id = ask_for_run(int(values["chosen"]), by=request.user.get_username(), kind=RunKind(values["how"]))
        return ReconciliationRun.objects.get(pk=run_id)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """The row is written already."""

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """There is nothing beside the row."""

    def log_addition(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        """The audit has it."""

    def response_add(self, request: HttpRequest, obj: Any, post_url_continue: str | None = None) -> HttpResponse:
        """Go to the page that shows how far it is."""
        return HttpResponseRedirect(reverse("reconciliation-run", args=[obj.pk]))

    @admin.action(description="Reconcile the accounts of chosen runs now", permissions=["run"])
    def reconcile_again(self, request: HttpRequest, chosen: QuerySet[ReconciliationRun]) -> HttpResponse | None:
        by = request.user.get_username()
        asked = [ask_for_run(account_id, by=by) for account_id in set(chosen.values_list("account_id", flat=True))]
        if len(asked) == 1:
            return HttpResponseRedirect(reverse("reconciliation-run", args=asked))
        self.message_user(request, f"{len(asked)} accounts are being reconciled.", messages.SUCCESS)
        return HttpResponseRedirect(reverse("reconciliation"))


@admin.register(Discrepancy)
class DiscrepancyAdmin(RecordAdmin):
    list_display = (
        "id", "kind", "account", "subject_type", "symbol", "recorded_side", "reported_side", "state", "resolution",
        "first_seen_at",
    )  # fmt: skip
    list_filter = ("state", "kind", "account", "resolution")
    list_select_related = ("account",)
    search_fields = ("^subject", "^symbol")
    ordering = ("-id",)
    actions = ("accept_chosen",)
    extra_details = ("decide_on",)
    leading_fields = ("kind", "state", "resolution", "reason", "recorded", "reported", "after")

    @admin.display(description="recorded")
    def recorded_side(self, row: Discrepancy) -> str:
        return differing_part(row.recorded, row.reported)

    @admin.display(description="reported")
    def reported_side(self, row: Discrepancy) -> str:
        return differing_part(row.reported, row.recorded)

    @admin.display(description="see also")
    def decide_on(self, row: Discrepancy) -> SafeString:
        return format_html(
            '<a href="{}">Both sides, and what can be decided</a>', reverse("discrepancy", args=[row.pk])
        )

    def has_resolve_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("reconciliation.resolve_discrepancy")

    @admin.action(description="Accept chosen differences as they are", permissions=["resolve"])
    def accept_chosen(self, request: HttpRequest, chosen: QuerySet[Discrepancy]) -> HttpResponse | None:
        def act(row: Any, values: dict[str, Any]) -> None:
            propose_acceptance(row.pk, by=request.user.get_username(), reason=values["reason"])

        about = (
            "Both sides stay as they are, and are not named again until one of them changes. A difference of cash is "
            "proposed: another person confirms it."
        )
        return decide(self, request, chosen, action="accept_chosen", form_class=ReasonForm, act=act, about=about)


@admin.register(ReconciliationMark)
class ReconciliationMarkAdmin(RecordAdmin):
    list_display = ("account", "clean_at", "full_at", "fill_id", "cash")
    list_select_related = ("account",)
    ordering = ("account_id",)
