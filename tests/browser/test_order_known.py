"""An order as it was known, in a browser."""

import os
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone

from brokers.core.orders import Side
from brokers.core.reports import FillReport, OrderReport, ReportedStatus
from brokers.models import Order
from brokers.selectors.history import read_events
from brokers.services.accounts import forget_accounts
from brokers.services.order_statements import mark_sending, record_acknowledged
from brokers.services.submission import OrderSubmission, accept_order
from brokers.services.synchronization import record_evidence

pytestmark = pytest.mark.django_db(transaction=True)

BODY: dict[str, Any] = {"symbol": "AAPL", "side": "buy", "quantity": "10", "type": "limit", "limit_price": "99.5"}


@pytest.fixture
def filled(desk: Any) -> Iterator[Order]:
    """An order that was sent, acknowledged and filled in part."""
    forget_accounts()
    desk["account"].__class__.objects.update(is_default=True)
    order_id = accept_order(owner_id=desk["person"].pk, actor="night", submission=OrderSubmission("known", BODY)).id
    order = Order.objects.get(pk=order_id)
    with transaction.atomic():
        mark_sending({order_id: {"attempt": 1, "fence": 1}})
    report = OrderReport(
        order.client_order_id, "b-77", ReportedStatus.WORKING, "AAPL", Side.BUY, Decimal(0), reported_at=timezone.now()
    )
    with transaction.atomic():
        record_acknowledged([(order_id, report)])
    fill = FillReport(
        "x-1", "b-77", "AAPL", Side.BUY, Decimal(4), Decimal("99.25"), timezone.now(), cumulative_quantity=Decimal(4)
    )
    with transaction.atomic():
        record_evidence(order.account_id, [], [fill], "stream")
    yield order
    forget_accounts()


def test_an_order_is_shown_as_it_was_known(screen: Any, desk: Any, filled: Order) -> None:
    screen.goto(f"{desk['url']}/admin/brokers/order/{filled.pk}/change/")
    screen.get_by_role("link", name="As it was known at an instant").click()
    page = screen.locator("main")
    assert "partially filled" in page.inner_text()
    if os.environ.get("STANCHION_SHOTS"):
        screen.screenshot(path=os.environ["STANCHION_SHOTS"], full_page=True)

    screen.get_by_label("As we knew it at").fill(read_events(filled.pk)[1].recorded_at.isoformat())
    screen.get_by_role("button", name="Show").click()

    screen.get_by_text("2 events recorded by then, 2 later").wait_for()
    text = page.inner_text()
    assert "sending" in text
    assert "partially filled" not in text


def test_what_is_no_instant_says_so(screen: Any, desk: Any, filled: Order) -> None:
    screen.goto(f"{desk['url']}/admin/brokers/order/{filled.pk}/known/?at=yesterday")

    assert "That is no instant" in screen.locator("main").inner_text()


def test_an_order_whose_events_make_none_is_told(screen: Any, desk: Any) -> None:
    screen.goto(f"{desk['url']}/admin/brokers/order/{desk['order'].pk}/known/")

    assert "Its events make no order beyond this point" in screen.locator("main").inner_text()
