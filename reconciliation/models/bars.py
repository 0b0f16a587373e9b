"""Bars of market data: the usable ones in partitions by month, what was replaced, and what cannot be used."""

from typing import Any

from django.db import models
from django.db.models.functions import Now

from reconciliation.core.bars import BarQuality
from reconciliation.core.gaps import GapPolicy
from reconciliation.core.slots import DailyStamp, Stamping
from reconciliation.core.timeframes import Timeframe


def price_field(*, null: bool = False) -> "models.DecimalField[Any, Any]":
    return models.DecimalField(max_digits=25, decimal_places=10, null=null, blank=null)


class BarSeries(models.Model):
    """The bars of one symbol and timeframe: when they are expected, and how far they were looked through."""

    symbol = models.CharField(max_length=64)
    timeframe = models.CharField(max_length=8, choices=[(one.value, one.value) for one in Timeframe])
    calendar = models.CharField(max_length=32, help_text="FX, 24/7 or a code of exchange_calendars.")
    gap_policy = models.CharField(
        max_length=16, choices=[(one.value, one.value) for one in GapPolicy], default=GapPolicy.EVERY_SLOT
    )
    feed_policy = models.CharField(
        max_length=16,
        blank=True,
        default="",
        db_default="",
        choices=[(one.value, one.value) for one in GapPolicy],
        help_text="What its primary feed says instead of it; followed by the service.",
    )
    stamp_offset = models.IntegerField(default=0, help_text="Seconds past whole multiples of the timeframe.")
    daily_stamp = models.CharField(
        max_length=16, choices=[(one.value, one.value) for one in DailyStamp], default=DailyStamp.UTC_MIDNIGHT
    )
    checked_until = models.DateTimeField(null=True, blank=True, help_text="No gap before it is unknown.")
    quiet_slots = models.PositiveSmallIntegerField(
        null=True,
        blank=True,
        help_text="Expected bars in a row that a symbol which trades rarely usually lacks; learned.",
    )
    released_until = models.DateTimeField(null=True, blank=True, help_text="Consumers have every usable bar up to it.")
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ["symbol", "timeframe"]
        verbose_name_plural = "bar series"
        constraints = [models.UniqueConstraint(fields=["symbol", "timeframe"], name="barseries_once")]
        default_permissions = ("view",)
        permissions = [("operate_marketdata", "Can accept gaps, start backfills and decide on questionable bars")]

    def __str__(self) -> str:
        return f"{self.symbol} {self.timeframe}"

    @property
    def policy(self) -> GapPolicy:
        """Return which missing bars are gaps: by the word of its primary feed, else by its own."""
        return GapPolicy(self.feed_policy or self.gap_policy)

    @property
    def stamping(self) -> Stamping:
        return Stamping(self.stamp_offset, DailyStamp(self.daily_stamp))


class Bar(models.Model):
    """The current version of one usable bar. The table is partitioned by ``opened_at``, a month each."""

    pk = models.CompositePrimaryKey("series_id", "opened_at")
    series = models.ForeignKey(BarSeries, on_delete=models.PROTECT, db_constraint=False, db_index=False)
    opened_at = models.DateTimeField()
    open = price_field()
    high = price_field()
    low = price_field()
    close = price_field()
    volume = price_field()
    source = models.CharField(max_length=64)
    quality = models.CharField(
        max_length=16, choices=[(one.value, one.value) for one in BarQuality if one is not BarQuality.QUESTIONABLE]
    )
    revision = models.PositiveSmallIntegerField(default=1)
    received_at = models.DateTimeField(db_default=Now())

    class Meta:
        default_permissions = ("view",)

    def __str__(self) -> str:
        return f"bar of series {self.series_id} at {self.opened_at}"


class BarRevision(models.Model):
    """A version of a bar that was replaced; append-only."""

    series = models.ForeignKey(BarSeries, on_delete=models.PROTECT, db_index=False)
    opened_at = models.DateTimeField()
    revision = models.PositiveSmallIntegerField()
    open = price_field()
    high = price_field()
    low = price_field()
    close = price_field()
    volume = price_field()
    source = models.CharField(max_length=64)
    quality = models.CharField(max_length=16)
    received_at = models.DateTimeField()
    replaced_by = models.CharField(max_length=64, help_text="Source of the version after it.")
    replaced_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ["id"]
        constraints = [models.UniqueConstraint(fields=["series", "opened_at", "revision"], name="barrevision_once")]
        default_permissions = ("view",)

    def __str__(self) -> str:
        return f"revision {self.revision} of series {self.series_id} at {self.opened_at}"


class QuestionableBar(models.Model):
    """A bar that came and may not be used: as it came, from where, and why not.

    ``stamp`` is its instant where that could be read; ``given`` holds the fields as they came.
    """

    class State(models.TextChoices):
        HELD = "held"
        CONFIRMED = "confirmed"
        REPLACED = "replaced"

    series = models.ForeignKey(BarSeries, on_delete=models.PROTECT, null=True, blank=True, db_index=False)
    symbol = models.CharField(max_length=64)
    timeframe = models.CharField(max_length=8)
    stamp = models.DateTimeField(null=True, blank=True)
    given = models.JSONField()
    source = models.CharField(max_length=64)
    faults = models.JSONField(help_text="Why it may not be used.")
    state = models.CharField(max_length=16, choices=State.choices, default=State.HELD)
    decided_by = models.CharField(max_length=150, blank=True, default="")
    decided_at = models.DateTimeField(null=True, blank=True)
    received_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["series", "stamp"], name="questionablebar_slot"),
            models.Index(fields=["-received_at"], name="questionablebar_new"),
        ]
        default_permissions = ("view",)

    def __str__(self) -> str:
        return f"{self.symbol} {self.timeframe} {self.stamp}: {', '.join(self.faults)}"
