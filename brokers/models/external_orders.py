"""Orders that were placed elsewhere on an account: recorded as what they are, and never taken for ours."""

from django.db import models
from django.db.models.functions import Now

from brokers.core.orders import Side
from brokers.core.reports import ReportedStatus
from brokers.models.accounts import Account
from brokers.models.orders import MONEY


class ExternalOrder(models.Model):
    """One order of an account that no order of ours is, at the furthest the broker's reports went."""

    account = models.ForeignKey(Account, on_delete=models.PROTECT, db_index=False, db_constraint=False)
    broker_order_id = models.CharField(max_length=64)
    client_order_id = models.CharField(max_length=128, blank=True, default="")
    symbol = models.CharField(max_length=32)
    side = models.CharField(max_length=8, choices=[(one.value, one.value) for one in Side])
    quantity = models.DecimalField(**MONEY, null=True)
    notional = models.DecimalField(**MONEY, null=True)
    limit_price = models.DecimalField(**MONEY, null=True)
    status = models.CharField(max_length=20, choices=[(one.value, one.value) for one in ReportedStatus])
    filled_quantity = models.DecimalField(**MONEY, default=0)
    source = models.CharField(max_length=16)
    first_seen_at = models.DateTimeField(db_default=Now())
    changed_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ["-id"]
        constraints = [models.UniqueConstraint(fields=["account", "broker_order_id"], name="externalorder_identity")]
        default_permissions = ("view",)

    def __str__(self) -> str:
        return f"{self.side} {self.symbol} ({self.status}), placed elsewhere"
