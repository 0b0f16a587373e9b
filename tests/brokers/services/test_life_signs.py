"""A broker whose circuit is open is asked for a sign of life, and only then."""

import asyncio
import time

import pytest

from brokers.models import Account
from brokers.services.accounts import AccountProfile, get_profile
from brokers.services.life_signs import LifeSigns
from reliability.conf import get_conf
from reliability.core.breaker import BreakerState
from reliability.core.taxonomy import FailureKind
from reliability.services.circuits import get_circuit
from reliability.services.circuits.runtime import Runtime
from tests.brokers.services.test_guards import fail, opens
from tests.fakes import FakeBroker, call_error
from tests.patience import PATIENCE_SECONDS

pytestmark = pytest.mark.django_db


@pytest.fixture
def profile(account: Account) -> AccountProfile:
    return get_profile(account.pk)


def look_once(profile: AccountProfile) -> list[str]:
    """Look at the broker, wait for its answer, and return what was asked."""

    async def look() -> None:
        signs = LifeSigns()
        signs.look([profile])
        await asyncio.gather(*signs._asking.values())

    asked: list[str] = []
    adapter = profile.adapter
    assert isinstance(adapter, FakeBroker)
    adapter.calls.clear()
    asyncio.run(look())
    asked.extend(adapter.calls)
    return asked


def open_circuit(broker: FakeBroker, profile: AccountProfile) -> None:
    broker.fail("open", call_error(FailureKind.TRANSIENT), times=5)
    fail(profile)
    assert opens(profile.broker, "reads")


def test_nobody_asks_while_all_circuits_are_closed(broker: FakeBroker, profile: AccountProfile) -> None:
    get_circuit(f"{profile.broker}:reads").admit().succeed()
    assert look_once(profile) == []


def test_circuits_that_other_processes_opened_are_followed(broker: FakeBroker, profile: AccountProfile) -> None:
    other = Runtime(get_conf().redis_url, lambda: None, "elsewhere")
    try:
        for _ in range(5):
            other.get(f"{profile.broker}:orders").admit().fail(0.01)
    finally:
        other.stop()
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (asked := look_once(profile)) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert asked == ["account"]


def test_an_answer_reaches_every_open_circuit(
    broker: FakeBroker, profile: AccountProfile, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_circuit(broker, profile)
    circuit, heard = get_circuit(f"{profile.broker}:reads"), []
    monkeypatch.setattr(circuit, "hear_life", lambda: heard.append(circuit.name))
    assert look_once(profile) == ["account"]
    assert heard == [circuit.name]


def test_no_answer_leaves_the_circuits_as_they_are(broker: FakeBroker, profile: AccountProfile) -> None:
    open_circuit(broker, profile)
    broker.fail("account", call_error(FailureKind.TRANSIENT))
    assert look_once(profile) == ["account"]
    assert get_circuit(f"{profile.broker}:reads").state is BreakerState.OPEN
