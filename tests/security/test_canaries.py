"""Canaries: secrets that are pushed through every way into the system, and come out of none.

Everything that can be read is searched: all tables of the database, everything in Redis, logs, metrics, what channels
were sent, exports, traces, every page and every answer of the API.
"""

import base64
import gzip
import io
import json
import logging
import logging.config
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import apprise
import pytest
from django.contrib import admin
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from knox.models import AuthToken

from brokers.core.streams import StreamState
from brokers.models import Account, Order, StreamSession
from brokers.services.credential_changes import propose_credentials
from brokers.services.credentials import read_credentials, set_credentials
from brokers.services.submission import OrderSubmission, accept_order
from brokers.services.unknown_orders import check_unknown_orders
from config.access import Door, list_entrances
from config.logging import logging_settings
from reliability.conf import get_conf
from reliability.core.escalation import TellingReason
from reliability.core.fingerprint import ErrorFacts
from reliability.core.known_secrets import forget_secrets
from reliability.core.taxonomy import ErrorCategory, ErrorSeverity, FailureKind
from reliability.models import Alert, Incident, Recipient
from reliability.services import tracing
from reliability.services.alert_keeper import keep_alerts
from reliability.services.alerting import raise_alert
from reliability.services.audit import record_audit
from reliability.services.circuits.store import connect
from reliability.services.delivery import Message, tell
from reliability.services.error_recorder import record_errors
from reliability.services.jobs.deadletters import record_dead_message
from reliability.services.recipients import save_recipient
from reliability.services.retention.exports import export_piece
from reliability.services.retention.keepers import list_keepers
from reliability.services.secrets import unseal
from reliability.services.tracing.provider import stop_tracing
from tests.factories import TEST_PASSWORD, make_user
from tests.fakes import FakeBroker, call_error, make_due, run_due
from tests.receivers import Webhook, webhook
from tests.reliability.services.test_tracing import submit, work
from tests.security.test_access import address
from tests.traces import Receiver, traced_to_receiver

pytestmark = pytest.mark.django_db

apprise.Apprise().add("json://127.0.0.1/")  # reads all its plugins, which takes longer than a message may
KEY = "KQ7CANARYKEY93XZ"
SECRET = "s3cr3t/Canary+Value=="
ACCOUNT_NUMBER = "DU90017734"
NEXT_SECRET = "n3xt-Canary-Secret-5512"
CHANNEL_PASSWORD = "ch4nnel-canary-pw"
CHANNEL_TOKEN = "T00CANARY00B11CANARY22"
PLAIN = (KEY, SECRET, ACCOUNT_NUMBER, NEXT_SECRET, CHANNEL_PASSWORD, CHANNEL_TOKEN, TEST_PASSWORD)
CREDENTIALS = {"api_key": KEY, "api_secret": SECRET, "account_number": ACCOUNT_NUMBER}


@pytest.fixture(autouse=True)
def knows_nothing() -> Iterator[None]:
    """The process knows of no secret, as one that has just begun; it learns them by opening them."""
    forget_secrets()
    yield
    forget_secrets()


@pytest.fixture
def hook() -> Iterator[Webhook]:
    with webhook() as found:
        yield found


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    """Everything that is logged, as production writes it."""
    written = io.StringIO()
    settings = logging_settings("DEBUG", as_json=True)
    formatter = logging.config.DictConfigurator(settings).configure_formatter(settings["formatters"]["structured"])
    handler = logging.StreamHandler(written)
    handler.setFormatter(formatter)
    root, level = logging.getLogger(), logging.getLogger().level
    root.addHandler(handler)
    root.setLevel("INFO")
    yield written
    root.removeHandler(handler)
    root.setLevel(level)


def leak() -> str:
    """Return what a careless library writes into an exception."""
    basic = base64.b64encode(f"{KEY}:{SECRET}".encode()).decode()
    return (
        f"GET https://{KEY}:{SECRET}@api.example.com/v2/{ACCOUNT_NUMBER} failed: key {KEY} of {ACCOUNT_NUMBER} "
        f"(secret {SECRET!r}) is not known; Authorization: Basic {basic}; channel {CHANNEL_PASSWORD} {CHANNEL_TOKEN}"
    )


