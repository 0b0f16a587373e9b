"""Files of bars, and partitions that are made anew after each test's transaction is rolled back."""

from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from reconciliation.services.market_data.calendars import calendar_between
from reconciliation.services.market_data.partitions import forget_partitions


@pytest.fixture(autouse=True, scope="session")
def calendars_at_hand() -> None:
    """The library behind calendars is imported before a test's transaction begins, which would time out."""
    stamp = int(datetime(2024, 7, 8, tzinfo=UTC).timestamp())
    calendar_between("XNAS", stamp, stamp)


@pytest.fixture(autouse=True)
def fresh_partitions() -> Iterator[None]:
    forget_partitions()
    yield
    forget_partitions()


@pytest.fixture
def bar_file(tmp_path: Path) -> Callable[..., Path]:
    """Write a CSV file of bars at the given stamps, with plausible prices that wander a little."""

    def write(stamps: Iterable[int], name: str = "bars.csv") -> Path:
        lines = ["timestamp,open,high,low,close,volume"]
        for number, stamp in enumerate(stamps):
            price = 100 + (number * 7 % 11) / 100
            text = datetime.fromtimestamp(stamp, UTC).isoformat()
            lines.append(f"{text},{price},{price + 0.05:.2f},{price - 0.05:.2f},{price + 0.01:.2f},{1000 + number % 7}")
        path = tmp_path / name
        path.write_text("\n".join(lines) + "\n")
        return path

    return write
