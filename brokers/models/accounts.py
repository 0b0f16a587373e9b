"""Brokers, the accounts we hold there, and what they trade."""

from django.core.validators import MinValueValidator
from django.db import models
from django.db.models.functions import Now

from brokers.core.streams import Endpoint, StandbyState, StreamChangeKind, StreamState


def _choices(kind: type) -> list[tuple[str, str]]:
    return [(member.value, member.value) for member in kind]  # type: ignore[attr-defined]


class Broker(models.Model):
    """One broker: which adapter speaks its wire, and where."""

    name = models.SlugField(max_length=32, primary_key=True)
    adapter = models.CharField(max_length=32)
    base_url = models.URLField(max_length=300)
    stream_url = models.CharField(max_length=300, blank=True, default="")
    backup_base_url = models.URLField(
        max_length=300,
        blank=True,
        default="",
        help_text="A second address of the same accounts; calls go there while the first one cannot be reached.",
    )
    backup_stream_url = models.CharField(
        max_length=300,
        blank=True,
        default="",
        help_text="A second address of the order stream; it is subscribed as well and takes over at once.",
    )
    mute_after_ms = models.PositiveIntegerField(
        default=400,
        validators=[MinValueValidator(100)],
        help_text="A stream that has not told of an order so long after the broker took it has lost the event.",
    )
    call_timeout_ms = models.PositiveIntegerField(default=5000)
    connect_timeout_ms = models.PositiveIntegerField(default=2000)
    max_concurrent_calls = models.PositiveIntegerField(
        default=100,
        validators=[MinValueValidator(1)],
        help_text="Calls under way at once in one process; what is left of a process stays free for other brokers.",
    )
    max_calls_overall = models.PositiveIntegerField(
        null=True,
        blank=True,
        validators=[MinValueValidator(1)],
        help_text="Calls under way at once in all processes together, if the broker limits them. Empty: no limit.",
    )
    calls_per_minute = models.PositiveIntegerField(
        null=True,
        blank=True,
        validators=[MinValueValidator(1)],
        help_text="What the broker allows each account, over all processes; Alpaca allows 200. Empty: no limit.",
    )

    def __str__(self) -> str:
        return self.name


class Account(models.Model):
    """One account at one broker. Credentials are encrypted with a key that is not in the database."""

    name = models.SlugField(max_length=32, unique=True)
    broker = models.ForeignKey(Broker, on_delete=models.PROTECT)
    enabled = models.BooleanField(default=True, help_text="Takes new orders.")
    is_default = models.BooleanField(default=False, help_text="Used when an order names no account.")
    is_simulated = models.BooleanField(
        default=False,
        db_default=False,
        help_text="Nothing at this account is real: drills may cut its streams. Never mark one that holds money.",
    )
    encrypted_credentials = models.BinaryField(editable=False, default=b"")
    credentials_version = models.PositiveIntegerField(default=0, editable=False)
    fill_cursor = models.CharField(max_length=200, blank=True, default="", editable=False)
    synced_at = models.DateTimeField(null=True, blank=True, editable=False)
    sync_wanted_at = models.DateTimeField(null=True, blank=True, editable=False)
    added_at = models.DateTimeField(db_default=Now(), editable=False)
    login_refused_at = models.DateTimeField(null=True, blank=True, editable=False)
    login_refused_since = models.DateTimeField(null=True, blank=True, editable=False)
    login_refused = models.CharField(max_length=300, blank=True, default="", db_default="", editable=False)
    clock_offset = models.DurationField(null=True, blank=True, editable=False)  # ahead of ours, negative behind
    clock_seen_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["is_default"], condition=models.Q(is_default=True), name="account_one_default"
            )
        ]
        permissions = [("set_credentials", "Can set credentials of accounts")]

    def __str__(self) -> str:
        return self.name


class Instrument(models.Model):
    """A symbol a broker says it trades."""

    broker = models.ForeignKey(Broker, on_delete=models.CASCADE)
    symbol = models.CharField(max_length=32)
    name = models.CharField(max_length=200, blank=True, default="")
    tradable = models.BooleanField(default=True)
    fractionable = models.BooleanField(default=False)
    seen_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [models.UniqueConstraint(fields=["broker", "symbol"], name="instrument_symbol")]

    def __str__(self) -> str:
        return f"{self.symbol} at {self.broker_id}"


class StreamSession(models.Model):
    """The order stream of one account: who holds it, where it is connected, and when it last gave a sign of life.

    ``generation`` counts how often the stream was taken up or taken over; ``caught_up_generation``
    is the last one of which it is known that nothing was missed before it. ``unreachable_since``
    is set while the broker answers neither stream nor calls, as of ``checked_at``; ``calls_to`` is
    the address that calls go to first.
    """

    account = models.OneToOneField(Account, on_delete=models.CASCADE, primary_key=True)
    state = models.CharField(max_length=16, choices=_choices(StreamState), default=StreamState.DOWN)
    endpoint = models.CharField(max_length=8, choices=_choices(Endpoint), default=Endpoint.PRIMARY)
    standby = models.CharField(max_length=8, choices=_choices(StandbyState), default=StandbyState.NONE)
    pulse = models.IntegerField(null=True)
    generation = models.BigIntegerField(default=0)
    caught_up_generation = models.BigIntegerField(default=0)
    caught_up_at = models.DateTimeField(null=True)
    connected_at = models.DateTimeField(null=True)
    last_event_at = models.DateTimeField(null=True)
    last_alive_at = models.DateTimeField(null=True)
    last_error = models.CharField(max_length=500, blank=True, default="")
    reconnects = models.PositiveIntegerField(default=0)
    switches = models.PositiveIntegerField(default=0)
    silences = models.PositiveIntegerField(default=0)
    calls_to = models.CharField(max_length=8, choices=_choices(Endpoint), default=Endpoint.PRIMARY)
    unreachable_since = models.DateTimeField(null=True)
    checked_at = models.DateTimeField(null=True)

    class Meta:
        default_permissions = ("view",)

    def __str__(self) -> str:
        return f"stream of {self.account_id}: {self.state}"


class StreamChange(models.Model):
    """One thing that happened to an account's stream; append-only."""

    account = models.ForeignKey(Account, on_delete=models.PROTECT, db_constraint=False, db_index=False)
    kind = models.CharField(max_length=16, choices=_choices(StreamChangeKind))
    endpoint = models.CharField(max_length=8, choices=_choices(Endpoint))
    generation = models.BigIntegerField()
    pulse = models.IntegerField(null=True)
    reason = models.CharField(max_length=500, blank=True, default="")
    at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ["-id"]
        indexes = [models.Index(fields=["account", "id"], name="streamchange_account")]
        default_permissions = ("view",)

    def __str__(self) -> str:
        return f"{self.kind} at {self.endpoint}"
