"""A failed call can be counted by what it means, in any process it is handed to."""

import pickle

import pytest

from brokers.adapters.errors import BrokerCallError
from reliability.core.classification import Operation
from reliability.core.taxonomy import ErrorCategory, FailureKind


@pytest.mark.parametrize(
    ("kind", "code", "category", "retryable", "ambiguous"),
    [
        (FailureKind.REJECTED, "BROKER_INSUFFICIENT_FUNDS", ErrorCategory.BROKER, False, False),
        (FailureKind.AMBIGUOUS, "TIMEOUT_READ", ErrorCategory.TIMEOUT, True, True),
        (FailureKind.TRANSIENT, "NETWORK_CONNECT_REFUSED", ErrorCategory.NETWORK, True, False),
        (FailureKind.THROTTLED, "RATE_LIMIT_EXCEEDED", ErrorCategory.RATE_LIMIT, True, False),
        (FailureKind.TRANSIENT, "TIMEOUT_GATEWAY", ErrorCategory.TIMEOUT, True, False),
    ],
)
def test_a_call_error_tells_its_classification_after_a_journey(kind, code, category, retryable, ambiguous):
    error = BrokerCallError(kind, code, "as planned", "403/40310000", 2.0)

    arrived = pickle.loads(pickle.dumps(error))
    found = arrived.classified("alpaca_rest", Operation.SUBMIT)

    assert arrived.category is category
    assert (found.category, found.retryable, found.ambiguous) == (category, retryable, ambiguous)
    assert found.kind is kind
    assert (found.raw.raw_code, found.raw.message, found.retry_after_seconds) == ("403/40310000", "as planned", 2.0)