@pytest.fixture
def spilled(account: Account, broker: FakeBroker, lines: io.StringIO, hook: Webhook) -> dict[str, Any]:
    """Push every canary through every way into the system; returns what later reads need."""
    user = make_user(name="boss")
    type(user).objects.filter(pk=user.pk).update(is_superuser=True)
    user.refresh_from_db()
    _, token = AuthToken.objects.create(user)
    set_credentials(account, CREDENTIALS)
    assert read_credentials(account) == CREDENTIALS
    at = f"json://boss:{CHANNEL_PASSWORD}@127.0.0.1:{hook.port}/hooks/{CHANNEL_TOKEN}?retry=0"
    recipient = save_recipient("night", at, actor="boss")
    assert unseal(recipient.address) == at
    propose_credentials(account.name, {"api_key": KEY, "api_secret": NEXT_SECRET}, by="boss", reason="yearly")

    for number, error in enumerate([RuntimeError(leak()), call_error(FailureKind.REJECTED), ConnectionError(leak())]):
        broker.fail("submit", error)
        body = {"symbol": "AAPL", "side": "buy", "quantity": "10"}
        accept_order(owner_id=user.pk, actor="boss", submission=OrderSubmission(f"canary-{number}", body))
        make_due(lane="orders")
        run_due("orders")
    _tell_of_it(account, token)
    Order.objects.filter(state="unknown").update(lookup_misses=9)
    check_unknown_orders()
    keep_alerts()
    incident = Incident.objects.latest("id")
    message = Message.about(incident, list(Alert.objects.all()), TellingReason.FIRST)
    tell(list(Recipient.objects.all()), message, key="canary")
    for _ in range(5):  # a busy machine may need a second try
        make_due(lane="alerts")
        run_due("alerts")
        if hook.got:
            break
    return {"user": user, "token": token, "tokens": (token,)}


def _tell_of_it(account: Account, token: str) -> None:
    """Say it in every record that is kept of an error."""
    text = f"{leak()} Bearer {token}"
    facts = {"url": text, "headers": {"Authorization": f"Bearer {token}"}, "nested": [{"password": SECRET}]}
    record_errors(
        [
            ErrorFacts(
                source="broker",
                operation="submit",
                code="SYSTEM_UNEXPECTED",
                category=ErrorCategory.SYSTEM,
                severity=ErrorSeverity.HIGH,
                message=text,
                details=facts,
            )
        ]
    )
    record_audit("boss", "canary", "account:desk", before=facts, after={"text": text}, reason=text)
    raise_alert("stream.silent", f"account:{account.name}", message=text, details={"error": text})
    record_dead_message("SYSTEM_UNEXPECTED", text, {"body": text})
    StreamSession.objects.update_or_create(account=account, defaults={"state": StreamState.DOWN})
    logging.getLogger("canary").error(text, extra=facts)
    try:
        raise RuntimeError(text)
    except RuntimeError:
        logging.getLogger("canary").exception("it failed")


def found_in(text: str, tokens: tuple[str, ...] = ()) -> set[str]:
    """Return the canaries that a text shows, plain or as they are written in JSON, HTML and addresses."""
    basic = base64.b64encode(f"{KEY}:{SECRET}".encode()).decode()
    written = {one: (one, json.dumps(one)[1:-1], one.replace("/", "%2F").replace("+", "%2B")) for one in PLAIN}
    written |= {one: (one,) for one in (*tokens, basic)}
    return {one for one, forms in written.items() if any(form in text for form in forms)}


def test_no_table_holds_one(spilled: dict[str, Any]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT c.oid::regclass::text FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace "
            "AND c.relkind IN ('r', 'p') AND NOT c.relispartition ORDER BY 1"
        )
        tables = [name for (name,) in cursor.fetchall()]
        found = {}
        for table in tables:
            cursor.execute(f"SELECT coalesce(string_agg(one::text, ' '), '') FROM {table} one")
            found[table] = found_in(cursor.fetchone()[0], spilled["tokens"])

    assert len(tables) > 60
    assert {table: leaks for table, leaks in found.items() if leaks} == {}


def test_no_line_of_the_log_no_message_and_no_metric_holds_one(
    spilled: dict[str, Any], lines: io.StringIO, hook: Webhook
) -> None:
    assert "it failed" in lines.getvalue()
    assert found_in(lines.getvalue(), spilled["tokens"]) == set()
    assert found_in(json.dumps(hook.got), spilled["tokens"]) == set()
    metrics = Client(headers={"Authorization": f"Bearer {spilled['token']}"}).get("/metrics")
    assert metrics.status_code == 200
    assert found_in(metrics.content.decode(), spilled["tokens"]) == set()


