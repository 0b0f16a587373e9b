"""Brokers and accounts, the only records of this app that are edited by hand."""

import ipaddress
from typing import Any
from urllib.parse import urlsplit

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.db import models
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html

from brokers.adapters.reach import is_allowed
from brokers.adapters.registry import adapter_names
from brokers.conf import get_conf
from brokers.models import Account, Broker, Instrument, StreamChange, StreamSession
from brokers.selectors.accounts import count_in_doubt, has_orders
from brokers.services.credential_changes import CREDENTIALS_PERMISSION, SECRET_FIELDS, propose_credentials
from brokers.services.limits import BrokerLimits, change_limits
from reliability.admin.records import PlainAdmin, RecordAdmin
from reliability.services.audit import record_audit

LIMIT_FIELDS = ("new_calls_per_minute", "new_concurrent_calls", "new_calls_overall", "limits_reason")
CREDENTIAL_FIELDS = (*SECRET_FIELDS, "change_reason")
CALLED_ADDRESSES = ("base_url", "backup_base_url")
_SECURE = {"http": "https", "ws": "wss"}


def require_safe_address(address: str, plain_scheme: str) -> None:
    """Raise ``ValidationError`` unless the address is encrypted or on this machine, and holds no password."""
    url = urlsplit(address)
    secure = _SECURE[plain_scheme]
    if url.username or url.password:
        raise ValidationError("Credentials belong to the account, not into the address.")
    if url.scheme != secure and not (url.scheme == plain_scheme and _is_loopback(url.hostname or "")):
        raise ValidationError(f"Use {secure}://; {plain_scheme}:// only for an address of this machine.")
    _require_reachable(url.hostname or "")


def _require_reachable(host: str) -> None:
    """Refuse a private address here already; a name is judged by what it resolves to, whenever it is connected to."""
    try:
        allowed = is_allowed(host, get_conf().private_networks)
    except ValueError:
        allowed = host != "localhost" or is_allowed("127.0.0.1", get_conf().private_networks)
    if not allowed:
        raise ValidationError("That is a private address, which STANCHION_PRIVATE_BROKERS does not name.")


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def tell_proposed(request: HttpRequest, change: int) -> None:
    link = format_html('<a href="{}">change {}</a>', reverse("change", args=[change]), change)
    messages.warning(request, format_html("Proposed as {}: another person confirms it within the hour.", link))


def _reason(label: str, help_text: str) -> forms.CharField:
    """Return the field of a reason, which is asked for only where something needs one."""
    widget = forms.TextInput(attrs={"class": "vTextField", "autocomplete": "off"})
    return forms.CharField(required=False, max_length=500, label=label, widget=widget, help_text=help_text)


def _require_reason(form: forms.ModelForm, name: str) -> None:
    if not form.cleaned_data.get(name, "").strip():
        form.add_error(name, "Give a reason: it is kept with the change.")


