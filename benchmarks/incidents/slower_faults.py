"""Faults that are looked for rather than reported: what is too old, what waits, what came back."""

import json
import time
from datetime import timedelta
from typing import Any

from benchmarks.incidents.waiting import wait_for


def returning_error(place: int) -> float:
    """An error of a kind that somebody resolved, met again; ``new error`` made its kind."""
    from reliability.models import Alert, ErrorGroup
    from reliability.services.error_group_decisions import resolve_group
    from reliability.services.error_recorder import errors

    group = ErrorGroup.objects.get(source=f"bench-{place}")
    resolve_group(group.pk, actor="bench", reason="bench")
    began = time.monotonic()
    errors.note(_timeout(f"bench-{place}"))
    return wait_for(
        lambda: Alert.objects.filter(condition="error.regression", details__group=group.pk).exists(), began, "an error"
    )


def unknown_order(place: int) -> float:
    """An order whose outcome has just been unknown for too long."""
    from django.utils import timezone

    order = _unknown(place, sent_at=timezone.now() - timedelta(seconds=60))
    return _told("order.unknown_aged", f"order:{order.pk}")


def decision_needed(place: int) -> float:
    """An order whose outcome only a person can find out: its look-ups are used up."""
    from django.utils import timezone

    from reliability.models import Job

    order = _unknown(1_000 + place, sent_at=timezone.now())
    Job.objects.create(kind="orders.submit", lane="orders", state="dead", subject=order.pk, finished_at=timezone.now())
    return _told("intervention.needed", f"order:{order.pk}")


def late_lane(place: int) -> float:
    """Due work that has just waited for too long."""
    from django.utils import timezone

    from reliability.models import Job, Lane

    lane = Lane.objects.create(name=f"bench-{place}", paused_at=timezone.now())
    Job.objects.create(kind="bench.nothing", lane=lane.name, run_at=timezone.now() - timedelta(seconds=60))
    return _told("lane.late", f"lane:{lane.name}")


def late_scheduler(place: int) -> float:
    """A scheduler that has just not ticked for too long; it ticks again before the next one."""
    from django.db import connection

    from reliability.models import Alert, Heartbeat

    name = "bench beat"
    Heartbeat.objects.get_or_create(pulse=-1, defaults={"kind": "beat", "name": name, "host": "bench", "pid": 1})
    with connection.cursor() as cursor:
        tick = json.dumps({"leader": True, "ticked_at": time.time()})
        cursor.execute("UPDATE reliability_heartbeat SET detail = %s, beat_at = now() WHERE pulse = -1", [tick])
    wait_for(
        lambda: not Alert.objects.filter(condition="beat.late", resolved_at=None).exists(), time.monotonic(), "its end"
    )
    began = time.monotonic()
    Heartbeat.objects.filter(pulse=-1).update(detail={"leader": True, "ticked_at": time.time() - 30.0})
    return _told("beat.late", "process:beat", began)


def silent_feed(place: int) -> float:
    """A feed that has just been down for too long."""
    from django.utils import timezone

    from reconciliation.core.gaps import GapPolicy
    from reconciliation.core.timeframes import Timeframe
    from reconciliation.models import Feed
    from reconciliation.services.market_data.feed_settings import add_feed, subscribe_symbol

    name = f"bench-feed-{place}"
    address = "ws://127.0.0.1:9/v2/iex"
    add_feed(name, account=f"bench-stream-{place}", data_url="", stream_url=address, priority=100, by="bench")
    subscribe_symbol(
        name, symbol=f"B{place}", timeframe=Timeframe.MINUTE, calendar="24/7", policy=GapPolicy.EVERY_SLOT, by="bench"
    )
    began = time.monotonic()
    since = timezone.now() - timedelta(seconds=10)
    Feed.objects.filter(name=name).update(state=Feed.State.DOWN, state_since=since, last_error="refused")
    return _told("feed.silent", f"feed:{name}", began)


def _told(condition: str, scope: str, began: float | None = None) -> float:
    from reliability.models import Alert

    at = time.monotonic() if began is None else began
    rows = Alert.objects.filter(condition=condition, scope=scope, resolved_at=None)
    return wait_for(rows.exists, at, f"{condition} {scope}")


def _unknown(place: int, **values: Any) -> Any:
    from uuid import uuid4

    from django.contrib.auth import get_user_model
    from django.utils import timezone

    from brokers.models import Account, Order

    owner, _ = get_user_model().objects.get_or_create(username="bench")
    account = Account.objects.get(name="bench-stream-0")
    return Order.objects.create(
        id=uuid4(), account=account, owner=owner, idempotency_key=f"bench-{place}", request_hash="0" * 64,
        client_order_id=f"bench-{place}", symbol="AAPL", side="buy", order_type="limit", time_in_force="day",
        quantity=10, limit_price="12.5", state="unknown",
        submit_before=timezone.now() + timedelta(hours=1), **values,
    )  # fmt: skip


def _timeout(source: str) -> Any:
    from reliability.core.fingerprint import ErrorFacts
    from reliability.core.taxonomy import ErrorCategory, ErrorSeverity

    return ErrorFacts(source, "submit", "TIMEOUT_READ", ErrorCategory.TIMEOUT, ErrorSeverity.HIGH, message="too late")
