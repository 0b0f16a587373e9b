"""Balances as brokers reported them, and cash that moved without an execution."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.safestring import SafeString

from brokers.admin.positions import figures
from brokers.core.corporate_actions import CashEntryKind, cash_problem
from brokers.core.order_requests import is_usable_symbol
from brokers.models import Balance, CashEntry
from brokers.selectors.holdings import balance_points
from brokers.services.account_proposals import CASH_PERMISSION, HANDLE_PERMISSION, propose_cash
from brokers.services.accounts import list_profiles
from reliability.admin.records import RecordAdmin
from reliability.core.charts import Chart


@admin.register(Balance)
class BalanceAdmin(RecordAdmin):
    list_display = (
        "asked_at", "account", "currency", "cash", "equity", "buying_power", "reserved", "held_by_orders",
    )  # fmt: skip
    list_filter = ("account",)
    list_select_related = ("account",)
    ordering = ("-id",)
    extra_details = ("charts",)

    @admin.display(description="history")
    def charts(self, balance: Balance) -> SafeString | str:
        points = balance_points(balance.account_id)
        name = balance.account.name
        cash = Chart(f"Cash of {name}, {balance.currency}", [(at, value) for at, value, _ in points])
        equity = Chart(f"Equity of {name}, {balance.currency}", [(at, value) for at, _, value in points])
        return figures(cash, equity)


class CashEntryForm(forms.ModelForm):
    """What moved, on which account, and why."""

    chosen = forms.ChoiceField(choices=lambda: [(one.id, one.name) for one in list_profiles()], label="Account")
    how = forms.ChoiceField(choices=[(one.value, one.value) for one in CashEntryKind], label="Kind")
    reason = forms.CharField(max_length=500, widget=forms.TextInput(attrs={"class": "vTextField"}))

    class Meta:
        model = CashEntry
        fields = ("amount", "currency", "symbol")

    def clean(self) -> dict[str, Any]:
        values = super().clean() or self.cleaned_data
        if not self.errors:
            problem = cash_problem(CashEntryKind(values["how"]), values["amount"])
            if problem:
                raise forms.ValidationError(problem)
            if values["symbol"] and not is_usable_symbol(values["symbol"]):
                raise forms.ValidationError("That is no symbol.")
        return values


@admin.register(CashEntry)
class CashEntryAdmin(RecordAdmin):
    list_display = ("recorded_at", "account", "kind", "amount", "currency", "symbol", "actor", "reason")
    list_filter = ("account", "kind")
    list_select_related = ("account",)
    ordering = ("-id",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[CashEntry]:
        return super().get_queryset(request).select_related("account")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm(CASH_PERMISSION) and request.user.has_perm(HANDLE_PERMISSION)

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        if obj is not None:
            return super().get_form(request, obj, change, **kwargs)
        return CashEntryForm

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        own = ["chosen", "how", "amount", "currency", "symbol", "reason"]
        return own if obj is None else super().get_fields(request, obj)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        return [] if obj is None else super().get_readonly_fields(request, obj)

    def save_form(self, request: HttpRequest, form: Any, change: bool) -> CashEntry:
        """Propose it: the row is written once another person confirms."""
        values = form.cleaned_data
        kind = CashEntryKind(values["how"])
        propose_cash(
            int(values["chosen"]), kind, values["amount"], currency=values["currency"], symbol=values["symbol"],
            by=request.user.get_username(), reason=values["reason"],
        )  # fmt: skip
        return CashEntry(kind=kind.value, amount=values["amount"], currency=values["currency"])

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Whoever confirms has the row written."""

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """There is nothing beside the row."""

    def log_addition(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        """The proposal is on record, with the reason."""

    def response_add(self, request: HttpRequest, obj: CashEntry, post_url_continue: str | None = None) -> HttpResponse:
        self.message_user(request, f"Proposed: {obj}. Another person confirms it.", messages.SUCCESS)
        return self.response_post_save_add(request, obj)
