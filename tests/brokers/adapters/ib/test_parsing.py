"""Terms, addresses and cursors of Interactive Brokers, and what its client library's objects become."""

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ib_async.contract import Contract
from ib_async.objects import Execution
from ib_async.order import Order, OrderState

from brokers.adapters.errors import BrokerCallError
from brokers.adapters.ib import errors, parsing
from brokers.adapters.ib.address import read_account_number, read_address
from brokers.adapters.ib.known_orders import KnownOrder
from brokers.adapters.ib.pacing import Pace
from brokers.adapters.interface import AccountSettings
from brokers.core.orders import OrderTerms, OrderType, Side, TimeInForce
from brokers.core.reports import ReportedStatus
from reliability.core.classification import Operation
from reliability.core.taxonomy import FailureKind

START = datetime(2026, 3, 2, 14, 30, tzinfo=UTC)
AAPL = Contract(conId=1, symbol="AAPL", secType="STK", exchange="SMART", currency="USD", localSymbol="AAPL")
amounts = st.decimals("0.0001", "1000000", places=4)
executions = st.builds(
    lambda number, second, quantity, revision: Execution(
        execId=f"0000e0d5.{number:08x}.01.{revision:02d}",
        time=START + timedelta(seconds=second),
        acctNumber="DU1",
        side="BOT",
        shares=float(quantity),
        price=1.5,
        permId=7,
        cumQty=float(quantity),
        orderRef="st-a",
    ),
    st.integers(0, 40),
    st.integers(0, 5),
    amounts,
    st.integers(1, 3),
)


def _settings(**credentials):
    return AccountSettings("paper", "", "", credentials)


# -- addresses --------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["tcp", "http", "ws"])
def test_an_address_says_where_and_as_whom(scheme):
    text = f"{scheme}://gateway.internal:4002/x?client_ids=10-12&master_client_id=5&messages_per_second=100"

    address = read_address(_settings(), text)

    assert (address.host, address.port) == ("gateway.internal", 4002)
    assert (list(address.client_ids), address.master_client_id) == ([10, 11, 12], 5)
    assert address.messages_per_second == 100


def test_what_an_address_leaves_out_has_a_default():
    address = read_address(_settings(), "tcp://127.0.0.1")

    assert (address.port, address.client_ids, address.master_client_id) == (4001, range(100, 164), 99)
    assert (address.messages_per_second, address.standby_client_ids) == (45, range(164, 228))


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("client_ids=10-12", range(13, 16)),
        ("client_ids=97-98", range(99, 99)),
        ("client_ids=10-12&standby_client_ids=none", range(0)),
        ("client_ids=10-12&standby_client_ids=500-501", range(500, 502)),
    ],
)
def test_the_ids_that_stand_by_follow_those_of_the_sessions_unless_they_are_given(options, expected):
    assert read_address(_settings(), f"tcp://127.0.0.1?{options}").standby_client_ids == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "127.0.0.1:4001",
        "https://127.0.0.1:4001",
        "tcp://user:password@127.0.0.1:4001",
        "tcp://127.0.0.1:99999",
        "tcp://127.0.0.1:4001?client_ids=9-3",
        "tcp://127.0.0.1:4001?client_ids=0-3",
        "tcp://127.0.0.1:4001?client_ids=1-100000",
        "tcp://127.0.0.1:4001?client_ids=90-110",
        "tcp://127.0.0.1:4001?clients=4",
        "tcp://127.0.0.1:4001?client_ids=100-110&standby_client_ids=110-120",
        "tcp://127.0.0.1:4001?client_ids=100-110&standby_client_ids=90-99",
        "tcp://127.0.0.1:4001?messages_per_second=0",
        "tcp://127.0.0.1:4001?messages_per_second=fast",
    ],
)
def test_an_unusable_address_is_named_as_such(text):
    with pytest.raises(BrokerCallError) as caught:
        read_address(_settings(), text)

    assert (caught.value.kind, caught.value.code) == (FailureKind.TRANSIENT, "SYSTEM_ACCOUNT_MISCONFIGURED")


