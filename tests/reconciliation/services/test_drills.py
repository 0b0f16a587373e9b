"""A drill makes a real fault at a simulated broker and judges the recovery that follows."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.utils import timezone

from brokers.models import Account
from brokers.services.accounts import forget_accounts
from reconciliation.models import Drill, RecoveryRun
from reconciliation.selectors.drills import drill_trend
from reconciliation.services import drills
from reconciliation.services.drills import drillable_accounts, start_drill
from reliability.core.errors import ReliabilityError
from reliability.models import Alert, Incident
from tests.brokers.simulator.process import Simulator
from tests.factories import make_account, make_user
from tests.fakes import make_due, run_due
from tests.reliability.api.test_errors import client_of, require_error, send

pytestmark = pytest.mark.django_db


@pytest.fixture(scope="module")
def simulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    running = Simulator(tmp_path_factory.mktemp("drills")).start()
    yield running
    running.kill()


@pytest.fixture
def account(simulator: Simulator) -> Iterator[Account]:
    forget_accounts()
    account = make_account("sim-a", is_simulated=True)
    account.broker.base_url = simulator.url
    account.broker.save()
    yield account
    forget_accounts()


def step() -> None:
    make_due(kind="drills.step")
    run_due("recovery")


def recover(account: Account, state: str, seconds: float) -> None:
    """The recovery that the installation would make."""
    drill = Drill.objects.get()
    assert drill.injected_at is not None
    RecoveryRun.objects.create(
        account=account, generation=1, saga_id=uuid4(), state=state, trigger="stream", requested_by="watch",
        disrupted_at=drill.injected_at, started_at=timezone.now(),
        finished_at=drill.injected_at + timedelta(seconds=seconds),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("state", "seconds", "verdict"),
    [("recovered", 3.0, "passed"), ("recovered", 31.0, "failed"), ("failed", 3.0, "failed")],
)
def test_a_drill_is_judged_by_the_recovery_that_follows(
    account: Account, state: str, seconds: float, verdict: str
) -> None:
    pk = start_drill("sim-a", by="ann")
    with pytest.raises(ReliabilityError, match="already"):
        start_drill("sim-a", by="bob")
    step()
    step()
    assert Drill.objects.get().state == "running"
    recover(account, state, seconds)
    step()

    drill, incident = Drill.objects.get(pk=pk), Incident.objects.get()
    assert (drill.state, drill.seconds, incident.kind, incident.state) == (verdict, seconds, "drill", "closed")
    assert Alert.objects.filter(condition="drill.failed").exists() == (verdict == "failed")
    assert drill_trend() == {"drills": 1, "passed": int(verdict == "passed"), "seconds": [seconds]}


def test_without_a_recovery_it_fails(account: Account) -> None:
    start_drill("sim-a", by="ann")
    step()
    Drill.objects.update(injected_at=timezone.now() - timedelta(seconds=91))
    step()
    assert Drill.objects.get().verdict.startswith("No recovery ended within")


def test_only_a_simulated_broker_is_touched(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    touched: list[Any] = []

    def call(address: str, body: Any) -> dict[str, Any]:
        touched.append(body)
        return {"status": "a real broker"}

    monkeypatch.setattr(drills, "_call", call)
    start_drill("sim-a", by="ann")
    step()
    assert (Drill.objects.get().state, touched) == ("failed", [None])
    assert "no simulator" in Drill.objects.get().verdict
    assert drillable_accounts() == ["sim-a"]


def test_over_http(account: Account) -> None:
    client = client_of(make_user("reconciliation.view_drill", "reconciliation.run_drill"))
    started = send(client, "POST", "/api/v1/drills", {"account": "sim-a"})
    assert started.status_code == 202
    assert client.get("/api/v1/drills").json()["results"][0]["id"] == started.json()["id"]
    require_error(send(client, "POST", "/api/v1/drills", {"account": "nobody"}), 404, "VALIDATION_NOT_FOUND")


def test_an_account_that_is_not_marked_is_refused(account: Account) -> None:
    Account.objects.update(is_simulated=False)
    forget_accounts()
    assert drillable_accounts() == []
    with pytest.raises(ReliabilityError, match="sim-a is not marked as simulated"):
        start_drill("sim-a", by="ann")
    client = client_of(make_user("reconciliation.run_drill"))
    require_error(send(client, "POST", "/api/v1/drills", {"account": "sim-a"}), 409, "VALIDATION_WRONG_STATE")
    assert not Drill.objects.exists()
    assert not Incident.objects.exists()
