"""Kill switches, and the append-only history of each."""

from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

from brokers.core.halts import Scope, ScopeKind
from brokers.models.stops import Stop, StopEvent


class KillSwitch(Stop):
    """One stop of trading, from its engagement to its release; in force while ``released_at`` is empty.

    It stops an account, a broker, or everything when it names neither. ``orders_stopped``
    counts the orders that it canceled or had canceled, each once.
    """

    engaged_by = models.CharField(max_length=150)
    engaged_at = models.DateTimeField(db_default=Now())
    orders_stopped = models.PositiveIntegerField(default=0)

    class Meta:
        ordering = ["-id"]
        verbose_name_plural = "kill switches"
        constraints = [
            models.UniqueConstraint(
                fields=["account", "broker"],
                condition=Q(released_at=None),
                nulls_distinct=False,
                name="killswitch_one_in_force",
            ),
            models.CheckConstraint(condition=Q(account=None) | Q(broker=None), name="killswitch_one_scope"),
            models.CheckConstraint(
                condition=Q(released_at=None)
                | (~Q(released_by="") & ~Q(release_wanted_by="") & ~Q(released_by=F("release_wanted_by"))),
                name="killswitch_two_persons",
            ),
        ]
        default_permissions = ("view",)
        permissions = [
            ("engage_kill_switch", "Can stop trading"),
            ("release_kill_switch", "Can ask for trading to go on, and confirm what another person asked for"),
            ("decide_order", "Can decide on orders whose outcome is unknown"),
        ]

    def __str__(self) -> str:
        return f"{self.scope} ({'in force' if self.released_at is None else 'released'})"

    @property
    def scope(self) -> Scope:
        """What it stops; reads the account's name."""
        if self.account is not None:
            return Scope(ScopeKind.ACCOUNT, self.account.name)
        return Scope(ScopeKind.BROKER, self.broker_id) if self.broker_id else Scope(ScopeKind.GLOBAL)


class KillSwitchEvent(StopEvent):
    """One thing that happened to a kill switch; append-only."""

    kill_switch = models.ForeignKey(KillSwitch, on_delete=models.PROTECT, related_name="events")