def test_the_account_number_is_the_key_and_may_be_missing():
    assert read_account_number(_settings(api_key="U1", api_secret="x")) == "U1"
    assert read_account_number(_settings(account_number="U2", api_key="U1")) == "U2"
    assert read_account_number(_settings()) == ""
    with pytest.raises(BrokerCallError):
        read_account_number(_settings(api_key="U1; drop"))


# -- terms ------------------------------------------------------------------------------------


@pytest.mark.parametrize("symbol", ["AAPL", "BRK.B", "BTC/USD"])
def test_a_symbol_survives_the_way_there_and_back(symbol):
    assert parsing.symbol_of(parsing.contract_for(symbol)) == symbol


@pytest.mark.parametrize(("kind", "currency"), [("FUT", "USD"), ("OPT", "USD"), ("STK", "EUR")])
def test_what_we_cannot_name_is_never_taken_for_a_stock_of_ours(kind, currency):
    symbol = parsing.symbol_of(Contract(symbol="AAPL", secType=kind, currency=currency, localSymbol="AAPL"))

    with pytest.raises(BrokerCallError):
        parsing.contract_for(symbol)


@given(quantity=amounts, price=amounts)
def test_numbers_leave_as_they_were_written_and_come_back_equal(quantity, price):
    terms = OrderTerms(
        "AAPL", Side.SELL, OrderType.STOP_LIMIT, TimeInForce.GTC, quantity, limit_price=price, stop_price=price
    )

    order = parsing.order_for("st-a", terms, "DU1")

    assert "E" not in order.totalQuantity.upper()
    assert [parsing.decimal(float(order.totalQuantity)), parsing.decimal(float(order.lmtPrice))] == [quantity, price]
    assert (order.action, order.orderType, order.tif, order.orderRef) == ("SELL", "STP LMT", "GTC", "st-a")


@pytest.mark.parametrize("client_order_id", ["", "a b", "x" * 41, "nul\0", "ümlaut"])
def test_an_id_that_the_tag_cannot_carry_is_refused(client_order_id):
    terms = OrderTerms("AAPL", Side.BUY, OrderType.MARKET, TimeInForce.DAY, quantity=Decimal(1))

    with pytest.raises(BrokerCallError) as caught:
        parsing.order_for(client_order_id, terms, "DU1")

    assert caught.value.kind is FailureKind.REJECTED


def test_an_endless_number_is_refused():
    terms = OrderTerms("AAPL", Side.BUY, OrderType.MARKET, TimeInForce.DAY, quantity=Decimal("Infinity"))

    with pytest.raises(BrokerCallError):
        parsing.order_for("st-a", terms, "DU1")


# -- orders -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "filled", "expected"),
    [
        ("PendingSubmit", 0.0, ReportedStatus.WORKING),
        ("PreSubmitted", 0.0, ReportedStatus.WORKING),
        ("Submitted", 0.0, ReportedStatus.WORKING),
        ("Submitted", 1.0, ReportedStatus.PARTIALLY_FILLED),
        ("PendingCancel", 1.0, ReportedStatus.PARTIALLY_FILLED),
        ("Inactive", 0.0, ReportedStatus.WORKING),
        ("SomethingNew", 0.0, ReportedStatus.WORKING),
        ("Cancelled", 1.0, ReportedStatus.CANCELED),
        ("ApiCancelled", 0.0, ReportedStatus.CANCELED),
        ("Filled", 4.0, ReportedStatus.FILLED),
    ],
)
def test_a_listed_order_has_ended_only_when_it_says_so(status, filled, expected):
    order = Order(permId=7, action="BUY", orderType="LMT", lmtPrice=1.5, totalQuantity=4.0, orderRef="st-a")

    report = parsing.open_order_report(KnownOrder(7, 100, 1, AAPL, order, status, filled, 1.5))

    assert (report.status, report.filled_quantity, report.quantity) == (expected, Decimal(filled), 4)
    assert report.cancel_pending is (status == "PendingCancel")


