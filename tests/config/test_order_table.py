"""The table of the order benchmark says how fast the machine was in the turns behind its figures."""

import io

from rich.console import Console

from benchmarks.measure import fixed_loop_ms
from benchmarks.order_table import orders_table


def test_the_speed_of_the_machine_stands_beside_the_figures() -> None:
    result = {
        "contender": "stanchion",
        "name": "the product",
        "round": 1,
        "fast": {"orders_per_second": 1000.0, "cpu": 1.0, "noise": 0.0},
        "slow": {"orders_per_second": 900.0},
        "drain_per_second": 2000.0,
        "slow_drain_per_second": 1500.0,
        "paced_ms": [5.0],
        "durable_ms": [4.0],
        "duplicates": 0,
        "fixed_loop_ms": {"before": 11.5, "after": 23.0},
    }
    console = Console(file=io.StringIO(), width=250)
    console.print(orders_table([result]))
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert "fixed loop" in text
    assert "11.5-23.0" in text
    assert fixed_loop_ms() > 0