class BrokerForm(forms.ModelForm):
    """Where a broker is: an order whose outcome is unknown must be asked for where it was sent.

    Limits are no fields of the row here: it is saved with those it has, and they change by their own rule.
    """

    adapter = forms.ChoiceField(choices=lambda: [(name, name) for name in adapter_names()])
    new_calls_per_minute = forms.IntegerField(
        required=False,
        min_value=1,
        max_value=1_000_000,
        label="Calls per minute",
        help_text="What the broker allows each account, over all processes; Alpaca allows 200. Empty: no limit.",
    )
    new_concurrent_calls = forms.IntegerField(
        required=False, min_value=1, max_value=1_000_000, label="Calls at once", help_text="In one process."
    )
    new_calls_overall = forms.IntegerField(
        required=False,
        min_value=1,
        max_value=1_000_000,
        label="Calls at once, overall",
        help_text="In all processes together, if the broker limits them. Empty: no limit.",
    )
    limits_reason = _reason(
        "Reason for other limits", "Lower limits are in force at once; another person confirms higher ones."
    )

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        for name, initial in self._present_limits().items():
            if name in self.fields:
                self.fields[name].initial = initial
        if self.instance.pk and "adapter" in self.fields and has_orders(broker=self.instance.pk):
            self.fields["adapter"].disabled = True
            self.fields["adapter"].help_text = "Fixed: orders were sent by it. Another adapter is another broker."

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        if self.instance.pk and set(CALLED_ADDRESSES) & set(self.changed_data):
            doubtful = count_in_doubt(self.instance.pk)
            if doubtful:
                raise ValidationError(
                    f"What became of {doubtful} orders is not known yet, and it is asked for at these addresses: "
                    "freeze the broker and wait until none is left."
                )
        if self.has_new_limits():
            _require_reason(self, "limits_reason")
        return cleaned

    def limits(self) -> BrokerLimits:
        at_once = self.cleaned_data.get("new_concurrent_calls") or self.instance.max_concurrent_calls
        cleaned = self.cleaned_data
        return BrokerLimits(cleaned.get("new_calls_per_minute"), at_once, cleaned.get("new_calls_overall"))

    def has_new_limits(self) -> bool:
        present = BrokerLimits(*self._present_limits().values())
        return "new_calls_per_minute" in self.fields and self.limits() != present

    def _present_limits(self) -> dict[str, Any]:
        row = self.instance
        return {
            "new_calls_per_minute": row.calls_per_minute,
            "new_concurrent_calls": row.max_concurrent_calls,
            "new_calls_overall": row.max_calls_overall,
        }

    def clean_base_url(self) -> str:
        return self._safe("base_url", "http")

    def clean_stream_url(self) -> str:
        return self._safe("stream_url", "ws")

    def clean_backup_base_url(self) -> str:
        return self._safe("backup_base_url", "http")

    def clean_backup_stream_url(self) -> str:
        return self._safe("backup_stream_url", "ws")

    def _safe(self, name: str, scheme: str) -> str:
        address = str(self.cleaned_data[name])
        if address:
            require_safe_address(address, scheme)
        return address


class SecretInput(forms.PasswordInput):
    """Takes a secret and never shows one."""

    def __init__(self) -> None:
        super().__init__(attrs={"autocomplete": "new-password", "class": "vTextField"}, render_value=False)


class AccountForm(forms.ModelForm):
    api_key = forms.CharField(required=False, widget=SecretInput, label="New API key")
    api_secret = forms.CharField(
        required=False,
        widget=SecretInput,
        label="New API secret",
        help_text="Kept encrypted and never shown. Leave both empty to keep the present ones.",
    )
    change_reason = _reason(
        "Reason", "Of new credentials. Another person confirms them; until then the present ones are used."
    )

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        if bool(cleaned.get("api_key")) != bool(cleaned.get("api_secret")):
            raise ValidationError("Enter the key and the secret together.")
        if cleaned.get("api_key"):
            _require_reason(self, "change_reason")
        return cleaned

    @property
    def credentials(self) -> dict[str, str]:
        """What was entered, empty if nothing was."""
        return {name: self.cleaned_data[name] for name in SECRET_FIELDS if self.cleaned_data.get(name)}


class AuditedAdmin(PlainAdmin):
    """Edited by hand: each change leaves an entry that says who changed which field from what to what."""

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        stored_names = {field.name for field in obj._meta.concrete_fields}
        fields = [name for name in form.changed_data if name in stored_names]
        stored = type(obj).objects.filter(pk=obj.pk).values(*fields).first() if change and fields else {}
        super().save_model(request, obj, form, change)
        after = type(obj).objects.values(*fields).get(pk=obj.pk) if fields else {}
        name = type(obj)._meta.model_name
        action = f"change_{name}" if change else f"add_{name}"
        if fields:
            record_audit(request.user.get_username(), action, f"{name}:{obj}", before=stored or {}, after=after)


