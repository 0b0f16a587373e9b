"""What an account holds, moved only together with the fills that moved it."""

from django.db import models
from django.db.models.functions import Now

from brokers.models.accounts import Account
from brokers.models.orders import MONEY, Fill, FillFee
from reliability.core.presentation import amount_text


class Position(models.Model):
    """Signed quantity of one symbol in one account; negative is short. ``average_price`` is per unit."""

    account = models.ForeignKey(Account, on_delete=models.PROTECT)
    symbol = models.CharField(max_length=32)
    quantity = models.DecimalField(**MONEY, default=0)
    average_price = models.DecimalField(**MONEY, default=0)
    realized_profit = models.DecimalField(**MONEY, default=0)
    version = models.PositiveIntegerField(default=0)
    changed_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [models.UniqueConstraint(fields=["account", "symbol"], name="position_symbol")]
        default_permissions = ("view",)

    def __str__(self) -> str:
        return f"{amount_text(self.quantity)} {self.symbol}"


class PositionEvent(models.Model):
    """One change of a position; append-only, numbered without gaps by the position's version."""

    position = models.ForeignKey(Position, on_delete=models.PROTECT, related_name="events", db_index=False)
    sequence = models.PositiveIntegerField()
    fill = models.OneToOneField(Fill, on_delete=models.PROTECT, null=True)
    fee = models.OneToOneField(FillFee, on_delete=models.PROTECT, null=True, db_constraint=False)
    quantity_before = models.DecimalField(**MONEY)
    quantity_after = models.DecimalField(**MONEY)
    average_price_after = models.DecimalField(**MONEY)
    realized_profit = models.DecimalField(**MONEY)
    recorded_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ["position_id", "sequence"]
        constraints = [models.UniqueConstraint(fields=["position", "sequence"], name="positionevent_sequence")]
        default_permissions = ("view",)

    def __str__(self) -> str:
        return f"{amount_text(self.quantity_before)} -> {amount_text(self.quantity_after)}"
