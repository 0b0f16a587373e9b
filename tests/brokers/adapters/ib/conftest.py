"""One gateway for all tests here, without trouble at the start of each."""

import pytest

from tests.brokers.adapters.ib.gateway import running_gateway


@pytest.fixture(scope="package")
def _running(tmp_path_factory):
    with running_gateway(tmp_path_factory.mktemp("ib")) as running:
        yield running


@pytest.fixture
def gateway(_running):
    _running.clear()
    yield _running
    _running.clear()


@pytest.fixture
def terms(gateway):
    return gateway.counterpart.resting_terms()
