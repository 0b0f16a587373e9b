"""Where market data comes from: feeds, what each is asked for, and how their deliveries went."""

from django.db import models
from django.db.models.functions import Now

from reconciliation.core.gaps import GapPolicy
from reconciliation.models.bars import BarSeries, price_field
from reconciliation.models.gaps import Gap


class Feed(models.Model):
    """One source of bars, reached with the credentials of one account.

    Of the feeds of a series the enabled one with the lowest ``priority`` is the primary; the others are alternatives.
    """

    class State(models.TextChoices):
        DOWN = "down"
        UP = "up"

    name = models.CharField(max_length=64, unique=True)
    account = models.CharField(max_length=64, help_text="Name of the account whose broker and credentials are used.")
    data_url = models.CharField(max_length=300, blank=True, default="", help_text="Empty: the broker's own address.")
    stream_url = models.CharField(max_length=300, blank=True, default="", help_text="Empty: bars are fetched.")
    enabled = models.BooleanField(default=True)
    priority = models.PositiveSmallIntegerField(default=100, help_text="Lower is asked first.")
    silence_ms = models.PositiveIntegerField(default=750, help_text="Without a sign of life for this long it is down.")
    late_seconds = models.PositiveIntegerField(default=900, help_text="Older bars of its stream are not believed.")
    history_from = models.DateTimeField(
        null=True, blank=True, help_text="Nothing earlier is asked of it (UTC); empty: nobody knows."
    )
    gap_policy = models.CharField(
        max_length=16,
        blank=True,
        default="",
        db_default="",
        choices=[(one.value, one.value) for one in GapPolicy],
        help_text="Whether a missing bar of it is a gap; empty: as each of its series says.",
    )
    with_ticks = models.BooleanField(
        "quotes and trades",
        default=True,
        db_default=True,
        help_text="Read last quotes and trades too; they tell soonest what is stale.",
    )
    state = models.CharField(max_length=8, choices=State.choices, default=State.DOWN)
    state_since = models.DateTimeField(db_default=Now())
    last_bar_at = models.DateTimeField(null=True, blank=True)
    last_error = models.CharField(max_length=500, blank=True, default="")

    class Meta:
        ordering = ["priority", "name"]
        default_permissions = ("view", "change")

    def __str__(self) -> str:
        return self.name


class FeedSubscription(models.Model):
    """One series that a feed is asked for."""

    feed = models.ForeignKey(Feed, on_delete=models.PROTECT, related_name="subscriptions")
    series = models.ForeignKey(BarSeries, on_delete=models.PROTECT, related_name="subscriptions")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["feed", "series"], name="feedsubscription_once")]
        default_permissions = ("view",)

    def __str__(self) -> str:
        return f"feed {self.feed_id}: series {self.series_id}"


class LastTick(models.Model):
    """The last quote, trade and bar that a feed brought of a symbol, and how long it is usually silent.

    A row is written once in a few seconds however many ticks come.
    """

    feed = models.ForeignKey(Feed, on_delete=models.PROTECT, related_name="last_ticks")
    symbol = models.CharField(max_length=64)
    quote_at = models.DateTimeField(null=True, blank=True)
    bid = price_field(null=True)
    ask = price_field(null=True)
    trade_at = models.DateTimeField(null=True, blank=True)
    price = price_field(null=True)
    size = price_field(null=True)
    bar_at = models.DateTimeField(null=True, blank=True, help_text="Where the last bar begins.")
    habit_seconds = models.PositiveIntegerField(
        null=True, blank=True, help_text="Seconds without a quote or trade that are not unusual; learned."
    )
    refused = models.PositiveIntegerField(default=0, help_text="Quotes and trades that could not be believed.")
    refused_reason = models.CharField(max_length=200, blank=True, default="")
    written_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ["symbol", "feed"]
        constraints = [models.UniqueConstraint(fields=["feed", "symbol"], name="lasttick_once")]
        default_permissions = ("view",)

    def __str__(self) -> str:
        return f"last ticks of {self.symbol} from feed {self.feed_id}"


class BarConflict(models.Model):
    """Two sources gave different numbers for one bar; the recorded one stays. Append-only."""

    series = models.ForeignKey(BarSeries, on_delete=models.PROTECT)
    opened_at = models.DateTimeField()
    recorded_source = models.CharField(max_length=64)
    recorded_close = price_field()
    recorded_volume = price_field()
    given_source = models.CharField(max_length=64)
    given = models.JSONField()
    found_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ["-id"]
        default_permissions = ("view",)

    def __str__(self) -> str:
        return f"conflict about series {self.series_id} at {self.opened_at}"


class BackfillAttempt(models.Model):
    """One question to a source about the bars of a gap, and what it gave; append-only."""

    gap = models.ForeignKey(Gap, on_delete=models.PROTECT, related_name="attempts")
    source = models.CharField(max_length=64)
    started_at = models.DateTimeField(help_text="First bar asked for.")
    ended_at = models.DateTimeField(help_text="Last bar asked for.")
    given = models.PositiveIntegerField(default=0)
    usable = models.PositiveIntegerField(default=0)
    questionable = models.PositiveIntegerField(default=0)
    error_code = models.CharField(max_length=64, blank=True, default="")
    error_message = models.CharField(max_length=500, blank=True, default="")
    asked_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ["id"]
        default_permissions = ("view",)

    def __str__(self) -> str:
        return f"{self.source} about gap {self.gap_id}"