def test_a_listed_order_without_its_permanent_id_makes_the_list_unusable():
    with pytest.raises(parsing.ParseError):
        parsing.open_order_report(KnownOrder(0, 100, 1, AAPL, Order(action="BUY", orderRef="st-a"), "PendingSubmit"))


@pytest.mark.parametrize(
    ("status", "text", "expected"),
    [
        ("Filled", "Filled Size: 4", ReportedStatus.FILLED),
        ("Cancelled", "Cancelled by Trader", ReportedStatus.CANCELED),
        ("Cancelled", "Order expired", ReportedStatus.EXPIRED),
        ("Inactive", "Rejected", ReportedStatus.REJECTED),
    ],
)
def test_a_completed_order_is_final(status, text, expected):
    order = Order(permId=7, action="SELL", orderType="MKT", totalQuantity=0.0, filledQuantity=4.0, orderRef="st-a")

    report = parsing.completed_order_report(AAPL, order, OrderState(status=status, completedStatus=text))

    assert (report.status, report.filled_quantity, report.side) == (expected, 4, Side.SELL)
    assert report.quantity == (4 if expected is ReportedStatus.FILLED else None)


def test_a_completed_order_in_a_status_nobody_knows_is_not_believed():
    with pytest.raises(parsing.ParseError):
        parsing.completed_order_report(AAPL, Order(permId=7, action="BUY"), OrderState(status="Submitted"))


# -- executions -------------------------------------------------------------------------------


def _fills(rows):
    return [parsing.fill_report(AAPL, row) for row in rows]


@given(rows=st.lists(executions, max_size=30), cut=st.integers(0, 30))
def test_reading_on_from_any_fill_gives_exactly_the_rest(rows, cut):
    everything = parsing.fills_after("", _fills(rows))
    cut = min(cut, len(everything))
    cursor = everything[cut - 1].cursor if cut else ""

    rest = parsing.fills_after(cursor, _fills(rows))

    assert rest == everything[cut:]
    assert [fill.executed_at for fill in everything] == sorted(fill.executed_at for fill in everything)
    assert len({fill.execution_id for fill in everything}) == len(everything)


@given(rows=st.lists(executions, min_size=1, max_size=30))
def test_the_time_asked_from_is_never_after_the_cursors_own_second(rows):
    for fill in _fills(rows):
        asked = datetime.strptime(parsing.cursor_time(fill.cursor), "%Y%m%d-%H:%M:%S").replace(tzinfo=UTC)
        assert fill.executed_at - timedelta(seconds=2) <= asked < fill.executed_at


def test_a_correction_is_the_same_execution_again():
    first = Execution("a.b.01.01", START, "DU1", side="BOT", shares=1.0, price=2.0, permId=7, cumQty=1.0)
    corrected = Execution("a.b.01.02", START, "DU1", side="BOT", shares=1.0, price=2.5, permId=7, cumQty=1.0)

    (fill,) = parsing.fills_after("", _fills([first, corrected]))

    assert (fill.execution_id, fill.price) == ("a.b.01", Decimal("2.5"))


@pytest.mark.parametrize("cursor", ["x", "20260302-14:30:00", "2026-03-02T14:30:00Z/a", "20261302-14:30:00/a", "/"])
def test_a_cursor_of_another_broker_is_refused(cursor):
    with pytest.raises(BrokerCallError) as caught:
        parsing.cursor_time(cursor)

    assert caught.value.kind is FailureKind.REJECTED


@pytest.mark.parametrize("change", [{"side": "?"}, {"permId": 0}, {"execId": ""}, {"shares": float("nan")}])
def test_an_execution_that_lacks_what_identifies_it_is_not_believed(change):
    fields = {"execId": "a.b.01.01", "time": START, "side": "BOT", "shares": 1.0, "price": 2.0, "permId": 7}

    with pytest.raises(parsing.ParseError):
        parsing.fill_report(AAPL, Execution(**{**fields, **change}))


