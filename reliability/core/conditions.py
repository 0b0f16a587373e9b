"""What is worth a person's attention: every alert condition there is, in one place.

Rows, pages and runbooks derive from it. An operator tunes a condition in its ``AlertRule``; what is written here
is what holds until somebody does.
"""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from reliability.core.taxonomy import ErrorSeverity as Sev
from reliability.core.thresholds import Threshold


class FailureDomain(StrEnum):
    """What fails together: alerts of one domain and one subject are one incident."""

    BROKER = "broker"
    TRADING = "trading"
    DATA = "data"
    RECOVERY = "recovery"
    PLATFORM = "platform"
    ERRORS = "errors"


@dataclass(frozen=True, slots=True)
class Condition:
    """One alert condition.

    ``hold_down`` is how long it must be over before its alert is resolved; ``resolves`` says by what.
    ``must_notify``: neither inhibited by another alert nor silenced by one person alone. ``inhibited_by``: an open
    alert of one of these about the same subject keeps this one from being told, since it says why.
    ``explains_all``: what it inhibits is not about the same subject: the database fails for everybody.
    ``makes_incident`` False: it is about an incident, and must not make one that nobody answers either.
    ``steps`` are what a person does, in order. ``thresholds`` are the numbers from which on it holds; of a pair in
    ``ordered`` the first must not be above the second.
    """

    name: str
    domain: FailureDomain
    severity: Sev
    summary: str
    resolves: str
    steps: tuple[str, ...]
    hold_down: timedelta = timedelta(0)
    must_notify: bool = False
    inhibited_by: tuple[str, ...] = ()
    makes_incident: bool = True
    explains_all: bool = False
    thresholds: tuple[Threshold, ...] = ()
    ordered: tuple[tuple[str, str], ...] = ()

    @property
    def by_person(self) -> bool:
        """Return whether a person resolves it: nothing the program sees would say that it is over."""
        return self.resolves.startswith("somebody resolves it")

    @property
    def runbook(self) -> str:
        """Return where its procedure is written: a page of the documentation and its anchor."""
        return f"docs/reference/alerts.md#{self.name.replace('.', '-').replace('_', '-')}"


_MINUTE = timedelta(minutes=1)
_DOMAIN = FailureDomain
_FLOORS = (
    Threshold("fewest_calls", 100, 1, 1_000_000, "Calls in the window below which a rate says nothing."),
    Threshold("fewest_errors", 5, 1, 100_000, "Failures in the window below which a rate says nothing."),
)
_COMES_BACK = Threshold(
    "comes_back_seconds", 600, 0, 86_400, "Raised again so soon after it was over, it came back: it is counted."
)

