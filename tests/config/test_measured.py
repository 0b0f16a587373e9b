"""What trials measured ends in one result file, also when it takes several runs of one commit."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import cast
from unittest.mock import Mock

import pytest

from benchmarks import evidence
from config.chaos.measurements import Measurement
from tests import measured


def trial(scenario: str) -> Measurement:
    return Measurement(scenario, 150, 1, 0, 0, 0, 0, 150, 0.3, 3.0, 0.6, [0.2], [0.4], 900.0)


def scenarios(path: Path) -> list[str]:
    return [row["scenario"] for row in json.loads(path.read_text())["results"]]


def test_a_second_run_of_the_same_commit_adds_to_the_file(tmp_path: Path) -> None:
    path = tmp_path / "acceptance.json"
    measured.add_to_evidence(path, "Redis", [trial("killed")])
    measured.add_to_evidence(path, "Redis", [trial("stopped")])
    assert scenarios(path) == ["killed", "stopped"]


def test_of_processes_side_by_side_one_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "acceptance.json"
    monkeypatch.setenv("STANCHION_ACCEPTANCE_JSON", str(path))
    monkeypatch.setattr(measured, "_measured", [trial("killed")])
    screen, options = Mock(), {"getoption": Mock(return_value=False)}
    measured.pytest_terminal_summary(screen, cast(pytest.Config, SimpleNamespace(workerinput={}, **options)))
    assert not path.exists()
    measured.pytest_terminal_summary(screen, cast(pytest.Config, SimpleNamespace(**options)))
    assert scenarios(path) == ["killed"]


def test_another_carrier_of_messages_or_another_commit_begins_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "acceptance.json"
    measured.add_to_evidence(path, "Redis", [trial("killed")])
    measured.add_to_evidence(path, "RabbitMQ", [trial("stopped")])
    assert scenarios(path) == ["stopped"]
    monkeypatch.setattr(evidence, "_commit", lambda: "another")
    measured.add_to_evidence(path, "RabbitMQ", [trial("frozen")])
    assert scenarios(path) == ["frozen"]