def test_redis_holds_none(spilled: dict[str, Any]) -> None:
    with connect(get_conf().redis_url, 5.0) as client:
        text = " ".join(repr(client.dump(key)) + repr(key) for key in client.scan_iter(count=500))

    assert found_in(text, spilled["tokens"]) == set()


@pytest.fixture
def traces(settings: Any) -> Iterator[Receiver]:
    with traced_to_receiver(settings) as receiver:
        yield receiver


def test_no_trace_carries_one(traces: Receiver, spilled: dict[str, Any], broker: FakeBroker) -> None:
    api = Client(headers={"Authorization": f"Bearer {spilled['token']}"})
    for number, error in enumerate([RuntimeError(leak()), ConnectionError(leak())]):
        broker.fail("submit", error)
        submit(api, f"traced-{number}")
        work()
    api.get("/api/v1/orders", {"symbol": SECRET, "account": KEY})
    with pytest.raises(RuntimeError), tracing.span("spilled", {"password": SECRET, "error": leak()}):
        raise RuntimeError(f"{leak()} Bearer {spilled['token']}")
    stop_tracing()

    sent = b" ".join(traces.bodies).decode("latin-1")
    assert {"job orders.submit", "spilled", "POST /api/v1/orders"} <= {span.name for span in traces.spans}
    assert "exception.stacktrace" in sent
    assert "is not known" in sent, "of the exceptions everything but the secrets is there"
    assert found_in(sent, spilled["tokens"]) == set()


def test_no_export_holds_one(spilled: dict[str, Any], tmp_path: Path) -> None:
    later = timezone.now() + timedelta(days=400)
    rows = {
        keeper.kind: sum(export_piece(keeper, piece, tmp_path).rows for piece in keeper.list_pieces(later))
        for keeper in list_keepers()
    }
    files = {str(path.relative_to(tmp_path)): path.read_bytes() for path in tmp_path.rglob("*.*") if path.is_file()}
    texts = {name: gzip.decompress(held) if name.endswith(".gz") else held for name, held in files.items()}

    assert rows["errors"] > 0
    assert len(files) >= 2
    found = {name: found_in(text.decode(), spilled["tokens"]) for name, text in texts.items()}
    assert {name: leaks for name, leaks in found.items() if leaks} == {}


def test_no_page_and_no_answer_shows_one(spilled: dict[str, Any]) -> None:
    pages = Client(raise_request_exception=False)
    pages.force_login(spilled["user"])
    api = Client(raise_request_exception=False, headers={"Authorization": f"Bearer {spilled['token']}"})
    found, answered = {}, 0
    for one in list_entrances():
        if one.method != "GET" or one.door is Door.OPEN:
            continue
        where = address(one).replace("999999", "1").replace("01900000-0000-7000-8000-000000000000", _an_order())
        answer = (api if where.startswith(("/api/", "/health/")) and "docs" not in where else pages).get(where)
        text = b"".join(answer.streaming_content) if answer.streaming else answer.content
        answered += answer.status_code == 200
        found[where] = found_in(text.decode(errors="replace"), spilled["tokens"])

    assert answered > 40
    assert {where: leaks for where, leaks in found.items() if leaks} == {}


def test_no_list_and_no_record_in_admin_shows_one(spilled: dict[str, Any]) -> None:
    client = Client()
    client.force_login(spilled["user"])
    found, records = {}, 0
    for model in admin.site._registry:
        name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
        places = [reverse(f"{name}_changelist")]
        places += [
            reverse(f"{name}_change", args=[pk]) for pk in model._default_manager.values_list("pk", flat=True)[:3]
        ]
        records += len(places) - 1
        for place in places:
            found[place] = found_in(client.get(place, follow=True).content.decode(), spilled["tokens"])

    assert records > 30
    assert {place: leaks for place, leaks in found.items() if leaks} == {}


def test_no_command_prints_one(spilled: dict[str, Any]) -> None:
    commands = ["deadletters list --json", "health", "credentials status", "limits list", "kill_switch list"]
    told = ""
    for words in commands:
        out = io.StringIO()
        try:
            call_command(*words.split(), stdout=out, stderr=out)
        except (CommandError, SystemExit) as error:  # what a command finds wrong is told, too
            told += str(error)
        told += out.getvalue()

    assert len(told) > 500
    assert found_in(told, spilled["tokens"]) == set()


def _an_order() -> str:
    return str(Order.objects.earliest("id").pk)
