"""Prometheus and Alertmanager beside an instance, from the files that production mounts."""

import os
import shutil
from pathlib import Path
from typing import Any

import yaml

from config.stack.instance import Instance
from config.stack.postgres import clean_environment
from config.stack.readiness import http_answers
from config.stack.spec import ProcessSpec

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
WEBHOOK = "STANCHION_ALERT_WEBHOOK"
"""Address the second path sends its alerts to; without it they are shown by Alertmanager alone."""


class ObserveError(Exception):
    """Prometheus or Alertmanager cannot be run here; the message is one line for the user."""


def observers(instance: Instance) -> tuple[ProcessSpec, ...]:
    """Return the processes of the second alarm path, their configuration written into the instance.

    Raises:
        ObserveError: a program is missing.
    """
    prometheus, alertmanager = _program("prometheus"), _program("prometheus-alertmanager", "alertmanager")
    folder = instance.directory / "observe"
    folder.mkdir(mode=0o700, exist_ok=True)
    _write_configuration(instance, folder)
    environment = clean_environment()
    return (
        ProcessSpec(
            name="alertmanager",
            argv=(
                alertmanager,
                f"--config.file={folder / 'alertmanager.yml'}",
                f"--storage.path={folder / 'alertmanager'}",
                f"--web.listen-address=127.0.0.1:{instance.ports['alertmanager']}",
                "--cluster.listen-address=",
            ),
            env=environment,
            ready=http_answers(instance.ports["alertmanager"], "/-/ready"),
            stop_seconds=2.0,
        ),
        ProcessSpec(
            name="prometheus",
            argv=(
                prometheus,
                f"--config.file={folder / 'prometheus.yml'}",
                f"--storage.tsdb.path={folder / 'prometheus'}",
                f"--web.listen-address=127.0.0.1:{instance.ports['prometheus']}",
                "--storage.tsdb.retention.time=7d",
            ),
            env=environment,
            after=("web", "alertmanager"),
            ready=http_answers(instance.ports["prometheus"], "/-/ready"),
            stop_seconds=3.0,
        ),
    )


def _program(*names: str) -> str:
    for name in names:
        found = shutil.which(name)
        if found:
            return found
    raise ObserveError(f"{names[0]} is not installed (Debian: apt install prometheus prometheus-alertmanager)")


def _write_configuration(instance: Instance, folder: Path) -> None:
    """Write what production mounts, with this instance's addresses, token and webhook."""
    token = folder / "metrics_token"
    token.touch(mode=0o600)
    token.write_text(instance.values["STANCHION_API_TOKEN"])
    shutil.copyfile(DEPLOY / "prometheus" / "rules.yml", folder / "rules.yml")

    scraping = _load("prometheus/prometheus.yml")
    scraping["alerting"]["alertmanagers"][0]["static_configs"] = _target(instance.ports["alertmanager"])
    (job,) = scraping["scrape_configs"]
    job["static_configs"] = _target(instance.ports["web"])
    job["authorization"]["credentials_file"] = str(token)
    (folder / "prometheus.yml").write_text(yaml.safe_dump(scraping, sort_keys=False))

    routing = _load("alertmanager/alertmanager.yml")
    routing["route"]["group_interval"] = "5s"  # whoever breaks things on purpose does not wait a minute for the end
    webhook = os.environ.get(WEBHOOK)
    for receiver in routing["receivers"]:
        is_addressed = webhook and receiver["name"] == "operators"
        receiver["webhook_configs"] = [{"url": webhook, "send_resolved": True}] if is_addressed else []
    (folder / "alertmanager.yml").write_text(yaml.safe_dump(routing, sort_keys=False))


def _load(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((DEPLOY / name).read_text())
    return loaded


def _target(port: int) -> list[dict[str, list[str]]]:
    return [{"targets": [f"127.0.0.1:{port}"]}]