def test_an_account_summary_without_a_value_is_not_believed():
    with pytest.raises(parsing.ParseError):
        parsing.account_report("DU1", {"NetLiquidation": ("1", "USD")})


# -- what failures prove ------------------------------------------------------------------------


@given(code=st.integers(100, 11_000), text=st.text(max_size=60))
def test_no_error_code_alone_ever_settles_a_submission_or_a_cancel(code, text):
    for operation in (Operation.SUBMIT, Operation.CANCEL):
        assert errors.call_error(operation, errors.ApiError(code, text)).kind is FailureKind.AMBIGUOUS


@given(code=st.integers(100, 11_000), text=st.text(max_size=60))
def test_a_query_that_failed_is_never_a_refusal(code, text):
    assert errors.call_error(Operation.QUERY, errors.ApiError(code, text)).kind is FailureKind.TRANSIENT


@pytest.mark.parametrize(
    ("failure", "code"),
    [
        (ConnectionRefusedError(111, "refused"), "NETWORK_CONNECT_REFUSED"),
        (TimeoutError(), "TIMEOUT_CONNECT"),
        (OSError(113, "no route"), "NETWORK_UNREACHABLE"),
        (OSError(110, "timed out"), "TIMEOUT_CONNECT"),
        (errors.ClientIdInUseError(7), "AUTH_SESSION_CONFLICT"),
        (ValueError("what"), "SYSTEM_ADAPTER_FAILURE"),
    ],
)
def test_a_connection_that_did_not_come_about_proves_that_nothing_was_sent(failure, code):
    error = errors.connect_error(failure)

    assert (error.kind, error.code) == (FailureKind.TRANSIENT, code)


# -- pace -------------------------------------------------------------------------------------


@given(per_second=st.integers(1, 50), steps=st.lists(st.floats(0, 0.5), min_size=1, max_size=200))
def test_no_second_ever_sees_more_than_twice_the_pace_and_none_after_the_first_burst_more_than_the_pace(
    per_second, steps
):
    pace, now, sent = Pace(per_second), 0.0, []
    for step in steps:
        now += step
        wait = pace.reserve(now, 10.0)
        if wait is not None:
            assert 0 <= wait <= 10.0
            sent.append(now + wait)

    assert sent == sorted(sent)
    for index, first in enumerate(sent):
        window = [at for at in sent[index:] if at < first + 1.0 - 1e-9]
        assert len(window) <= 2 * per_second
    for first, last in zip(sent, sent[per_second * 2 :], strict=False):
        assert last - first >= 1.0 - 1e-6


def test_who_would_wait_too_long_takes_no_place():
    pace = Pace(1)
    assert pace.reserve(0.0, 5.0) == 0.0
    assert pace.reserve(0.0, 0.5) is None
    assert pace.reserve(0.0, 5.0) == pytest.approx(1.0)


def test_importing_the_registry_imports_no_client_library():
    check = (
        "import sys, brokers.adapters.registry as registry;"
        "assert 'ib' in registry.adapter_names();"
        "assert 'ib_async' not in sys.modules;"
        "registry.get_adapter('ib');"
        "assert 'ib_async' in sys.modules and 'nest_asyncio' not in sys.modules"
    )
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0


def test_a_report_of_executions_alone_claims_no_more_than_they_show():
    rows = [
        Execution("a.b.01.01", START, "DU1", side="BOT", shares=1.0, price=2.0, permId=7, cumQty=1.0),
        Execution("a.c.01.01", START, "DU1", side="BOT", shares=2.0, price=2.0, permId=7, cumQty=3.0),
    ]

    report = parsing.executed_order_report(_fills(rows))

    assert (report.status, report.filled_quantity) == (ReportedStatus.PARTIALLY_FILLED, 3)
    assert report.quantity is None
    assert report.broker_order_id == "7"
