"""Freezes of trading, and the append-only history of each."""

from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

from brokers.core.freezes import MONEY_IN_DOUBT, FreezeCause, FreezeMode
from brokers.core.halts import Scope, ScopeKind
from brokers.models.stops import Stop, StopEvent


class Freeze(Stop):
    """One freeze from its beginning to its release; in force while ``released_at`` is empty.

    It freezes one symbol of an account, an account, a broker, or everything when it names none.
    ``evidence`` is what was seen when it began. ``clean_run`` is the reconciliation that lifted the freeze of a symbol
    once no order for it was unknown any more.
    """

    symbol = models.CharField(max_length=32, blank=True, default="")
    mode = models.CharField(max_length=16, choices=[(mode.value, mode.value) for mode in FreezeMode])
    cause = models.CharField(max_length=32, choices=[(cause.value, cause.value) for cause in FreezeCause])
    evidence = models.JSONField(default=dict)
    frozen_by = models.CharField(max_length=150)
    frozen_at = models.DateTimeField(db_default=Now())
    clean_run = models.BigIntegerField(null=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["account", "broker", "symbol", "cause"],
                condition=Q(released_at=None),
                nulls_distinct=False,
                name="freeze_one_in_force",
            ),
            models.CheckConstraint(condition=Q(account=None) | Q(broker=None), name="freeze_one_scope"),
            models.CheckConstraint(condition=Q(symbol="") | Q(account__isnull=False), name="freeze_symbol_of_account"),
            models.CheckConstraint(condition=Q(released_at=None) | ~Q(released_by=""), name="freeze_released_by"),
            models.CheckConstraint(
                condition=Q(released_at=None)
                | ~Q(cause__in=sorted(cause.value for cause in MONEY_IN_DOUBT))
                | (~Q(release_wanted_by="") & ~Q(released_by=F("release_wanted_by")))
                | (Q(cause=FreezeCause.UNKNOWN_ORDER.value) & ~Q(symbol="") & Q(clean_run__isnull=False)),
                name="freeze_two_persons",
            ),
        ]
        default_permissions = ("view",)
        permissions = [
            ("freeze_trading", "Can freeze trading"),
            ("release_freeze", "Can let trading go on after a freeze"),
        ]

    def __str__(self) -> str:
        return f"{self.scope} {self.cause} ({'in force' if self.released_at is None else 'released'})"

    @property
    def scope(self) -> Scope:
        """What it freezes; reads the account's name."""
        if self.account is not None:
            return Scope(ScopeKind.ACCOUNT, self.account.name, self.symbol)
        return Scope(ScopeKind.BROKER, self.broker_id) if self.broker_id else Scope(ScopeKind.GLOBAL)


class FreezeEvent(StopEvent):
    """One thing that happened to a freeze; append-only."""

    freeze = models.ForeignKey(Freeze, on_delete=models.PROTECT, related_name="events")
