"""Each kind of bad bar that a scenario sends is kept aside by the rules alone, whatever the stack does."""

import random
from datetime import UTC, datetime

import pytest

from brokers.adapters.alpaca.market_data import _bar
from config.chaos.faults.market_data import BAD, BEFORE
from reconciliation.core.bars import stamp_text
from reconciliation.core.deliveries import Delivery
from reconciliation.core.timeframes import Timeframe
from reconciliation.models import Bar, QuestionableBar
from reconciliation.services.market_data.calendars import calendar_between
from reconciliation.services.market_data.intake import Origin, Source, take_deliveries
from reconciliation.services.market_data.partitions import forget_partitions
from tests.reconciliation.market import Minute, walk
from tests.reconciliation.services.market_data.making import series_called

pytestmark = pytest.mark.django_db
BARS = walk(random.Random(3), BEFORE + 1)


@pytest.fixture(autouse=True, scope="module")
def calendar_at_hand() -> None:
    calendar_between("XNAS", BARS[0].stamp, BARS[0].stamp)


def row(bar: Minute) -> dict[str, object]:
    return {"t": stamp_text(bar.stamp), **dict(zip("ohlcv", bar.numbers, strict=True))}


def take(*rows: object) -> None:
    now = datetime.fromtimestamp(BARS[-1].stamp + 61, UTC)
    given = [_bar("S", one) for one in rows]
    source = Source("sim-a", Origin.STREAM, late_seconds=86_400)
    take_deliveries(source, Timeframe.MINUTE, [Delivery(one.symbol, one.given) for one in given], now=now)


@pytest.mark.parametrize("way", list(BAD))
def test_it_is_held_and_changes_no_bar(way: str) -> None:
    forget_partitions()
    series_called("S")
    take(*(row(bar) for bar in BARS[:-1]))
    before = list(Bar.objects.values_list("opened_at", "close", "high"))
    assert len(before) == BEFORE

    take(BAD[way](row(BARS[-1]), row(BARS[-2])))
    assert list(Bar.objects.values_list("opened_at", "close", "high")) == before
    assert QuestionableBar.objects.filter(source="sim-a").count() == 1
