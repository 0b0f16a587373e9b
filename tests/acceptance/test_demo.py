"""The demonstration says what became of each order, and fails when one is at a broker twice."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest

from config.stack import demo
from config.stack.running import RunningInstance, running_instance

ORDERS = 60


@pytest.fixture(scope="module")
def instance() -> Iterator[RunningInstance]:
    with running_instance(environment={"DATABASE_URL": "", "REDIS_URL": ""}, without=["flower"]) as running:
        yield running


def execute_twice(instance: RunningInstance, client_order_id: str) -> None:
    """Have broker A take a further order under an id that it knows, far from the market so that it rests."""
    url = instance.urls["simbroker-a"]
    demo.post_json(f"{url}/sim/faults", {"kind": "no_dedupe", "seconds": 60})
    order = {"symbol": "AAPL", "qty": "1", "side": "buy", "type": "limit", "limit_price": "0.5", "time_in_force": "gtc"}
    request = Request(
        f"{url}/v2/orders",
        json.dumps({**order, "client_order_id": client_order_id}).encode(),
        {
            "APCA-API-KEY-ID": instance.env["STANCHION_SIM_API_KEY"],
            "APCA-API-SECRET-KEY": instance.env["STANCHION_SIM_API_SECRET"],
            "Content-Type": "application/json",
        },
    )
    with urlopen(request, timeout=10) as answer:
        assert answer.status == 200


def read(file: Path) -> dict[str, Any]:
    report: dict[str, Any] = json.loads(file.read_text())
    return report


def test_the_demonstration_ends_with_0_and_with_1_once_a_broker_has_an_order_twice(
    instance: RunningInstance, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "report.json"
    assert demo.run(instance, orders=ORDERS, file=file) == 0
    clean = read(file)
    assert clean["accounts"]["together"]["accepted"] == len(clean["orders"]) >= ORDERS
    assert {one["verdict"] for one in clean["orders"]} == {"agrees"}
    assert len(clean["failures"]) == len(demo.FAILURES)

    (doubled, *_) = [one for one in clean["orders"] if one["account"] == "sim-a" and one["theirs"]]
    execute_twice(instance, doubled["client_order_id"])
    capsys.readouterr()

    assert demo.run(instance, orders=0, file=file) == 1  # sends nothing, and compares
    broken = read(file)
    (differing,) = [one for one in broken["orders"] if one["verdict"] != "agrees"]
    assert (differing["id"], differing["verdict"]) == (doubled["id"], "doubled")
    assert len(differing["theirs"]) == 2
    assert doubled["id"] in capsys.readouterr().out
