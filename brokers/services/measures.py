"""What this app measures: orders, streams, synchronization, kill switches."""

import time
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime
from uuid import UUID

from django.utils import timezone

from brokers.core.freezes import FreezeCause
from brokers.core.identifiers import seconds_of
from brokers.core.orders import OPEN_STATES
from brokers.selectors.accounts import list_accounts, list_stream_sessions
from brokers.selectors.freezes import count_freezes
from brokers.selectors.kill_switch import list_halts
from brokers.selectors.orders import count_open_by_state, oldest_unknown
from reliability.core.metrics import LATENCIES, Metric, MetricKind, Sample
from reliability.services.metering import meter
from reliability.services.metrics import declare_counted, register_source
from reliability.services.service_levels import Slice, watch

ACKNOWLEDGED_SECONDS = Metric(
    "stanchion_order_acknowledge_seconds",
    MetricKind.HISTOGRAM,
    "Time from accepting an order to its broker's answer in our hands; orders that were held or unknown count whole.",
    ("broker",),
    LATENCIES,
)
OPEN_ORDERS = Metric(
    "stanchion_open_orders", MetricKind.GAUGE, "Orders that are not final, by state.", ("account", "state")
)
UNKNOWN_AGE = Metric(
    "stanchion_unknown_order_age_seconds",
    MetricKind.GAUGE,
    "Age of the oldest order whose outcome is unknown; 0 when there is none.",
    ("account",),
)
STREAM_UP = Metric("stanchion_stream_up", MetricKind.GAUGE, "1 while the account's order stream stands.", ("account",))
STREAM_SILENCE = Metric(
    "stanchion_stream_silence_seconds",
    MetricKind.GAUGE,
    "Time since the order stream last gave a sign of life.",
    ("account",),
)
STREAM_CONNECTS = Metric(
    "stanchion_stream_connections_total", MetricKind.COUNTER, "Times the order stream was subscribed.", ("account",)
)
SYNC_AGE = Metric(
    "stanchion_account_sync_age_seconds",
    MetricKind.GAUGE,
    "Time since orders and fills were last read from the broker.",
    ("account",),
)
KILL_SWITCHES = Metric("stanchion_kill_switches", MetricKind.GAUGE, "Kill switches in force.", ("scope",))

FREEZES = Metric("stanchion_freezes", MetricKind.GAUGE, "Freezes of trading in force, by cause.", ("cause",))

_SCOPES = ("global", "broker", "account")

Values = Mapping[Metric, Iterable[Sample]]


def connect_measures() -> None:
    """Have this app's metrics declared and read."""
    declare_counted(ACKNOWLEDGED_SECONDS)
    register_source("orders", (OPEN_ORDERS, UNKNOWN_AGE), read_orders)
    register_source("accounts", (STREAM_UP, STREAM_SILENCE, STREAM_CONNECTS, SYNC_AGE), read_accounts)
    watch(watch_streams, "order_streams", "99.5", "order streams that stand, looked at every ten seconds")
    register_source("kill switches", (KILL_SWITCHES, FREEZES), read_stops)


def watch_streams() -> list[Slice]:
    """Look at every order stream: it should stand and have given a sign of life within ten seconds."""
    names = {account.id: account.name for account in list_accounts() if account.enabled}
    now = timezone.now()
    return [
        Slice("order_streams", names[one.account_id], one.state == "up" and _age(one.last_alive_at, now) < 10)
        for one in list_stream_sessions()
        if one.account_id in names
    ]


def note_acknowledged(broker: str, order_id: UUID) -> None:
    """Count the time since an order was accepted, which its id tells to the millisecond."""
    meter.observe(ACKNOWLEDGED_SECONDS, broker, value=max(0.0, time.time() - seconds_of(order_id)))


def read_orders() -> Values:
    counts, now = count_open_by_state(), timezone.now()
    names = {account.id: account.name for account in list_accounts()}
    oldest = oldest_unknown()
    return {
        OPEN_ORDERS: [
            Sample((name, state.value), counts.get((account, state.value), 0))
            for account, name in names.items()
            for state in sorted(OPEN_STATES)
        ],
        UNKNOWN_AGE: [Sample((name,), _age(oldest.get(account), now)) for account, name in names.items()],
    }


def read_accounts() -> Values:
    now = timezone.now()
    accounts = list_accounts()
    names = {account.id: account.name for account in accounts}
    sessions = list_stream_sessions()
    return {
        STREAM_UP: [Sample((names[one.account_id],), float(one.state == "up")) for one in sessions],
        STREAM_SILENCE: [Sample((names[one.account_id],), _age(one.last_alive_at, now)) for one in sessions],
        STREAM_CONNECTS: [Sample((names[one.account_id],), one.reconnects) for one in sessions],
        SYNC_AGE: [Sample((one.name,), _age(one.synced_at, now)) for one in accounts if one.synced_at is not None],
    }


def read_stops() -> Values:
    switches = Counter(halt.scope.kind.value for halt in list_halts())
    freezes = count_freezes()
    return {
        KILL_SWITCHES: [Sample((scope,), switches[scope]) for scope in _SCOPES],
        FREEZES: [Sample((cause.value,), freezes.get(cause.value, 0)) for cause in FreezeCause],
    }


def _age(moment: datetime | None, now: datetime) -> float:
    return 0.0 if moment is None else max(0.0, (now - moment).total_seconds())
