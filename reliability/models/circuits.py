"""Circuits as people set them, and every change of their state."""

from datetime import datetime
from typing import Any

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from reliability.core.breaker import PinnedState
from reliability.core.breaker_settings import BreakerSettings

_DEFAULTS = BreakerSettings()
SETTING_NAMES = tuple(_DEFAULTS.to_dict())


class Circuit(models.Model):
    """The settings and the pin of one circuit; its state lives in the shared store.

    ``settings_version`` and ``pin_version`` grow with each change, so that a late message never undoes a newer one.
    """

    name = models.CharField(max_length=200, primary_key=True)
    failure_threshold = models.PositiveIntegerField(
        default=_DEFAULTS.failure_threshold, help_text="failureThreshold: failures in a row that open it."
    )
    success_threshold = models.PositiveIntegerField(
        default=_DEFAULTS.success_threshold,
        help_text="successThreshold: trial calls let through at once when half open, and how many successes close it.",
    )
    cooldown_seconds = models.FloatField(
        default=_DEFAULTS.cooldown_seconds,
        help_text="timeout (there in milliseconds): seconds it stays open before the first trial call.",
    )
    volume_threshold = models.PositiveIntegerField(
        default=_DEFAULTS.volume_threshold,
        help_text="volumeThreshold: calls the window must hold before shares of it count.",
    )
    error_threshold_percentage = models.FloatField(
        default=_DEFAULTS.error_threshold_percentage,
        help_text="errorThresholdPercentage: share of failed calls in the window that opens it.",
    )
    half_open_limit_seconds = models.FloatField(
        default=_DEFAULTS.half_open_limit_seconds,
        help_text="resetTimeout (there in milliseconds): seconds half open without a success before it opens again.",
    )
    window_seconds = models.FloatField(
        default=_DEFAULTS.window_seconds, help_text="Seconds over which calls are counted."
    )
    slow_call_seconds = models.FloatField(
        null=True,
        blank=True,
        default=_DEFAULTS.slow_call_seconds,
        help_text="A call that takes this many seconds is slow. Empty: slowness does not count.",
    )
    slow_call_percentage = models.FloatField(
        default=_DEFAULTS.slow_call_percentage, help_text="Share of slow calls in the window that opens it."
    )
    probe_lease_seconds = models.FloatField(
        default=_DEFAULTS.probe_lease_seconds,
        help_text="Seconds after which a trial call that never reported gives up its place.",
    )
    quorum = models.PositiveIntegerField(
        default=_DEFAULTS.quorum,
        help_text="Hosts that must see failures before it opens for all; below it only the host that fails stops.",
    )
    cooldown_multiplier = models.FloatField(
        default=_DEFAULTS.cooldown_multiplier,
        help_text="How much longer each opening lasts than the one before, until it has closed.",
    )
    cooldown_max_seconds = models.FloatField(
        default=_DEFAULTS.cooldown_max_seconds, help_text="Longest time open that the growth may lead to, in seconds."
    )
    settings_version = models.PositiveBigIntegerField(default=1)
    pinned_state = models.CharField(
        max_length=16, blank=True, default="", choices=[(state.value, state.value) for state in PinnedState]
    )
    pinned_by = models.CharField(max_length=150, blank=True, default="")
    pin_reason = models.CharField(max_length=500, blank=True, default="")
    pin_expires_at = models.DateTimeField(null=True, blank=True)
    pin_version = models.PositiveBigIntegerField(default=1)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ["name"]
        default_permissions = ("view", "change")
        permissions = [("operate_circuit", "Can pin, unpin and reset circuits")]
        constraints = [
            models.CheckConstraint(
                condition=Q(pinned_state="") | Q(pin_expires_at__isnull=False), name="circuit_pin_ends"
            )
        ]

    def __str__(self) -> str:
        return self.name

    def to_settings(self) -> BreakerSettings:
        """Return the settings; raises ``ValueError`` naming the one that is out of range."""
        return BreakerSettings(**{name: getattr(self, name) for name in SETTING_NAMES})

    def take_settings(self, settings: BreakerSettings) -> None:
        for name, value in settings.to_dict().items():
            setattr(self, name, value)

    def is_pinned(self, now: datetime) -> bool:
        return bool(self.pinned_state) and self.pin_expires_at is not None and self.pin_expires_at > now

    def pin_facts(self) -> dict[str, Any]:
        """Return the pin as an audit entry keeps it."""
        if not self.pinned_state:
            return {"pin": None}
        until = self.pin_expires_at.isoformat() if self.pin_expires_at else None
        return {"pin": self.pinned_state, "by": self.pinned_by, "reason": self.pin_reason, "expires_at": until}


class CircuitTransition(models.Model):
    """One change of a circuit's state; append-only. ``is_local``: it held for ``process`` alone."""

    circuit = models.CharField(max_length=200)
    generation = models.CharField(max_length=64)
    version = models.PositiveBigIntegerField()
    from_state = models.CharField(max_length=16)
    to_state = models.CharField(max_length=16)
    cause = models.CharField(max_length=32)
    reason = models.CharField(max_length=1000, blank=True, default="")
    counts = models.JSONField(default=dict)
    process = models.CharField(max_length=150)
    is_local = models.BooleanField(default=False)
    at = models.DateTimeField()
    recorded_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ["-id"]
        default_permissions = ("view",)
        constraints = [
            models.UniqueConstraint(fields=["circuit", "generation", "version"], name="circuit_transition_once")
        ]
        indexes = [models.Index(fields=["circuit", "-at"], name="circuit_transition_latest")]

    def __str__(self) -> str:
        return f"{self.circuit}: {self.from_state} to {self.to_state}"
