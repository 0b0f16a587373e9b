"""Whether everybody says the same: metrics, health pages, operator screen, API, and the brokers' own ledgers."""

import json
import re
import time
from collections import Counter
from http.cookiejar import CookieJar
from typing import Any
from urllib.parse import urlencode
from urllib.request import HTTPCookieProcessor, OpenerDirector, Request, build_opener, urlopen

from prometheus_client.parser import text_string_to_metric_families

from config.chaos.stack import Stack

_PATIENCE_SECONDS = 90.0
_TOKEN = re.compile(r'name="csrfmiddlewaretoken" value="([^"]+)"')
_FIGURE = re.compile(r'<span class="label">([^<]+)</span><span class="figure">(\d+)</span>')
_LIVE = ("alive", "silent")

Said = dict[str, dict[str, Any]]
Metrics = dict[str, list[tuple[dict[str, str], float]]]


def require_agreement(stack: Stack) -> None:
    """Raise unless all of them tell the same within a minute: each is read at an instant of its own."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    person = log_in(stack)
    while differences := disagreements(ask(stack, person)):
        if time.monotonic() > deadline:
            raise AssertionError("they do not agree:\n" + "\n".join(differences))
        time.sleep(0.5)


def disagreements(said: Said) -> list[str]:
    """Return a line for each question that is answered in two ways."""
    return [
        f"{question}: " + ", ".join(f"{who} says {answer}" for who, answer in answers.items())
        for question, answers in said.items()
        if len({json.dumps(answer, sort_keys=True) for answer in answers.values()}) > 1
    ]


def ask(stack: Stack, person: OpenerDirector) -> Said:
    """Return, for each question, what everybody who knows answers."""
    metrics, figures, deep = read_metrics(stack), read_figures(stack, person), read(stack, "/health/deep")
    ledgers = stack.ledgers()
    orders = read_all_orders(stack)
    open_orders = [order for order in orders if not order["final"]]
    positions: dict[str, dict[str, str]] = {name: {} for name in ledgers}
    for row in read(stack, "/api/v1/positions")["results"]:
        if float(row["quantity"]):
            positions[row["account"]][row["symbol"]] = f"{float(row['quantity']):g}"
    accounts = read(stack, "/api/v1/accounts")["results"]
    processes = read(stack, "/api/v1/processes")["results"]
    circuits = read(stack, "/api/v1/circuits")["results"]
    dead, known = sum_of(metrics, "stanchion_dead_letters"), stack.query(_DEAD)[0][0]
    refusing = sorted(one["name"] for one in circuits if one["state"] in ("open", "forced_open"))
    freezes = sum(one["released_at"] is None for one in read(stack, "/api/v1/freezes")["results"])
    alerts = stack.query("SELECT count(*) FROM reliability_alert WHERE resolved_at IS NULL")[0][0]
    streams = {one["name"]: one["stream_state"] == "up" for one in accounts}
    parts = {one["name"]: one["status"] for one in deep["components"]}
    return {
        "orders that are not final": {
            "the API": len(open_orders),
            "the metrics": sum_of(metrics, "stanchion_open_orders"),
            "the ledgers": sum(order.is_live for ledger in ledgers.values() for order in ledger.orders.values()),
        },
        "orders whose outcome is unknown": {
            "the API": sum(order["state"] == "unknown" for order in open_orders),
            "the metrics": int(sum(v for k, v in metrics["stanchion_open_orders"] if k["state"] == "unknown")),
            "the screen": figures["Outcome unknown"],
            "the ages in the metrics": sum(v > 0 for _, v in metrics["stanchion_unknown_order_age_seconds"]),
        },
        "what is held": {
            "the API": positions,
            "the ledgers": {
                name: {symbol: f"{float(number):g}" for symbol, number in ledger.net_positions().items()}
                for name, ledger in ledgers.items()
            },
        },
        "orders the brokers took": {
            "the API": sum(bool(order["broker_order_id"]) for order in orders),
            "the ledgers": sum(len(ledger.orders) for ledger in ledgers.values()),
        },
        "dead letters": {"the metrics": dead, "the screen": figures["Dead letters"], "the rows": known},
        "circuits that refuse": {
            "the API": refusing,
            "the metrics": sorted(
                k["circuit"]
                for k, v in metrics["stanchion_circuit_state"]
                if v and k["state"] in ("open", "forced_open")
            ),
        },
        "whether any circuit refuses": {
            "the API": bool(refusing),
            "the screen": bool(figures["Circuits open"]),
            "the health page": parts["brokers"] != "normal",
        },
        "streams that stand": {
            "the API": streams,
            "the metrics": {k["account"]: bool(v) for k, v in metrics["stanchion_stream_up"]},
        },
        "whether all streams stand": {
            "the API": all(streams.values()),
            "the health page": parts["streams"] == "normal",
        },
        "living processes": {
            "the API": Counter(one["kind"] for one in processes if one["state"] in _LIVE),
            "the metrics": alive_in(metrics),
        },
        "freezes": {"the API": freezes, "the metrics": sum_of(metrics, "stanchion_freezes")},
        "alerts": {
            "the rows": alerts,
            "the metrics": sum_of(metrics, "stanchion_open_alerts"),
            "the screen": figures["Alerts not over"],
        },
        "whether orders can be accepted": {
            "the ready page": stack.get("/health/ready")[1].get("status") == "ready",
            "the deep page": parts["database"] == parts["migrations"] == parts["redis"] == "normal",
        },
    }


_DEAD = "SELECT count(*) FROM reliability_job WHERE state = 'dead'"


def alive_in(metrics: Metrics) -> dict[str, int]:
    found: Counter[str] = Counter()
    for labels, value in metrics["stanchion_processes"]:
        if labels["state"] in _LIVE and value:
            found[labels["kind"]] += int(value)
    return dict(found)


def sum_of(metrics: Metrics, name: str) -> int:
    return int(sum(value for _, value in metrics[name]))


def read_metrics(stack: Stack) -> Metrics:
    text = _answer(stack, "/metrics").decode()
    return {
        family.name: [(sample.labels, sample.value) for sample in family.samples]
        for family in text_string_to_metric_families(text)
    }


def read_figures(stack: Stack, person: OpenerDirector) -> dict[str, int]:
    """Return the figures at the top of the operator screen."""
    with person.open(stack.instance.urls["web"] + "/", timeout=20) as answer:
        return {label: int(figure) for label, figure in _FIGURE.findall(answer.read().decode())}


def read_all_orders(stack: Stack) -> list[dict[str, Any]]:
    orders: list[dict[str, Any]] = []
    before = ""
    while True:
        page = read(stack, f"/api/v1/orders?limit=500{before}")
        orders += page["results"]
        if page["next_before"] is None:
            return orders
        before = f"&before={page['next_before']}"


def read(stack: Stack, path: str) -> Any:
    return json.loads(_answer(stack, path))


def _answer(stack: Stack, path: str) -> bytes:
    headers = {"Authorization": f"Bearer {stack.instance.env['STANCHION_API_TOKEN']}"}
    with urlopen(Request(stack.instance.urls["web"] + path, headers=headers), timeout=20) as answer:
        body: bytes = answer.read()
    return body


def log_in(stack: Stack) -> OpenerDirector:
    """Return somebody who is logged in to the pages, as a person does it."""
    person = build_opener(HTTPCookieProcessor(CookieJar()))
    address = stack.instance.urls["web"] + "/admin/login/?next=/"
    with person.open(address, timeout=20) as page:
        token = _TOKEN.search(page.read().decode())
    assert token is not None
    env = stack.instance.env
    form = {
        "csrfmiddlewaretoken": token[1],
        "username": env["STANCHION_ADMIN_USER"],
        "password": env["STANCHION_ADMIN_PASSWORD"],
        "next": "/",
    }
    with person.open(Request(address, urlencode(form).encode(), {"Referer": address}), timeout=20) as page:
        assert "figure" in page.read().decode()
    return person
