"""Fixtures that tests of several apps share."""

from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest
from django.db import connection
from hypothesis import settings

from brokers.adapters import registry
from brokers.models import Account, Broker
from brokers.services import sessions
from brokers.services.accounts import forget_accounts
from brokers.services.halts import forget_halts
from reliability.services.background import background
from reliability.services.circuits import link
from reliability.services.circuits.registry import get_runtime
from reliability.services.error_guesses import counter
from reliability.services.error_recorder import errors
from reliability.services.jobs import kinds
from reliability.services.limits import store
from reliability.services.transition_records import recorder
from tests.factories import make_lanes
from tests.fakes import Deed, FakeBroker, replaced_runtimes

_TAKE_LONG = ("tests/security/test_any_request.py", "tests/browser/", "tests/chaos/test_scenarios.py")

# A busy machine makes any example slow; only what an example shows may fail a test.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")


@pytest.fixture(scope="session")
def django_db_modify_db_settings(django_db_modify_db_settings: None) -> None:
    """A test may think within its transaction for as long as a busy machine makes it."""
    options = connection.settings_dict["OPTIONS"]
    options["options"] += " -c idle_in_transaction_session_timeout=0"


@pytest.fixture(scope="session")
def django_db_setup(request: pytest.FixtureRequest, django_db_setup: None, django_db_blocker: Any) -> None:
    """Tests with transactions of their own empty every table afterwards, also those that refuse it."""
    request.config.stash[_BLOCKER] = django_db_blocker
    with django_db_blocker.unblock(), connection.cursor() as cursor:
        cursor.execute(
            "SELECT t.tgrelid::regclass::text, t.tgname FROM pg_trigger t WHERE t.tgname LIKE '%\\_no\\_truncate'"
        )
        for table, trigger in cursor.fetchall():
            cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER {trigger}")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take minutes, so that no process is left alone with one at the end."""
    items.sort(key=lambda item: not item.nodeid.startswith(_TAKE_LONG))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> Iterator[None]:
    """A test with transactions of its own empties every table; the next one finds the lanes as after a migration."""
    result = yield
    if nextitem is not None and _has_own_transactions(item):
        with item.session.config.stash[_BLOCKER].unblock():
            make_lanes()
    return result


def _has_own_transactions(item: pytest.Item) -> bool:
    mark = item.get_closest_marker("django_db")
    return "transactional_db" in getattr(item, "fixturenames", ()) or bool(mark and mark.kwargs.get("transaction"))


_BLOCKER = pytest.StashKey[Any]()
_numbers = count(1)


@pytest.fixture(autouse=True, scope="session")
def quiet_end() -> Iterator[None]:
    """The threads that share circuits and limits end before the servers of the tests do."""
    yield
    store.get_store().close()
    for runtime in (get_runtime(), *replaced_runtimes):
        runtime.stop()


@pytest.fixture(autouse=True)
def patient_circuits(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine busy with tests may take longer than 50 ms to ask Valkey; only tests of just that insist."""
    if request.node.get_closest_marker("prompt_store"):
        return
    for name in ("STEP_SECONDS", "PATIENCE_SECONDS", "FIRST_STEP_SECONDS"):
        monkeypatch.setattr(link, name, 5.0)  # the first one stays the longest, by its margin
    monkeypatch.setattr(store, "TRIP_SECONDS", 5.0)


@pytest.fixture(autouse=True)
def quick_passwords(settings: Any) -> None:
    """Making a user takes no time; what protects passwords is Django's."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture(autouse=True, scope="session")
def no_background() -> Iterator[None]:
    """No thread writes or reads rows behind the tests; those about it call ``run_once`` or make their own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(background, "start", lambda: None)
        yield


@pytest.fixture(autouse=True)
def nothing_noted() -> None:
    """What earlier tests left to be written is forgotten."""
    recorder._waiting.clear()
    counter._tallies.clear()
    errors._kinds.clear()


@pytest.fixture
def deed(monkeypatch: pytest.MonkeyPatch) -> Deed:
    """A registered kind of job that does what each test says."""
    kind = Deed()
    monkeypatch.setitem(kinds._KINDS, kind.name, kind)
    return kind


@pytest.fixture(autouse=True)
def fresh_halts() -> Iterator[None]:
    """No test is stopped by the kill switch of an earlier one."""
    forget_halts()
    yield
    forget_halts()


@pytest.fixture
def fresh_accounts() -> Iterator[None]:
    """What is kept of accounts and sessions is of this test alone."""
    forget_accounts()
    sessions._sessions.clear()
    yield
    forget_accounts()
    sessions._sessions.clear()


@pytest.fixture
def broker(monkeypatch: pytest.MonkeyPatch, fresh_accounts: None) -> FakeBroker:
    fake = FakeBroker()
    monkeypatch.setitem(registry._ADAPTERS, fake.name, fake)
    return fake


@pytest.fixture
def account(db: None, broker: FakeBroker) -> Account:
    """The default account, at the broker in memory; a broker of this test alone has circuits of its own."""
    row = Broker.objects.create(name=f"fake-{next(_numbers)}", adapter="fake", base_url="http://127.0.0.1:9")
    return Account.objects.create(name="desk", broker=row, is_default=True)


@pytest.fixture
def committed(transactional_db: Any) -> None:
    """Transactions are real, so other connections see what is written; the lanes are there as after a migration."""
    make_lanes()
