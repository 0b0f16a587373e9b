"""Guesses about failures to review, and the rules made of them."""

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from reliability.admin.deciding import ReasonForm, decide
from reliability.admin.records import PlainAdmin, RecordAdmin, RefusalsTold
from reliability.core.catalog import CATALOG
from reliability.core.classification import Operation, Proof
from reliability.models import ErrorGuess, ErrorRule
from reliability.services.error_rules import (
    WARNING,
    RuleDraft,
    add_rule,
    change_rule,
    confirm_guess,
    draft_of,
    reject_guess,
    switch_rule,
)
from reliability.templatetags.stanchion import badge

_ACCEPT_LABEL = "I have seen it documented that nothing happened; I accept that this can double an order"


def _codes() -> list[tuple[str, str]]:
    return [(code, f"{code}: {entry.message}"[:110]) for code, entry in sorted(CATALOG.items())]


class ConfirmForm(ReasonForm):
    """A guess, corrected where it is wrong. Proof "as guessed" keeps what the guess took for proven."""

    field_order = ("code", "proof", "accepts_doubling", "reason")
    code = forms.ChoiceField(choices=lambda: [("", "as guessed"), *_codes()], required=False)
    proof = forms.ChoiceField(
        choices=[("", "as guessed"), *((proof.value, proof.value.replace("_", " ")) for proof in Proof)], required=False
    )
    accepts_doubling = forms.BooleanField(required=False, label=_ACCEPT_LABEL)


class SwitchForm(ReasonForm):
    """Taking a rule into use again may need the same acceptance as making it."""

    field_order = ("accepts_doubling", "reason")
    accepts_doubling = forms.BooleanField(required=False, label=_ACCEPT_LABEL)


@admin.register(ErrorGuess)
class ErrorGuessAdmin(RecordAdmin):
    """Kinds of failures no rule knew, those to review first."""

    list_display = ("message", "raw_code", "where", "count", "last_seen_at", "code", "sure", "risk", "state")
    list_filter = ("state", "source")
    show_facets = admin.ShowFacets.ALWAYS
    search_fields = ("message", "=raw_code", "=source")
    search_help_text = "Words of the message, a raw code, or a source"
    ordering = ("-last_seen_at",)
    leading_fields = ("state", "source", "operation", "raw_code", "message", "sample", "code", "confidence", "proof")
    actions = ("confirm", "reject")

    def has_decide_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("reliability.decide_errorguess")

    @admin.display(description="met", ordering="source")
    def where(self, row: ErrorGuess) -> str:
        return f"{row.source} {row.operation}"

    @admin.display(description="confidence", ordering="confidence")
    def sure(self, row: ErrorGuess) -> str:
        return f"{100 * row.confidence:.0f} %"

    @admin.display(description="outcome", ordering="ambiguous")
    def risk(self, row: ErrorGuess) -> SafeString:
        return badge("unknown" if row.ambiguous else "known")

    @admin.action(description="Confirm or correct chosen guesses", permissions=["decide"])
    def confirm(self, request: HttpRequest, chosen: QuerySet[ErrorGuess]) -> HttpResponse | None:
        def act(row: Any, values: dict[str, Any]) -> None:
            confirm_guess(
                row.pk,
                actor=request.user.get_username(),
                reason=values["reason"],
                code=values["code"],
                proof=Proof(values["proof"]) if values["proof"] else None,
                accepts_doubling=values["accepts_doubling"],
            )

        about = "Each becomes a rule that every process uses within seconds."
        return decide(
            self,
            request,
            chosen,
            action="confirm",
            form_class=ConfirmForm,
            act=act,
            about=about,
            warning=f"With the proof refused or not sent: {WARNING}",
        )

    @admin.action(description="Reject chosen guesses", permissions=["decide"])
    def reject(self, request: HttpRequest, chosen: QuerySet[ErrorGuess]) -> HttpResponse | None:
        def act(row: Any, values: dict[str, Any]) -> None:
            reject_guess(row.pk, actor=request.user.get_username(), reason=values["reason"])

        about = "None becomes a rule; they stay on record and are counted on."
        return decide(self, request, chosen, action="reject", form_class=ReasonForm, act=act, about=about)


