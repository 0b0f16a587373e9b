"""Orders, their append-only history, and their fills."""

from typing import Any

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

from brokers.core.orders import ExitRole, OrderClass, OrderState, OrderType, Side, TimeInForce
from brokers.core.routing import WhenUnavailable
from brokers.models.accounts import Account
from reliability.core.presentation import amount_text

MONEY: Any = {"max_digits": 30, "decimal_places": 12}


def choices_of(kind: type) -> list[tuple[str, str]]:
    return [(member.value, member.value) for member in kind]  # type: ignore[attr-defined]


class Order(models.Model):
    """One intent to trade, and all that is recorded of it.

    ``version`` counts its events. ``reported_status`` and ``reported_filled_quantity`` are
    the furthest the broker's evidence went; ``filled_quantity`` and ``filled_notional``
    are the sum of the fills that were booked, and move with the position.
    """

    # Without constraints in the database: each check would lock the one account's row for every order.
    # Owners and accounts are never deleted while they have orders, which on_delete sees to.
    id = models.UUIDField(primary_key=True, editable=False)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, db_index=False, db_constraint=False)
    account = models.ForeignKey(Account, on_delete=models.PROTECT, db_index=False, db_constraint=False)
    route = ArrayField(
        models.BigIntegerField(),
        null=True,
        blank=True,
        help_text="Accounts that may take it, in the order of preference; empty when only one may.",
    )
    when_unavailable = models.CharField(
        max_length=8,
        choices=choices_of(WhenUnavailable),
        default=WhenUnavailable.HOLD,
        db_default=WhenUnavailable.HOLD.value,
    )
    idempotency_key = models.CharField(max_length=128)
    request_hash = models.CharField(max_length=64)
    client_order_id = models.CharField(max_length=36)
    broker_order_id = models.CharField(max_length=64, blank=True, default="")
    replaces = models.ForeignKey(
        "self",
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="replacements",
        db_index=False,
        db_constraint=False,
        help_text="The order in whose place this one was asked for; that one is replaced by evidence only.",
    )
    correlation_id = models.CharField(max_length=64, blank=True, default="")

    symbol = models.CharField(max_length=32)
    side = models.CharField(max_length=8, choices=choices_of(Side))
    order_type = models.CharField(max_length=16, choices=choices_of(OrderType))
    time_in_force = models.CharField(max_length=8, choices=choices_of(TimeInForce))
    quantity = models.DecimalField(**MONEY, null=True, blank=True)
    notional = models.DecimalField(**MONEY, null=True, blank=True)
    limit_price = models.DecimalField(**MONEY, null=True, blank=True)
    stop_price = models.DecimalField(**MONEY, null=True, blank=True)
    extended_hours = models.BooleanField(default=False)
    order_class = models.CharField(max_length=8, choices=choices_of(OrderClass), blank=True, default="", db_default="")
    take_profit_price = models.DecimalField(**MONEY, null=True, blank=True)
    stop_loss_price = models.DecimalField(**MONEY, null=True, blank=True)
    stop_loss_limit_price = models.DecimalField(**MONEY, null=True, blank=True)
    legs_known = models.BooleanField(
        default=False, db_default=False, help_text="Whether the broker named the exits that hang on it."
    )
    entry = models.ForeignKey(
        "self",
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="exits",
        db_index=False,
        db_constraint=False,
        help_text="The order it was brought along by, as one of its exits.",
    )
    exit_role = models.CharField(max_length=12, choices=choices_of(ExitRole), blank=True, default="", db_default="")

    state = models.CharField(max_length=20, choices=choices_of(OrderState), default=OrderState.ACCEPTED)
    version = models.PositiveIntegerField(default=1)
    reported_status = models.CharField(max_length=20, blank=True, default="")
    reported_filled_quantity = models.DecimalField(**MONEY, default=0)
    filled_quantity = models.DecimalField(**MONEY, default=0)
    filled_notional = models.DecimalField(max_digits=40, decimal_places=20, default=0)
    cancel_requested_at = models.DateTimeField(null=True, blank=True)
    lookup_misses = models.PositiveSmallIntegerField(default=0)
    absence_proven_at = models.DateTimeField(null=True, blank=True)
    error_code = models.CharField(max_length=64, blank=True, default="")
    error_message = models.CharField(max_length=500, blank=True, default="")

    accepted_at = models.DateTimeField(db_default=Now())
    submit_before = models.DateTimeField()
    sent_at = models.DateTimeField(null=True, blank=True)
    acknowledged_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["owner", "idempotency_key"], name="order_idempotency_key"),
            models.UniqueConstraint(fields=["account", "client_order_id"], name="order_client_order_id"),
            models.UniqueConstraint(
                fields=["account", "broker_order_id"], condition=~Q(broker_order_id=""), name="order_broker_order_id"
            ),
            models.CheckConstraint(
                condition=Q(quantity__gt=0, notional=None) | Q(notional__gt=0, quantity=None), name="order_size"
            ),
        ]
        # By finished_at and not by state: an update that leaves it alone can stay in its page.
        indexes = [
            models.Index(fields=["account", "id"], condition=Q(finished_at=None), name="order_open"),
            models.Index(
                fields=["account"],
                condition=Q(reported_filled_quantity__gt=F("filled_quantity")),
                name="order_fills_missing",
            ),
            models.Index(fields=["replaces", "id"], condition=~Q(replaces=None), name="order_replacements"),
            models.Index(fields=["entry", "id"], condition=~Q(entry=None), name="order_exits"),
            models.Index(
                fields=["account"], condition=Q(legs_known=False) & ~Q(order_class=""), name="order_legs_unknown"
            ),
        ]
        default_permissions = ("view",)
        permissions = [("submit_order", "Can submit and cancel orders")]

    def __str__(self) -> str:
        size = self.quantity or self.notional
        return f"{self.side} {amount_text(size) if size else '?'} {self.symbol} ({self.state})"


