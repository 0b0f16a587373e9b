"""Traces: one request and what it led to, in one trace, at a real receiver; and nothing at all while they are off."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import aiohttp
import pytest
import redis
from aiohttp import web
from django.db import OperationalError, connection
from django.test import Client

from brokers.models import Account
from config.logging import add_context
from reliability.core.taxonomy import FailureKind
from reliability.models import Job
from reliability.services import tracing
from reliability.services.jobs.event_loop import CallLoop
from reliability.services.jobs.execution import claim_and_prepare
from reliability.services.jobs.traced import apply_traced, note_origins
from reliability.services.tracing.provider import stop_tracing
from tests.factories import make_user
from tests.fakes import FakeBroker, call_error, make_due
from tests.reliability.api.test_errors import client_of
from tests.traces import Receiver, otlp_receiver, traced_to_receiver

pytestmark = pytest.mark.django_db

CALLER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
TRACE = "0af7651916cd43dd8448eb211c80319c"
SERVER, CLIENT, CONSUMER = 2, 3, 5
BODY = {"symbol": "AAPL", "side": "buy", "quantity": "10"}


@pytest.fixture
def traces(settings: Any) -> Iterator[Receiver]:
    with traced_to_receiver(settings) as receiver:
        yield receiver


def submit(client: Client, key: str) -> None:
    headers = {"idempotency-key": key, "traceparent": CALLER}
    answer = client.post("/api/v1/orders", json.dumps(BODY), "application/json", headers=headers)
    assert answer.status_code == 202, answer.content


def work() -> None:
    """Do what a runner does with the lane of orders: claim, call on an event loop, apply."""
    make_due(lane="orders")
    calls, _ = claim_and_prepare("orders", 1, 10)
    note_origins(calls)
    loop = CallLoop()
    loop.start_calls(calls)
    outcomes = [loop.outcomes.get(timeout=20) for _ in calls]
    loop.stop()
    apply_traced([one for one in outcomes if one is not None])


def test_a_request_its_job_and_a_retry_much_later_are_one_trace(
    traces: Receiver, account: Account, broker: FakeBroker
) -> None:
    broker.fail("submit", call_error(FailureKind.TRANSIENT))
    submit(client_of(make_user("brokers.submit_order", "brokers.view_order")), "k1")
    work()
    work()
    stop_tracing()

    request = traces.only("POST /api/v1/orders")
    assert (request.trace, request.parent, request.kind) == (TRACE, "b7ad6b7169203331", SERVER)
    assert (request.service, request.attributes["http.response.status_code"]) == ("stanchion-test", 202)
    assert any(name.endswith("postgresql") for name in traces.below(request))
    first, second = traces.named("job orders.submit")
    for job in (first, second):
        assert (job.trace, job.parent, job.links, job.kind) == (TRACE, request.id, (request.id,), CONSUMER)
    assert (first.failed, second.failed) == (True, False)
    assert (first.attributes["stanchion.job.snoozes"], second.attributes["stanchion.job.snoozes"]) == (0, 1)
    assert {one.parent for one in traces.named("apply outcomes")} == {first.id, second.id}
    assert request.attributes["stanchion.correlation_id"] == first.attributes["stanchion.correlation_id"]


def test_jobs_of_another_request_do_not_inherit_a_trace(traces: Receiver, account: Account) -> None:
    client = client_of(make_user("brokers.submit_order", "brokers.view_order"))
    submit(client, "k1")
    with connection.cursor() as cursor:
        cursor.execute("SELECT coalesce(current_setting('stanchion.trace', true), '')")
        assert cursor.fetchone() == ("",)
    assert Job.objects.get(kind="orders.submit").trace_context[3:35] == TRACE


def test_calls_and_websockets_and_redis_are_below_what_asked_for_them(traces: Receiver) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        assert "traceparent" not in request.headers  # a broker is told nothing of ours
        if request.path == "/stream":
            socket = web.WebSocketResponse()
            await socket.prepare(request)
            await socket.close()
            return socket
        return web.Response(status=503)

    async def ask() -> None:
        application = web.Application()
        application.router.add_get("/{tail:.*}", answer)
        runner = web.AppRunner(application)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        address = f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}"  # type: ignore[union-attr]
        async with aiohttp.ClientSession() as session:
            await session.get(f"{address}/looked-at-in-passing")
            with tracing.span("asking"):
                await session.get(f"{address}/v2/orders?secret=1")
            step = tracing.begin_step("connecting")
            await (await session.ws_connect(f"{address}/stream")).close()
            step.end()
        await runner.cleanup()

    asyncio.run(ask())
    store = redis.Redis.from_url(os.environ["REDIS_URL"])
    store.get("nothing")
    with tracing.span("counting"):
        store.get("nothing")
    store.close()
    stop_tracing()

    assert traces.below(traces.only("asking")) == ["GET 127.0.0.1"]
    call = traces.only("GET 127.0.0.1")
    assert (call.kind, call.failed, call.attributes["http.response.status_code"]) == (CLIENT, True, 503)
    assert call.attributes["url.path"] == "/v2/orders"
    assert traces.below(traces.only("connecting")) == ["websocket 127.0.0.1"]
    assert traces.below(traces.only("counting")) == ["GET redis"]
    assert len(traces.spans) == 6


def test_jobs_are_carried_out_although_their_origins_cannot_be_read(
    traces: Receiver, account: Account, broker: FakeBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    submit(client_of(make_user("brokers.submit_order", "brokers.view_order")), "k1")

    class Away:
        def cursor(self) -> None:
            raise OperationalError("the database is away")

    monkeypatch.setattr("reliability.services.tracing.work.connection", Away())
    work()
    stop_tracing()
    assert broker.calls == ["submit"]
    assert traces.only("job orders.submit").trace != TRACE


def test_log_lines_name_the_trace(traces: Receiver) -> None:
    with tracing.span("something"):
        line = add_context(None, "", {"event": "x"})
    stop_tracing()
    assert line["trace_id"] == traces.only("something").trace
    assert "trace_id" not in add_context(None, "", {"event": "x"})


def test_while_traces_are_off_rows_carry_none(account: Account) -> None:
    submit(client_of(make_user("brokers.submit_order", "brokers.view_order")), "k1")
    assert Job.objects.get(kind="orders.submit").trace_context == ""
    assert (tracing.is_on(), tracing.current_traceparent()) == (False, "")


def test_nothing_is_lost_when_pool_processes_are_recycled(tmp_path: Any) -> None:
    """Each task ends its process; every task's span, and what it did, arrives, in the trace of whoever sent it."""
    with otlp_receiver() as receiver:
        environment = {**os.environ, "STANCHION_TRACES_URL": receiver.address}
        argv = [sys.executable, "-m", "tests.reliability.tasks.traced_app", str(tmp_path)]
        done = subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr[-3000:]

    sent = receiver.only("sending")
    tasks = receiver.named("task tests.traced")
    assert len(tasks) == 6
    assert {(one.trace, one.parent) for one in tasks} == {(sent.trace, sent.id)}
    assert len({one.attributes["pid"] for one in receiver.named("inside")}) == 6
