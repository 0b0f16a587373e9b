"""Baskets: orders that are wanted together or not at all."""

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Now


class Basket(models.Model):
    """One request for several orders; its saga, which has the same id, carries it out."""

    id = models.UUIDField(primary_key=True, editable=False)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, db_index=False)
    idempotency_key = models.CharField(max_length=128)
    request_hash = models.CharField(max_length=64)
    correlation_id = models.CharField(max_length=64, blank=True, default="")
    leg_order = models.CharField(max_length=12)
    offset_fills = models.BooleanField(
        default=False, help_text="Whether the caller, or a person, agreed that fills are offset by market orders."
    )
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ["-id"]
        constraints = [models.UniqueConstraint(fields=["owner", "idempotency_key"], name="basket_idempotency_key")]
        default_permissions = ("view",)

    def __str__(self) -> str:
        return f"basket {self.pk}"


class BasketLeg(models.Model):
    """One order of a basket: what was asked for, the order it became, and the orders that offset its fills."""

    basket = models.ForeignKey(Basket, on_delete=models.PROTECT, related_name="legs")
    number = models.PositiveSmallIntegerField()
    request = models.JSONField()
    order = models.OneToOneField(
        "brokers.Order", on_delete=models.PROTECT, null=True, related_name="basket_leg", db_constraint=False
    )
    offset_orders = ArrayField(models.UUIDField(), default=list, blank=True)

    class Meta:
        ordering = ["basket_id", "number"]
        constraints = [models.UniqueConstraint(fields=["basket", "number"], name="basketleg_number")]
        default_permissions = ("view",)

    def __str__(self) -> str:
        return f"leg {self.number} of {self.basket_id}"