class OrderEvent(models.Model):
    """One change of one order; append-only, numbered without gaps by the order's version."""

    # Written in the order's own transaction and never without it, so no check per event.
    order = models.ForeignKey(
        Order, on_delete=models.PROTECT, related_name="events", db_index=False, db_constraint=False
    )
    sequence = models.PositiveIntegerField()
    kind = models.CharField(max_length=32)
    from_state = models.CharField(max_length=20, blank=True, default="")
    to_state = models.CharField(max_length=20)
    source = models.CharField(max_length=16)
    actor = models.CharField(max_length=150, blank=True, default="")
    evidence = models.JSONField(default=dict)
    broker_at = models.DateTimeField(null=True)
    recorded_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ["order_id", "sequence"]
        constraints = [models.UniqueConstraint(fields=["order", "sequence"], name="orderevent_sequence")]
        default_permissions = ("view",)

    def __str__(self) -> str:
        return f"{self.sequence} {self.kind}: {self.from_state} -> {self.to_state}"


class Fill(models.Model):
    """One execution, booked once; append-only.

    It is known by the broker's execution id and, a second way, by the order's cumulative
    quantity after it. ``order`` is empty for executions of orders that were placed
    elsewhere on the account.
    """

    account = models.ForeignKey(Account, on_delete=models.PROTECT, db_index=False, db_constraint=False)
    order = models.ForeignKey(
        Order, on_delete=models.PROTECT, null=True, related_name="fills", db_index=False, db_constraint=False
    )
    execution_id = models.CharField(max_length=100)
    broker_order_id = models.CharField(max_length=64)
    symbol = models.CharField(max_length=32)
    side = models.CharField(max_length=8, choices=choices_of(Side))
    quantity = models.DecimalField(**MONEY)
    price = models.DecimalField(**MONEY)
    cumulative_quantity = models.DecimalField(**MONEY, null=True)
    source = models.CharField(max_length=16)
    executed_at = models.DateTimeField()
    recorded_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["account", "execution_id"], name="fill_execution_id"),
            models.UniqueConstraint(
                fields=["account", "broker_order_id", "cumulative_quantity"], name="fill_cumulative_quantity"
            ),
            models.CheckConstraint(condition=Q(quantity__gt=0), name="fill_quantity"),
        ]
        indexes = [models.Index(fields=["order"], name="fill_order")]
        default_permissions = ("view",)

    def __str__(self) -> str:
        return f"{self.side} {amount_text(self.quantity)} {self.symbol} at {amount_text(self.price)}"


class FillFee(models.Model):
    """A fee of one execution, as its broker told it, with the execution or later; append-only, negative is a rebate.

    ``symbol`` is the position it was taken out of, empty where it was cash.
    """

    account = models.ForeignKey(Account, on_delete=models.PROTECT, db_index=False, db_constraint=False)
    fill = models.ForeignKey(Fill, on_delete=models.PROTECT, related_name="fees", db_index=False, db_constraint=False)
    currency = models.CharField(max_length=16)
    amount = models.DecimalField(**MONEY)
    symbol = models.CharField(max_length=32, blank=True, default="", db_default="")
    recorded_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["fill", "currency"], name="fillfee_currency"),
            models.CheckConstraint(condition=~Q(amount=0), name="fillfee_amount"),
        ]
        indexes = [models.Index(fields=["account", "id"], name="fillfee_account")]
        default_permissions = ("view",)

    def __str__(self) -> str:
        return f"{amount_text(self.amount)} {self.currency}"
