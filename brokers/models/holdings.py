"""What happens to positions and cash beside executions; checkpoints of positions, and balances as reported."""

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from brokers.core.corporate_actions import CashEntryKind, PositionChangeKind
from brokers.models.accounts import Account
from brokers.models.orders import MONEY, choices_of
from brokers.models.positions import PositionEvent
from reliability.core.presentation import amount_text


class PositionChange(models.Model):
    """Why one event of a position came without an execution: by whom and for what reason. Append-only."""

    event = models.OneToOneField(PositionEvent, on_delete=models.PROTECT, related_name="change")
    kind = models.CharField(max_length=16, choices=choices_of(PositionChangeKind))
    reason = models.CharField(max_length=500)
    actor = models.CharField(max_length=150)
    details = models.JSONField(default=dict)
    recorded_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ["-id"]
        default_permissions = ("view",)
        permissions = [("adjust_position", "Can adjust positions and record corporate actions")]

    def __str__(self) -> str:
        return f"{self.kind.replace('_', ' ')} by {self.actor}"


class PositionCheckpoint(models.Model):
    """A position at the end of a UTC day on which it changed: where reading its history begins."""

    account = models.ForeignKey(Account, on_delete=models.PROTECT, db_index=False)
    symbol = models.CharField(max_length=32)
    day = models.DateField()
    quantity = models.DecimalField(**MONEY)
    average_price = models.DecimalField(**MONEY)
    realized_profit = models.DecimalField(**MONEY)
    version = models.PositiveIntegerField()
    recorded_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ["-day", "account_id", "symbol"]
        constraints = [models.UniqueConstraint(fields=["account", "symbol", "day"], name="positioncheckpoint_day")]
        default_permissions = ("view",)

    def __str__(self) -> str:
        return f"{amount_text(self.quantity)} {self.symbol} at the end of {self.day}"


class CashEntry(models.Model):
    """Cash that moved without an execution: a dividend, a fee, a deposit. Append-only; negative is paid."""

    account = models.ForeignKey(Account, on_delete=models.PROTECT, db_index=False)
    kind = models.CharField(max_length=16, choices=choices_of(CashEntryKind))
    amount = models.DecimalField(**MONEY)
    currency = models.CharField(max_length=8)
    symbol = models.CharField(max_length=32, blank=True, default="")
    reason = models.CharField(max_length=500)
    actor = models.CharField(max_length=150)
    recorded_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ["-id"]
        verbose_name_plural = "cash entries"
        constraints = [models.CheckConstraint(condition=~Q(amount=0), name="cashentry_amount")]
        indexes = [models.Index(fields=["account", "id"], name="cashentry_account")]
        default_permissions = ("view",)
        permissions = [("book_cash", "Can book cash entries")]

    def __str__(self) -> str:
        return f"{self.kind} {amount_text(self.amount)} {self.currency}"


class Balance(models.Model):
    """What a broker reported of an account's money at one instant. Append-only.

    ``reserved`` is what the broker says that open orders hold, empty where it does not say; ``held_by_orders``
    is what our own open buy orders may still cost, at their limit prices.
    """

    account = models.ForeignKey(Account, on_delete=models.PROTECT, db_index=False)
    currency = models.CharField(max_length=8)
    cash = models.DecimalField(**MONEY)
    equity = models.DecimalField(**MONEY)
    buying_power = models.DecimalField(**MONEY)
    reserved = models.DecimalField(**MONEY, null=True)
    held_by_orders = models.DecimalField(**MONEY)
    trading_blocked = models.BooleanField(default=False)
    asked_at = models.DateTimeField()
    recorded_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ["-id"]
        indexes = [models.Index(fields=["account", "-asked_at"], name="balance_account")]
        default_permissions = ("view",)

    def __str__(self) -> str:
        return f"{amount_text(self.cash)} {self.currency}"
