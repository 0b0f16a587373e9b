"""A plugin of pytest: what tests on whole stacks measured, and what the stack of a failed one stood in.

Both travel with the reports of the tests, so that processes side by side end in one table. The file that
STANCHION_ACCEPTANCE_JSON names receives every measurement too; within one commit it grows, so that a second look,
or the long trials run by themselves, add to the others.
"""

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import pytest

from benchmarks.evidence import describe_machine, write_evidence
from config.chaos import measurements
from config.chaos.diagnosis import diagnose
from config.chaos.measurements import Measurement
from config.chaos.stack import Stack

_measured: list[Measurement] = []
_diagnoses: dict[str, list[str]] = {}


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    report: pytest.TestReport = yield
    while measurements.MEASURED:
        report.user_properties.append(("measured", asdict(measurements.MEASURED.pop(0))))
    if report.when == "call" and report.failed:
        for stack in getattr(item, "funcargs", {}).values():
            if isinstance(stack, Stack):
                report.user_properties.append(("diagnosis", diagnose(stack)))
    return report


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    for name, value in report.user_properties:
        if name == "measured" and isinstance(value, dict):
            _measured.append(Measurement(**value))
        elif name == "diagnosis" and isinstance(value, list):
            _diagnoses[report.nodeid] = value


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    for name, lines in _diagnoses.items():
        terminalreporter.section(f"the stack when {name.rpartition('::')[2]} failed")
        for line in lines:
            terminalreporter.write_line(line)
    if _measured:
        terminalreporter.section("measured by the acceptance tests")
        for line in measurements.table(_measured):
            terminalreporter.write_line(line)
        path = os.environ.get("STANCHION_ACCEPTANCE_JSON")
        if path and not hasattr(config, "workerinput"):  # processes side by side report to the one that writes
            carrier = "RabbitMQ" if config.getoption("--rabbitmq", default=False) else "Redis"
            add_to_evidence(Path(path), carrier, _measured)


def add_to_evidence(path: Path, carrier: str, measured: Sequence[Measurement]) -> None:
    """Write measurements, ``carrier`` having carried the messages; what the file has of the same commit stays in it."""
    parameters = {"messages": carrier}
    known = json.loads(path.read_text()) if path.exists() else {}
    is_same = known.get("parameters") == parameters and known["machine"]["commit"] == describe_machine()["commit"]
    rows = [*(known["results"] if is_same else ()), *(asdict(row) for row in measured)]
    write_evidence(path, "acceptance", parameters, rows)