class RuleForm(forms.ModelForm):
    """A rule with what makes it dangerous said in red."""

    code = forms.ChoiceField(choices=_codes, help_text="The code of the catalogue.")
    operations = forms.MultipleChoiceField(
        choices=[(member.value, member.value.replace("_", " ")) for member in Operation],
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text="None chosen: every operation.",
    )
    accepts_doubling = forms.BooleanField(required=False, label=_ACCEPT_LABEL)
    why = forms.CharField(
        max_length=500,
        label="Reason",
        widget=forms.TextInput(attrs={"class": "vTextField", "autocomplete": "off"}),
        help_text="Kept with the change.",
    )

    class Meta:
        model = ErrorRule
        fields = ("source", "operations", "raw_code", "message", "code", "proof")

    def draft(self) -> RuleDraft:
        values = self.cleaned_data
        return RuleDraft(
            source=values["source"],
            code=values["code"],
            proof=Proof(values["proof"]),
            operations=tuple(Operation(name) for name in values["operations"]),
            raw_code=values["raw_code"],
            message=values["message"],
        )

    def clean(self) -> dict[str, Any]:
        values = super().clean() or {}
        if not self.errors and self.draft().can_double_an_order and not values["accepts_doubling"]:
            self.add_error("accepts_doubling", WARNING)
        return values


@admin.register(ErrorRule)
class ErrorRuleAdmin(RefusalsTold, PlainAdmin):
    """What failures mean, decided by people."""

    form = RuleForm
    list_display = ("__str__", "operations", "code", "proof", "danger", "is_active", "author", "reason", "changed_at")
    list_filter = ("is_active", "source", "proof")
    search_fields = ("message", "=raw_code", "=source", "=code")
    search_help_text = "Words, a raw code, a source, or a code of the catalogue"
    ordering = ("-changed_at",)
    actions = ("take_into_use", "take_out_of_use")
    fields = ("source", "operations", "raw_code", "message", "code", "proof", "accepts_doubling", "why")
    readonly_fields = ("danger", "is_active", "author", "reason", "changed_at")

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        """Show what was decided before, where there is something."""
        known = [self._shown(name) for name in self.readonly_fields] if obj else []
        return [*known, *super().get_fields(request, obj)]

    @admin.display(description="if it is wrong")
    def danger(self, row: ErrorRule) -> SafeString | str:
        if row.pk is None or not draft_of(row).can_double_an_order:
            return "an order waits for a look-up"
        return format_html('<strong class="danger-text">{}</strong>', "can double an order")

    def save_model(self, request: HttpRequest, obj: ErrorRule, form: Any, change: bool) -> None:
        decision = {
            "actor": request.user.get_username(),
            "reason": form.cleaned_data["why"],
            "accepts_doubling": form.cleaned_data["accepts_doubling"],
        }
        if change:
            change_rule(obj.pk, form.draft(), **decision)
        else:
            obj.pk = add_rule(form.draft(), **decision).pk

    @admin.action(description="Take chosen rules out of use", permissions=["change"])
    def take_out_of_use(self, request: HttpRequest, chosen: QuerySet[ErrorRule]) -> HttpResponse | None:
        def act(row: Any, values: dict[str, Any]) -> None:
            switch_rule(row.pk, active=False, actor=request.user.get_username(), reason=values["reason"])

        about = "Such failures are guessed again, within seconds, in every process."
        return decide(self, request, chosen, action="take_out_of_use", form_class=ReasonForm, act=act, about=about)

    @admin.action(description="Take chosen rules into use", permissions=["change"])
    def take_into_use(self, request: HttpRequest, chosen: QuerySet[ErrorRule]) -> HttpResponse | None:
        def act(row: Any, values: dict[str, Any]) -> None:
            switch_rule(
                row.pk,
                active=True,
                actor=request.user.get_username(),
                reason=values["reason"],
                accepts_doubling=values["accepts_doubling"],
            )

        risky = any(draft_of(row).can_double_an_order for row in chosen[:100])
        about = "They decide again, within seconds, in every process."
        warning = WARNING if risky else ""
        return decide(
            self, request, chosen, action="take_into_use", form_class=SwitchForm, act=act, about=about, warning=warning
        )
