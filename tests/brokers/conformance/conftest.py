"""One broker per adapter for the whole suite, without trouble at the start of each test."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest

from brokers.adapters.interface import BrokerSession
from tests.brokers.conformance.counterpart import ConformanceTarget, Counterpart
from tests.brokers.conformance.targets import TARGETS
from tests.patience import PATIENCE_SECONDS


@pytest.fixture(scope="session", params=TARGETS, ids=lambda target: target.name)
def target(request: pytest.FixtureRequest) -> ConformanceTarget:
    return request.param


@pytest.fixture(scope="session")
def _running(target: ConformanceTarget, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Counterpart]:
    with target.launch(tmp_path_factory.mktemp(target.name)) as counterpart:
        yield counterpart


@pytest.fixture
def counterpart(_running: Counterpart) -> Iterator[Counterpart]:
    _running.clear_trouble()
    yield _running
    _running.thaw()
    _running.clear_trouble()


@pytest.fixture
def with_session(target: ConformanceTarget, counterpart: Counterpart) -> Callable[..., Any]:
    """Return a function that runs a coroutine function on an open session, and closes it afterwards.

    Silence of a stream is borne for long unless a test is about it: a busy machine must not look like a dead broker.
    """

    def run(body: Callable[[BrokerSession], Awaitable[Any]], **settings: Any) -> Any:
        async def opened() -> Any:
            own = replace(counterpart.settings, silence_timeout_seconds=PATIENCE_SECONDS)
            session = target.adapter.open_session(replace(own, **settings))
            try:
                return await body(session)
            finally:
                await session.close()

        return asyncio.run(opened())

    return run


@pytest.fixture
def client_order_id() -> str:
    return f"st-{uuid4().hex[:26]}"
