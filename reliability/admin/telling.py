"""Who is told: channels, rotas, policies; and the silences in which nobody is."""

from datetime import timedelta
from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.forms.models import BaseInlineFormSet
from django.http import HttpRequest, HttpResponse

from reliability.admin.deciding import ReasonForm, TellsErrors, decide
from reliability.admin.records import PlainAdmin, RecordAdmin
from reliability.core.conditions import CONDITIONS
from reliability.core.escalation import steps_from
from reliability.models import EscalationPolicy, Recipient, Rota, RotaShift, Silence
from reliability.services.audit import record_audit
from reliability.services.delivery import send_test
from reliability.services.recipients import save_recipient
from reliability.services.silences import add_silence, confirm_silence, end_silence


class RecipientForm(forms.ModelForm):
    """The address is written here and never shown again."""

    new_address = forms.CharField(
        required=False,
        max_length=1000,
        label="Address",
        widget=forms.PasswordInput(attrs={"autocomplete": "off", "class": "vTextField"}),
        help_text="An Apprise URL, for example mailto://… or jsons://…; empty keeps the one it has.",
    )

    class Meta:
        model = Recipient
        fields = ("name", "username", "fallback", "is_enabled")

    def clean(self) -> dict[str, Any]:
        values = super().clean() or self.cleaned_data
        if not self.errors and not self.instance.pk and not values.get("new_address"):
            raise ValidationError("Give the address of the channel.")
        return values


@admin.register(Recipient)
class RecipientAdmin(TellsErrors, PlainAdmin):
    form = RecipientForm
    list_display = ("name", "shown_address", "username", "fallback", "is_enabled", "delivered_at", "failed_at")
    list_select_related = ("fallback",)
    search_fields = ("name", "username")
    fields = ("name", "new_address", "username", "fallback", "is_enabled")
    actions = ("test",)

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        return list(self.fields)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        return ["name"] if obj is not None else []

    def save_form(self, request: HttpRequest, form: Any, change: bool) -> Recipient:
        """Save it through the service, which checks and encrypts the address."""
        values = form.cleaned_data
        return save_recipient(
            form.instance.name if change else values["name"],
            values["new_address"],
            actor=request.user.get_username(),
            username=values["username"],
            fallback=values["fallback"],
            is_enabled=values["is_enabled"],
        )

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """The row is written already."""

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """There is nothing beside the row."""

    @admin.action(description="Send a test to chosen recipients", permissions=["change"])
    def test(self, request: HttpRequest, chosen: QuerySet[Recipient]) -> None:
        rows = list(chosen[:20])
        for row in rows:
            send_test(row, actor=request.user.get_username())
        self.message_user(request, f"{len(rows)} on their way: see Deliveries for what becomes of them.")


class LabelledFormSet(BaseInlineFormSet):
    """Rows whose fields say what they are: a column's title names none to whoever cannot see the column."""

    def add_fields(self, form: Any, index: Any) -> None:
        super().add_fields(form, index)
        for field in form.visible_fields():
            widget = field.field.widget
            getattr(widget, "widget", widget).attrs.setdefault("aria-label", str(field.label))


class RotaShiftInline(admin.TabularInline):
    model = RotaShift
    formset = LabelledFormSet
    extra = 1


@admin.register(Rota)
class RotaAdmin(PlainAdmin):
    list_display = ("name",)
    inlines = (RotaShiftInline,)

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)
        shifts = [str(shift) for shift in RotaShift.objects.filter(rota=form.instance).select_related("recipient")]
        record_audit(request.user.get_username(), "save_rota", f"rota:{form.instance.pk}", after={"shifts": shifts})


class PolicyForm(forms.ModelForm):
    class Meta:
        model = EscalationPolicy
        fields = ("name", "place", "is_enabled", "domains", "least_severity", "steps", "rounds")

    def clean_steps(self) -> Any:
        try:
            steps_from(self.cleaned_data["steps"])
        except ValueError as error:
            raise ValidationError(str(error)) from None
        return self.cleaned_data["steps"]


@admin.register(EscalationPolicy)
class EscalationPolicyAdmin(PlainAdmin):
    form = PolicyForm
    list_display = ("name", "place", "is_enabled", "domains", "least_severity", "rounds")
    ordering = ("place", "id")

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        return list(PolicyForm.Meta.fields)

    def save_model(self, request: HttpRequest, obj: EscalationPolicy, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        after = {name: form.cleaned_data[name] for name in form.changed_data}
        record_audit(request.user.get_username(), "save_escalation_policy", f"policy:{obj.pk}", after=after)


class SilenceForm(forms.ModelForm):
    condition = forms.ChoiceField(
        choices=[("", "every condition"), *((name, name) for name in CONDITIONS)], required=False
    )
    minutes = forms.IntegerField(min_value=1, max_value=24 * 60, initial=60)

    class Meta:
        model = Silence
        fields = ("condition", "scope", "reason")


@admin.register(Silence)
class SilenceAdmin(TellsErrors, RecordAdmin):
    list_display = ("id", "condition", "scope", "reason", "author", "confirmed_by", "starts_at", "ends_at", "ended_by")
    ordering = ("-id",)
    actions = ("end", "confirm")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return self.has_silence_permission(request)

    def has_silence_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("reliability.acknowledge_alert")

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        return super().get_form(request, obj, change, **kwargs) if obj is not None else SilenceForm

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        return ["condition", "scope", "minutes", "reason"] if obj is None else super().get_fields(request, obj)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        return [] if obj is None else super().get_readonly_fields(request, obj)

    def save_form(self, request: HttpRequest, form: Any, change: bool) -> Silence:
        values = form.cleaned_data
        return add_silence(
            condition=values["condition"],
            scope=values["scope"],
            duration=timedelta(minutes=values["minutes"]),
            actor=request.user.get_username(),
            reason=values["reason"],
        )

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """The row is written already."""

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """There is nothing beside the row."""

    def log_addition(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        """The audit has it, with the reason."""

    @admin.action(description="End chosen silences", permissions=["silence"])
    def end(self, request: HttpRequest, chosen: QuerySet[Silence]) -> HttpResponse | None:
        def act(row: Any, values: dict[str, Any]) -> None:
            end_silence(row.pk, actor=request.user.get_username())

        about = "People are told again from now on."
        return decide(self, request, chosen, action="end", form_class=ReasonForm, act=act, about=about)

    @admin.action(description="Confirm chosen silences as a second person", permissions=["silence"])
    def confirm(self, request: HttpRequest, chosen: QuerySet[Silence]) -> HttpResponse | None:
        def act(row: Any, values: dict[str, Any]) -> None:
            confirm_silence(row.pk, actor=request.user.get_username())

        about = "They then keep critical alerts quiet, too, and those that are always told."
        return decide(self, request, chosen, action="confirm", form_class=ReasonForm, act=act, about=about)
