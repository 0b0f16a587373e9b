"""What the status says of orders that are held back although every circuit lets calls through."""

import pytest
from django.utils import timezone

from brokers.core.freezes import FreezeCause, FreezeMode
from brokers.core.halts import Scope, ScopeKind
from brokers.models import StreamSession
from brokers.services.degradation import held_orders
from brokers.services.freezes import freeze_trading
from brokers.services.kill_switch import engage
from brokers.services.reachability import forget_reachability
from reliability.services.degradation import read_status, status_facts
from tests.factories import make_account

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def fresh_reading() -> None:
    forget_reachability()


def test_nothing_is_held_back_as_a_rule() -> None:
    make_account("desk")

    assert list(held_orders()) == []


@pytest.mark.parametrize(("mode", "works"), [(FreezeMode.HALT, False), (FreezeMode.REDUCE_ONLY, True)])
def test_a_frozen_account_is_named_with_its_cause(mode: FreezeMode, works: bool) -> None:
    make_account("desk")
    freeze_trading(
        Scope(ScopeKind.ACCOUNT, "desk"), mode, FreezeCause.RECOVERY, reason="fetching what was missed", by="recovery"
    )

    (held,) = list(held_orders())
    assert (held.operation, held.dependency, held.works) == ("new orders", "account:desk", works)
    assert "recovery: fetching what was missed" in held.fallback
    status = status_facts(read_status())
    assert "account:desk" in [one["dependency"] for one in status["affected"]]
    assert status["status"] != "normal"


def test_a_kill_switch_is_named_with_its_reason() -> None:
    make_account("desk")
    engage("account:desk", actor="ann", reason="a runaway program")

    (held,) = list(held_orders())
    assert (held.dependency, held.works) == ("account:desk", False)
    assert "a runaway program" in held.fallback


def test_an_account_whose_broker_answers_nothing_keeps_its_orders() -> None:
    account = make_account("desk")
    now = timezone.now()
    StreamSession.objects.update_or_create(account=account, defaults={"unreachable_since": now, "checked_at": now})

    (held,) = list(held_orders())
    assert (held.dependency, held.works) == ("account:desk", True)
