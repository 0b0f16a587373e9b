"""What the trials of a run measured: printed, and written to the file that STANCHION_ACCEPTANCE_JSON names."""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

_COLUMNS = "{:<44} {:>6} {:>7} {:>4} {:>7} {:>7} {:>7} {:>9} {:>9} {:>10}"


@dataclass
class Measurement:
    """One trial in numbers. ``detection_seconds`` holds one number per process that was killed or frozen."""

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
    began_at: str


MEASURED: list[Measurement] = []


def record(measurement: Measurement) -> None:
    MEASURED.append(measurement)
    print(f"  {measurement}")


def table() -> list[str]:
    """Return the lines of the summary."""
    head = (
        "scenario",
        "orders",
        "strikes",
        "lost",
        "doubled",
        "unknown",
        "differs",
        "wait s",
        "healthy s",
        "detected s",
    )
    lines = [_COLUMNS.format(*head)]
    for row in MEASURED:
        detected = f"{max(row.detection_seconds):.2f}" if row.detection_seconds else ""
        counts = (row.orders, row.strikes, row.lost, row.doubled, row.unknown, row.differing)
        times = (f"{row.longest_wait_seconds:.2f}", f"{row.healthy_seconds:.2f}", detected)
        lines.append(_COLUMNS.format(row.scenario, *counts, *times))
    total = sum(row.orders for row in MEASURED)
    return [*lines, f"{total} orders, {sum(row.strikes for row in MEASURED)} strikes"]


def write() -> None:
    path = os.environ.get("STANCHION_ACCEPTANCE_JSON")
    if path:
        Path(path).write_text(json.dumps([asdict(row) for row in MEASURED], indent=1))
