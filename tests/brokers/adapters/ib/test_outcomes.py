"""Whatever goes wrong: one order a submission, and no outcome that the ledger denies."""

import asyncio

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from brokers.adapters.errors import BrokerCallError
from reliability.core.taxonomy import FailureKind

FAULTS = st.sampled_from(
    [
        None,
        {"kind": "drop_reply"},
        {"kind": "drop_request"},
        {"kind": "hang"},
        {"kind": "hang", "applied": False},
        {"kind": "ib_error", "code": 201, "message": "Order rejected - reason:margin"},
        {"kind": "ib_error", "code": 201, "message": "Order rejected - reason:margin", "status": "Inactive"},
        {"kind": "ib_error", "code": 201, "message": "Order rejected", "applied": True},
        {"kind": "ib_error", "code": 110, "message": "The price does not conform"},
        {"kind": "ib_error", "code": 321, "message": "Error validating request", "applied": True},
        {"kind": "ib_error", "code": 399, "message": "Order Message: held", "answered": True},
        {"kind": "ib_error", "code": 103, "message": "Duplicate order id"},
        {"kind": "wrong_data", "mode": "malformed"},
        {"kind": "wrong_data", "mode": "truncated"},
        {"kind": "wrong_data", "mode": "missing_fields"},
        {"kind": "wrong_data", "mode": "other_order"},
        {"kind": "rate_limit"},
        {"kind": "latency", "ms": 30},
        {"kind": "latency", "ms": 900, "applied": True},
    ]
)
_counter = iter(range(10**6))


@given(faults=st.lists(FAULTS, min_size=1, max_size=3))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_goes_wrong_an_order_is_sent_once_and_its_outcome_never_denies_what_the_ledger_has(
    gateway, terms, faults
):
    gateway.clear()
    for fault in faults:
        if fault is not None:
            gateway.fault(operation="submit", count=1, **fault)
    names = [f"st-any-{next(_counter)}" for _ in range(3)]

    async def body():
        async with gateway.session(call_timeout_seconds=0.7) as session:
            calls = (session.submit_order(name, terms) for name in names)
            return await asyncio.gather(*calls, return_exceptions=True)

    outcomes = asyncio.run(body())
    ledger = gateway.ledger()

    for name, outcome in zip(names, outcomes, strict=True):
        placed = len(ledger.orders_by_client_order_id.get(name, []))
        assert ledger.posts_seen[name] <= 1
        if isinstance(outcome, BrokerCallError):
            assert placed == 0 or outcome.kind is FailureKind.AMBIGUOUS
        else:
            assert (placed, outcome.client_order_id) == (1, name)