_ALL = (
    Condition(
        "circuit.opened", _DOMAIN.BROKER, Sev.HIGH,
        "A circuit breaker opened: calls of this kind to this broker are refused.",
        "the circuit has been closed for two minutes",
        ("Look at the circuit's history and at the failures that opened it.",
         "Ask the broker's status page whether they know of it.",
         "Pin the circuit forced open if calls do harm; leave it alone if trial calls go out by themselves.",
         "When it has closed, look for orders that are still unknown."),
        hold_down=2 * _MINUTE,
        thresholds=(_COMES_BACK,),
    ),
    Condition(
        "error.rate", _DOMAIN.BROKER, Sev.MEDIUM,
        "More than one call in a hundred to this broker fails.",
        "the rate has been below half of the limit for ten minutes",
        ("Look at which error codes make up the rate.",
         "If one code does, follow its runbook.",
         "If it grows, pause new orders to this broker or route them elsewhere."),
        hold_down=10 * _MINUTE, inhibited_by=("circuit.opened", "stream.silent", "database.away"),
        thresholds=(
            Threshold("limit_percent", 1, 0.01, 50, "Share of calls that fails, from which on it holds."),
            Threshold("calm_percent", 0.5, 0, 50, "Share of calls that fails, down to which it is over."),
            Threshold("window_minutes", 5, 1, 60, "The window in which calls are counted."),
            *_FLOORS,
            Threshold("high_burn", 6, 1, 10_000, "Times what its objective allows: high from then on."),
            Threshold("critical_burn", 14.4, 1, 10_000, "Times what its objective allows: critical from then on."),
        ),
        ordered=(("calm_percent", "limit_percent"), ("high_burn", "critical_burn")),
    ),
    Condition(
        "error.new_group", _DOMAIN.ERRORS, Sev.LOW,
        "An error was met that was never met before.",
        "somebody resolves the group, or it has not been met for a day",
        ("Read the group: what failed, where, and since when.", "If no rule knew it, review the guess."),
        inhibited_by=("circuit.opened", "database.away", "redis.away"),
        thresholds=(Threshold("quiet_hours", 24, 1, 720, "It is over when it was not met for so long."),),
    ),
    Condition(
        "error.regression", _DOMAIN.ERRORS, Sev.MEDIUM,
        "An error that was resolved has come back.",
        "somebody resolves the group again",
        ("Compare with how it was resolved before.", "Reopen the cause."),
        inhibited_by=("circuit.opened", "database.away", "redis.away"),
    ),
    Condition(
        "recovery.failed", _DOMAIN.RECOVERY, Sev.HIGH,
        "A recovery did not end well: its verdict failed, or its attempts are used up.",
        "every item it names is carried out again or decided",
        ("Read which step failed and why.", "Run the recovery again once the cause is gone.",
         "Decide what it could not decide; trading stays frozen until then."),
        inhibited_by=("circuit.opened", "database.away"),
    ),
    Condition(
        "job.dead_letter", _DOMAIN.RECOVERY, Sev.HIGH,
        "Jobs of this kind used up their attempts and wait for a person.",
        "none of them is left: each was replayed or discarded",
        ("Read the error and the attempts of the oldest one.", "Mend the cause.",
         "Replay one; if it succeeds, replay the others. Discard with a reason what is not wanted any more."),
        inhibited_by=("circuit.opened", "database.away"),
        thresholds=(Threshold("fewest", 1, 1, 1000, "Dead letters of one kind from which on it holds."),),
    ),
    Condition(
        "reconciliation.discrepancy", _DOMAIN.DATA, Sev.CRITICAL,
        "What is recorded differs from what the broker reports.",
        "a later reconciliation names each difference as gone; never by time",
        ("Compare both sides: recorded and reported, with their instants.",
         "Ask for a full reconciliation of the account.",
         "Decide which side is right; a second person confirms where money moves."),
        must_notify=True,
    ),
    Condition(
        "intervention.needed", _DOMAIN.TRADING, Sev.HIGH,
        "Something waits for a person's decision.",
        "it is decided; acknowledging does not stop its due time",
        ("Claim it, so that nobody works on it beside you.", "Read the evidence.", "Decide, with a reason."),
        must_notify=True,
    ),
    Condition(
        "order.unknown_aged", _DOMAIN.BROKER, Sev.CRITICAL,
        "An order's outcome has been unknown for longer than look-ups take.",
        "evidence or a person ends it",
        ("Open the order: what was sent, and what the broker answered to look-ups.",
         "Look for it at the broker by its client order id.", "Adopt it, or say that it never arrived."),
        must_notify=True,
        thresholds=(Threshold("age_seconds", 60, 5, 3600, "Unknown for longer than that."),),
    ),
    Condition(
        "order.fill_after_final", _DOMAIN.TRADING, Sev.HIGH,
        "An order was filled after it had ended.",
        "somebody resolves it, having looked at the position",
        ("Compare the position with the broker's.", "Decide whether the position is wanted; close it if not."),
        must_notify=True,
    ),
    Condition(
        "order.overfill", _DOMAIN.TRADING, Sev.CRITICAL,
        "An order was filled beyond its quantity.",
        "somebody resolves it, having spoken with the broker",
        ("Compare each fill with the broker's record.", "Ask the broker to bust the fill, or close the excess."),
        must_notify=True,
    ),
    Condition(
        "order.external", _DOMAIN.TRADING, Sev.MEDIUM,
        "An order that was not placed here is on the account.",
        "somebody resolves it, knowing who placed it",
        ("Find out who placed it.", "If nobody knows: stop trading on the account and change its credentials."),
    ),
    Condition(
        "trading.frozen", _DOMAIN.TRADING, Sev.HIGH,
        "Trading is frozen within this scope.",
        "the freeze is lifted by a clean reconciliation or by a person",
        ("Read why, and what evidence there is.", "Reconcile; it lifts by itself if that is clean.",
         "Otherwise decide, with a second person."),
        must_notify=True,
    ),
    Condition(
        "trading.halted", _DOMAIN.TRADING, Sev.CRITICAL,
        "A kill switch stops trading within this scope.",
        "two persons release it",
        ("Look at what is still open and what is unknown.", "Ask for the release when the cause is gone."),
        must_notify=True,
    ),
    Condition(
        "stream.silent", _DOMAIN.BROKER, Sev.HIGH,
        "A stream is silent or down: what happens at the broker is not heard.",
        "it has been up for 30 seconds",
        ("Look at the session's last error.", "See that the backup took over, and that what was missed is fetched.",
         "If the broker refuses the login, check the credentials."),
        hold_down=timedelta(seconds=30),
        thresholds=(Threshold("silent_seconds", 3, 1, 300, "No sign of life for longer than that."),),
        inhibited_by=("database.away",),
    ),
    Condition(
        "data.stale", _DOMAIN.DATA, Sev.MEDIUM,
        "Market data is older than it may be.",
        "fresh data has come for a minute",
        ("See whether the market is open.", "See whether another source has it."),
        hold_down=_MINUTE,
        thresholds=(Threshold("bars", 2, 1, 100, "More bars than that are due; rarely traded ones have their habit."),),
        inhibited_by=("database.away",),
    ),
    Condition(
        "data.gap", _DOMAIN.DATA, Sev.MEDIUM,
        "Market data is missing.",
        "the gap is filled, or somebody says that nothing was traded",
        ("Look at the backfill and its source.", "Start it again from the other source."),
        thresholds=(Threshold("patience_seconds", 60, 0, 3600, "So long a gap may take to be filled."),),
    ),
    Condition(
        "feed.silent", _DOMAIN.DATA, Sev.MEDIUM,
        "A feed of market data has not been heard for ten seconds; another one steps in where there is one.",
        "the feed is heard",
        ("See its last error on the page Market data.", "Look at the source's own status page."),
        hold_down=_MINUTE,
        thresholds=(Threshold("silent_seconds", 10, 1, 3600, "Down for longer than that."),),
        inhibited_by=("database.away",),
    ),
    Condition(
        "data.quality", _DOMAIN.DATA, Sev.LOW,
        "Market data of a day is incomplete, late or questionable in more bars than is normal.",
        "the day's bars are good enough again, or the day is over",
        ("Open Market data and see what is wrong.", "Compare with the other source; prefer it if it is better."),
        hold_down=_MINUTE, inhibited_by=("stream.silent", "data.gap"),
        thresholds=(
            Threshold("mark_percent", 98, 0, 100, "Share of good bars of a day below which it holds."),
            Threshold("fewest_bars", 50, 1, 10_000, "Bars due today below which a share says nothing."),
        ),
    ),
    Condition(
        "history.broken", _DOMAIN.DATA, Sev.CRITICAL,
        "The recorded history contradicts itself or its seals.",
        "somebody resolves it, having found out who wrote to the database",
        ("Run `manage.py audit verify`.", "Compare with the copies of the anchors.", "Keep the database as it is."),
        must_notify=True,
    ),
    Condition(
        "slo.burn_rate", _DOMAIN.BROKER, Sev.HIGH,
        "The error budget of a service level is used up too fast.",
        "both windows are below the limit for ten minutes",
        ("See which calls fail.", "Take load off, or route elsewhere, until the budget recovers."),
        hold_down=10 * _MINUTE, inhibited_by=("circuit.opened", "database.away"),
        thresholds=(
            Threshold("fast_burn", 14.4, 1, 10_000, "Critical: times as fast as allowed, in 1 h and 5 min."),
            Threshold("slow_burn", 6, 1, 10_000, "High: times as fast as allowed, in 6 h and 30 min."),
            Threshold("lasting_burn", 1, 0.1, 10_000, "Medium: times as fast as allowed, in 3 d and 6 h."),
            *_FLOORS,
        ),
        ordered=(("lasting_burn", "slow_burn"), ("slow_burn", "fast_burn")),
    ),
    Condition(
        "process.dead", _DOMAIN.PLATFORM, Sev.HIGH,
        "A process died without saying goodbye. Its work was handed on.",
        "another of its name has lived for 30 seconds",
        ("See that a replacement lives; start one if none does.", "Read its last log lines: memory, signal, traceback.",
         "If it dies again and again, look for the job that kills it among the dead letters."),
        hold_down=timedelta(seconds=30),
        inhibited_by=("database.away",),
    ),
    Condition(
        "lane.late", _DOMAIN.PLATFORM, Sev.HIGH,
        "Due work of a lane has waited for more than a minute.",
        "nothing has waited that long for 30 seconds",
        ("See whether the lane is paused, and whether workers serve it.", "Start another worker for it."),
        hold_down=timedelta(seconds=30), inhibited_by=("circuit.opened", "database.away", "redis.away"),
        thresholds=(Threshold("wait_seconds", 60, 1, 3600, "Due work has waited for longer than that."),),
    ),
    Condition(
        "beat.late", _DOMAIN.PLATFORM, Sev.HIGH,
        "The scheduler has not ticked for more than 30 seconds: scheduled work does not start.",
        "it ticks again",
        ("See whether a beat process lives and leads.", "Start one."),
        thresholds=(Threshold("silent_seconds", 30, 5, 3600, "No tick for longer than that."),),
        inhibited_by=("database.away", "redis.away"),
    ),
    Condition(
        "watch.late", _DOMAIN.PLATFORM, Sev.HIGH,
        "Alerts are evaluated late: what is shown may be old.",
        "they are evaluated in time again",
        ("See whether a sentinel lives and leads.", "Look for long queries in the database."),
        thresholds=(Threshold("late_seconds", 10, 2, 600, "Not evaluated for longer than that."),),
        inhibited_by=("database.away",),
    ),
    Condition(
        "delivery.failing", _DOMAIN.PLATFORM, Sev.HIGH,
        "Messages to people could not be delivered.",
        "a message was delivered through the channel again",
        ("Read the attempts of the delivery.", "Tell the people by another way.", "Mend the channel and send a test."),
        inhibited_by=("database.away",),
    ),
    Condition(
        "escalation.exhausted", _DOMAIN.PLATFORM, Sev.CRITICAL,
        "An alert went through all steps of its escalation and nobody acknowledged it.",
        "somebody acknowledges it",
        ("Acknowledge the incident.", "See who was on call, and whether the messages arrived."),
        must_notify=True, makes_incident=False,
    ),
    Condition(
        "escalation.stuck", _DOMAIN.PLATFORM, Sev.CRITICAL,
        "Somebody should have been told and was not: a step is overdue, no message arrives, nobody is on call.",
        "the next audit finds that everybody who should be told was told",
        ("Tell the people who should know by another way, now.",
         "See whether a sentinel lives and leads, and whether workers serve the lane alerts.",
         "Read the attempts of the deliveries; fill the gap in the rota."),
        must_notify=True, makes_incident=False,
        thresholds=(
            Threshold("overdue_seconds", 60, 15, 3600, "A step so long past its time is overdue."),
            Threshold("stuck_seconds", 300, 60, 86_400, "A message that waits for so long is stuck."),
        ),
    ),
    Condition(
        "clock.drift", _DOMAIN.PLATFORM, Sev.HIGH,
        "The clock of a machine differs from the database's by more than is allowed.",
        "it has agreed for a minute",
        ("See whether time synchronisation runs on the machine.", "Records keep both instants; note the incident."),
        hold_down=_MINUTE,
        thresholds=(Threshold("drift_seconds", 1, 0.001, 60, "Clocks differ by more than that."),),
    ),
    Condition(
        "upkeep.behind", _DOMAIN.PLATFORM, Sev.MEDIUM,
        "Upkeep of the tables is behind: partitions for the coming days, or old rows that are due to go.",
        "upkeep has run to its end",
        ("Run `manage.py retention list` and read what went wrong.",
         "If nothing can be exported, see that the export directory is set, there, writable and not full.",
         "Run `manage.py retention run`. Partitions are made a week ahead: until then nothing is lost."),
        thresholds=(Threshold("late_hours", 3, 1.5, 168, "It did not run to its end for longer than that."),),
    ),
    Condition(
        "database.away", _DOMAIN.PLATFORM, Sev.CRITICAL,
        "PostgreSQL did not answer: nothing could be recorded meanwhile, and nothing was carried out.",
        "it has answered for two minutes",
        ("See that the database is up, has room on its disk and takes connections.",
         "Look at orders that are unknown and at the accounts' recoveries: they start by themselves."),
        hold_down=2 * _MINUTE, explains_all=True,
        thresholds=(Threshold("away_seconds", 2, 0.1, 300, "It did not answer for longer than that."),),
    ),
    Condition(
        "redis.away", _DOMAIN.PLATFORM, Sev.HIGH,
        "Redis does not answer: work is found a little later, and each process judges circuits and limits by itself.",
        "it has answered for 30 seconds",
        ("See that the server is up, has memory left and takes connections.",
         "Nothing is lost: what must happen is in the database."),
        hold_down=timedelta(seconds=30), explains_all=True,
        thresholds=(Threshold("away_seconds", 2, 0.1, 300, "It did not answer for longer than that."),),
    ),
    Condition(
        "drill.failed", _DOMAIN.RECOVERY, Sev.MEDIUM,
        "A recovery drill did not pass.",
        "a later drill passes",
        ("Read which expectation failed.", "Run the drill again by hand."),
    ),
)  # fmt: skip

DRILL_EFFECTS = frozenset(
    ("circuit.opened", "error.rate", "slo.burn_rate", "stream.silent", "trading.frozen", "data.stale", "feed.silent")
)
"""What a drill makes on purpose: nobody is told of these while one runs. Everything else is told: it should not be."""

CONDITIONS: dict[str, Condition] = {condition.name: condition for condition in _ALL}


class UnknownConditionError(KeyError):
    """A condition that the catalogue does not have."""


def get_condition(name: str) -> Condition:
    """Return the entry of ``name``; raises ``UnknownConditionError``."""
    try:
        return CONDITIONS[name]
    except KeyError:
        raise UnknownConditionError(name) from None
