"""What must hold for any failure at all: nothing raises, and nothing unproven looks harmless."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brokers.adapters.ccxt.rules import CLASSES
from brokers.adapters.failure_rules import RESOLVERS
from brokers.adapters.failures.transport import judge_causes
from reliability.core.catalog import CATALOG
from reliability.core.classification import Operation, RawFailure
from reliability.core.rules import Proof
from reliability.services.classification import preview
from tests.brokers.adapters.corpus_rows import EFFECTFUL, is_ambiguous

effectful = st.sampled_from(sorted(EFFECTFUL))
words = st.sampled_from(
    ["insufficient buying power", "market is closed", "order not found", "forbidden", "connection refused",
     "client_order_id must be unique", "rate limit", "Account has insufficient balance", "under maintenance"]
)  # fmt: skip
texts = st.one_of(st.text(max_size=80), words, st.builds("{} {}".format, words, st.text(max_size=20)))
bodies = st.one_of(
    texts,
    st.dictionaries(
        st.sampled_from(["code", "message", "msg", "error", "success", "data"]),
        st.one_of(st.none(), st.booleans(), st.integers(), texts, st.lists(texts, max_size=2)),
    ).map(json.dumps),
    st.builds('{{"code": {}, "message": "{}"}}'.format, st.sampled_from([40310000, 42910000, -2010, -1013]), words),
)
pages = st.builds("<html><head><title>{0}</title></head><body>{1}</body></html>".format, texts, bodies)
raw_codes = st.one_of(
    st.text(max_size=20),
    st.integers(-5000, 12_000).map(str),
    st.builds("{}/{}".format, st.integers(100, 599), st.integers(-9999, 50_000_000) | st.just("-")),
    st.sampled_from(sorted(CLASSES)),
    st.sampled_from(["APIError", "RetryException", "ValueError", "KeyError", "ConnectionError", "TimeoutError"]),
)


@given(effectful, st.sampled_from(sorted(RESOLVERS)), st.sampled_from([408, 500, 502, 503, 504, 524]), pages)
def test_no_process_takes_a_server_error_page_for_a_refusal(operation, source, status, page):
    assert preview(RawFailure(source, operation, f"{status}/-", page, status)).ambiguous


@given(
    st.sampled_from(sorted(RESOLVERS)),
    st.sampled_from(list(Operation)),
    raw_codes,
    st.one_of(bodies, pages),
    st.none() | st.integers(100, 599),
    st.lists(st.tuples(texts, texts), max_size=3).map(tuple),
)
def test_no_failure_breaks_a_resolver_and_each_verdict_is_in_the_catalogue(
    source, operation, code, text, status, causes
):
    verdict = RESOLVERS[source](RawFailure(source, operation, code, text, status, causes=causes))

    assert verdict is None or verdict.code in CATALOG


@given(
    effectful,
    st.sampled_from([408, *range(500, 600)]),
    st.integers(40_000_000, 50_000_000) | st.just("-"),
    bodies | pages,
)
def test_a_failure_on_alpacas_side_never_settles_an_order(operation, status, code, body):
    verdict = RESOLVERS["alpaca_rest"](RawFailure("alpaca_rest", operation, f"{status}/{code}", body))

    assert is_ambiguous(verdict, operation)


@given(effectful, st.integers(400, 499).filter(lambda status: status != 429), pages)
def test_a_page_of_a_proxy_never_settles_an_order(operation, status, page):
    for source, code, text in (
        ("alpaca_rest", f"{status}/-", page),
        ("alpaca_sdk", "APIError", page),
        (
            "ccxt",
            "ExchangeNotAvailable",
            f"alpaca POST https://api.alpaca.markets/v2/orders {status} Some Reason {page}",
        ),
    ):
        verdict = RESOLVERS[source](RawFailure(source, operation, code, text, status))
        if source == "ccxt" and status == 418:
            continue  # the exchange's own word for a ban, whatever page comes with it
        assert is_ambiguous(verdict, operation), (source, verdict)


@given(effectful, st.sampled_from([500, 501, 502, 503, 504, 520, 522, 524]), pages)
def test_a_page_with_a_server_error_never_settles_an_order_at_binance(operation, status, page):
    verdict = RESOLVERS["binance"](RawFailure("binance", operation, str(status), page))

    assert is_ambiguous(verdict, operation)


@given(effectful, st.sampled_from(["-1000", "-1001", "-1006", "-1007"]), st.text())
def test_binances_unknown_outcomes_stay_unknown_whatever_the_text(operation, code, text):
    assert is_ambiguous(RESOLVERS["binance"](RawFailure("binance", operation, code, text)), operation)


@given(
    effectful,
    st.sampled_from(["NetworkError", "RequestTimeout", "ExchangeNotAvailable", "OperationFailed", "BadResponse",
                     "NullResponse", "BaseError", "ExchangeError", "ccxt.base.errors.RequestTimeout"]),
    st.from_regex(r"[a-z]{3,10} POST https://[a-z]{3,9}\.com/[a-z0-9/]{0,20}", fullmatch=True),
)  # fmt: skip
def test_a_class_of_ccxt_that_hides_what_was_sent_is_ambiguous(operation, name, text):
    assert is_ambiguous(RESOLVERS["ccxt"](RawFailure("ccxt", operation, name, text)), operation)


NOTICES = ["202", "399", "404", "1101", "1102", "2104", "2109", "2148", "10349"]
REFUSED_CANCELS = ["161", "10147", "10148"]
BROKEN_LINKS = ["507", "509", "512", "515", "1100", "2110"]
TROUBLE = ["100", "103", "321", "322"]


@given(effectful, st.sampled_from(NOTICES + REFUSED_CANCELS + BROKEN_LINKS + TROUBLE), st.text())
def test_no_notice_and_no_broken_link_of_interactive_brokers_settles_an_order(operation, code, text):
    assert is_ambiguous(RESOLVERS["ib"](RawFailure("ib", operation, code, text)), operation)


@given(st.sampled_from(sorted(RESOLVERS)), st.sampled_from(sorted(set(Operation) - EFFECTFUL)), raw_codes, bodies)
def test_what_has_no_effect_is_never_ambiguous(source, operation, code, text):
    verdict = RESOLVERS[source](RawFailure(source, operation, code, text))

    assert verdict is None or not is_ambiguous(verdict, operation)


@pytest.mark.parametrize(
    ("causes", "proof"),
    [
        (
            (("ConnectionError", "Max retries exceeded"), ("ConnectionRefusedError", "[Errno 111] refused")),
            Proof.NOT_SENT,
        ),
        ((("ClientConnectorError", "Cannot connect to host a:443"), ("gaierror", "[Errno -2]")), Proof.NOT_SENT),
        (
            (("ClientConnectorError", "Cannot connect"), ("OSError", "[Errno 101] Network is unreachable")),
            Proof.NOT_SENT,
        ),
        ((("ConnectionTimeoutError", "Connection timeout to host a"), ("TimeoutError", "")), Proof.NOT_SENT),
        ((("ClientOSError", "[Errno 104] reset"), ("ConnectionRefusedError", "[Errno 111]")), Proof.UNPROVEN),
        ((("ReadTimeout", "Read timed out."),), Proof.UNPROVEN),
        ((("ServerDisconnectedError", "Server disconnected"),), Proof.UNPROVEN),
        ((("ClientOSError", "[Errno 104] Connection reset by peer"),), Proof.UNPROVEN),
        ((("ConnectionError", "('Connection aborted.', RemoteDisconnected())"),), Proof.UNPROVEN),
    ],
)
@pytest.mark.parametrize("name", ["NetworkError", "ExchangeNotAvailable", "RequestTimeout"])
def test_a_wrapped_cause_tells_apart_what_ccxt_makes_alike(name, causes, proof):
    verdict = RESOLVERS["ccxt"](RawFailure("ccxt", Operation.SUBMIT, name, "binance POST https://a.b/c", causes=causes))

    assert verdict.proof is proof
    assert judge_causes(causes) == verdict
