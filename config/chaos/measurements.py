"""What the trials of a run measured, and the table of it."""

from collections.abc import Sequence
from dataclasses import dataclass

_COLUMNS = "{:<44} {:>6} {:>7} {:>5} {:>7} {:>7} {:>7} {:>7} {:>9} {:>10} {:>11} {:>10}"


@dataclass
class Measurement:
    """One trial in numbers.

    ``detection_seconds`` holds, per killed process that had a pulse, the time until it was seen
    dead; ``handed_on_seconds``, per one that held jobs, the time until others could take them.
    ``memory_at_rest_mb`` is what all processes of the stack hold before the trial's first order, shared pages once.
    """

    scenario: str
    orders: int
    strikes: int
    lost: int
    doubled: int
    unknown: int
    differing: int
    filled: int
    longest_wait_seconds: float
    healthy_seconds: float
    settled_seconds: float
    detection_seconds: list[float]
    handed_on_seconds: list[float]
    memory_at_rest_mb: float


MEASURED: list[Measurement] = []


def record(measurement: Measurement) -> None:
    MEASURED.append(measurement)
    print(f"  {measurement}")


def table(measured: Sequence[Measurement]) -> list[str]:
    """Return the lines of the summary."""
    titles = "scenario,orders,strikes,lost,doubled,unknown,differs,wait s,healthy s,detected s,handed on s,at rest MB"
    lines = [_COLUMNS.format(*titles.split(","))]
    for row in measured:
        detected, handed_on = (
            f"{max(values):.2f}" if values else "" for values in (row.detection_seconds, row.handed_on_seconds)
        )
        counts = (row.orders, row.strikes, row.lost, row.doubled, row.unknown, row.differing)
        times = (f"{row.longest_wait_seconds:.2f}", f"{row.healthy_seconds:.2f}", detected, handed_on)
        memory = f"{row.memory_at_rest_mb:.0f}"
        lines.append(_COLUMNS.format(row.scenario, *counts, *times, memory))
    total = sum(row.orders for row in measured)
    return [*lines, f"{total} orders, {sum(row.strikes for row in measured)} strikes"]