@admin.register(Broker)
class BrokerAdmin(AuditedAdmin):
    form = BrokerForm
    list_display = ("name", "adapter", "base_url", "call_timeout_ms", "connect_timeout_ms")
    fields = (
        "name",
        "adapter",
        "base_url",
        "stream_url",
        "backup_base_url",
        "backup_stream_url",
        "mute_after_ms",
        "call_timeout_ms",
        "connect_timeout_ms",
        *LIMIT_FIELDS,
    )
    ordering = ("name",)

    def fixed_fields(self, request: HttpRequest, obj: models.Model | None = None) -> tuple[str, ...]:
        return ("name",) if obj else ()

    def get_fields(self, request: HttpRequest, obj: models.Model | None = None) -> list[Any]:
        names = super().get_fields(request, obj)
        return names if obj else [name for name in names if name not in LIMIT_FIELDS]

    def save_model(self, request: HttpRequest, obj: Broker, form: BrokerForm, change: bool) -> None:
        super().save_model(request, obj, form, change)
        if change and form.has_new_limits():
            who, reason = request.user.get_username(), form.cleaned_data["limits_reason"]
            proposed = change_limits(obj.name, form.limits(), by=who, reason=reason)
            if proposed is not None:
                tell_proposed(request, proposed)


@admin.register(Account)
class AccountAdmin(AuditedAdmin):
    form = AccountForm
    list_display = ("name", "broker", "enabled", "is_default", "is_simulated", "credentials", "synced_at")
    list_filter = ("broker", "enabled")
    list_select_related = ("broker",)
    readonly_fields = ("credentials", "synced_at")
    fields = (
        *("name", "broker", "enabled", "is_default", "is_simulated", "credentials"),
        *(*CREDENTIAL_FIELDS, "synced_at"),
    )
    ordering = ("name",)

    @admin.display(description="credentials")
    def credentials(self, account: Account) -> str:
        return f"set, version {account.credentials_version}" if account.encrypted_credentials else "not set"

    def fixed_fields(self, request: HttpRequest, obj: models.Model | None = None) -> tuple[str, ...]:
        """An account stays where its orders are: an unknown one asked for elsewhere is absent there, and sent again."""
        fixed = ("credentials", "synced_at")
        if obj is None:
            return fixed
        if not self._may_set(request):
            return (*fixed, "name", "broker", "is_default", "is_simulated")
        return (*fixed, "name", "broker") if has_orders(account=obj.pk) else (*fixed, "name")

    def get_fields(self, request: HttpRequest, obj: models.Model | None = None) -> list[Any]:
        """Whoever may switch an account on and off need not be able to point it at another one of the broker."""
        names = super().get_fields(request, obj)
        return names if self._may_set(request) else [name for name in names if name not in CREDENTIAL_FIELDS]

    def save_model(self, request: HttpRequest, obj: Account, form: AccountForm, change: bool) -> None:
        super().save_model(request, obj, form, change)
        if form.credentials and self._may_set(request):
            who, reason = request.user.get_username(), form.cleaned_data["change_reason"]
            tell_proposed(request, propose_credentials(obj.name, form.credentials, by=who, reason=reason))

    @staticmethod
    def _may_set(request: HttpRequest) -> bool:
        return request.user.has_perm(CREDENTIALS_PERMISSION)


@admin.register(Instrument)
class InstrumentAdmin(RecordAdmin):
    list_display = ("symbol", "broker", "name", "tradable", "fractionable", "seen_at")
    list_filter = ("broker", "tradable")
    list_select_related = ("broker",)
    search_fields = ("^symbol", "name")
    ordering = ("symbol", "id")


@admin.register(StreamSession)
class StreamSessionAdmin(RecordAdmin):
    list_display = (
        "account",
        "state",
        "endpoint",
        "standby",
        "generation",
        "caught_up_generation",
        "last_alive_at",
        "last_event_at",
        "reconnects",
        "switches",
        "silences",
        "last_error",
    )
    list_filter = ("state", "endpoint", "standby")
    list_select_related = ("account",)
    ordering = ("account_id",)


@admin.register(StreamChange)
class StreamChangeAdmin(RecordAdmin):
    list_display = ("at", "account", "kind", "endpoint", "generation", "pulse", "reason")
    list_filter = ("kind", "endpoint", "account")
    list_select_related = ("account",)
    ordering = ("-id",)
