"""The files of production name what there is: processes, settings, metrics, files; and pass their own checkers."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from config.environment import VARIABLES
from config.roles import ROLES, SETUP
from reliability.core.metrics import MetricKind
from reliability.services.health import _checks
from reliability.services.metrics import list_metrics

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if service["image"].startswith("stanchion:")}
_MADE_BY_RULES = {"stanchion:call_failures:ratio_rate5m", "stanchion:calls:increase5m"}
_READ_BY_OTHERS = {
    "STANCHION_ADMIN_USER",
    "STANCHION_ADMIN_PASSWORD",
    "STANCHION_APP_DATABASE_PASSWORD",
    "FLOWER_BASIC_AUTH",
    "FLOWER_ADDRESS",
    "FLOWER_PORT",
}

_NOT_IN_COMPOSE = {
    "STANCHION_DEBUG": "shows tracebacks: not in production",
    "STANCHION_FLOWER_LOGIN": "a password that only the web process needs, which has it",
}
_SET_BY_COMPOSE = {"STANCHION_FLOWER_URL", "STANCHION_EXPORT_DIR"}  # a service and a volume of its own
_OTHER_DEFAULTS = {
    "STANCHION_ALLOWED_HOSTS": "127.0.0.1,localhost,web",  # Prometheus asks for web
    "STANCHION_BROKER_URL": "redis://stanchion_queue:${REDIS_QUEUE_PASSWORD:-${REDIS_APP_PASSWORD}}@redis:6379/0",
}


def test_compose_runs_the_processes_that_make_up_runs():
    setup = dict(zip(("migrate", "prepare"), SETUP, strict=True))
    setup["rights"] = ("manage.py", "database_rights", "stanchion_app", "--create")  # on one machine there is one role
    wanted = {**{role.name: role.arguments for role in ROLES}, **setup}

    assert {name: tuple(service["command"]) for name, service in OURS.items()} == {
        name: ("python", *arguments) for name, arguments in wanted.items()
    }
    copies = {name: service.get("deploy", {}).get("replicas", 1) for name, service in OURS.items()}
    assert copies == {**{role.name: role.copies for role in ROLES}, "migrate": 1, "rights": 1, "prepare": 1}


def test_every_variable_compose_sets_is_one_that_is_read():
    known = {variable.name for variable in VARIABLES} | _READ_BY_OTHERS
    required = {variable.name for variable in VARIABLES if variable.default is None}
    for name, service in OURS.items():
        assert set(service["environment"]) <= known, name
        assert required <= set(service["environment"]), name


def test_every_variable_there_is_reaches_the_containers():
    shared = COMPOSE["x-app"]["environment"]
    assert {one.name for one in VARIABLES} - set(shared) == set(_NOT_IN_COMPOSE)
    for name, service in OURS.items():
        assert set(shared) <= set(service["environment"]), name
    for variable in VARIABLES:
        value = shared.get(variable.name, "")
        if variable.name not in {*_NOT_IN_COMPOSE, *_SET_BY_COMPOSE} and variable.default is not None:
            default = _OTHER_DEFAULTS.get(variable.name, variable.default)
            assert value == f"${{{variable.name}:-{default}}}", "an owner's .env can set it"


def test_our_containers_have_no_more_rights_than_they_need():
    for name, service in OURS.items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
    assert "\nUSER stanchion\n" in (DEPLOY / "Dockerfile").read_text()


def test_every_container_that_stays_says_whether_it_is_well():
    without = {name for name, service in SERVICES.items() if "healthcheck" not in service}
    ending = {"migrate", "rights", "prepare"}
    assert without == {*ending, "collector"}  # whose image has no program to ask with
    looked_at = set(_checks)
    for name, service in OURS.items():
        words = service.get("healthcheck", {}).get("test", [])
        if "manage.py" in words:
            assert set(words[words.index("health") + 1 :]) <= looked_at, name


def test_every_image_is_pinned_by_version_and_every_mounted_file_exists():
    for name, service in SERVICES.items():
        if name not in OURS:
            assert re.search(r":v?\d+\.\d+", service["image"]), service["image"]
        for volume in service.get("volumes", ()):
            source = volume.split(":")[0]
            assert (ROOT / source).exists() if source.startswith(".") else source in COMPOSE["volumes"], volume
        assert set(service.get("depends_on", ())) <= set(SERVICES)


def test_the_image_is_built_from_what_there_is():
    lines = (DEPLOY / "Dockerfile").read_text().splitlines()
    wanted = {"!" + line.split()[1] for line in lines if line.startswith("COPY ") and "--from" not in line}
    assert wanted <= set((ROOT / ".dockerignore").read_text().split())
    assert all(re.search(r":\d+\.\d+\.\d+-", line) for line in lines if line.startswith("FROM "))
    for line in lines:
        words = line.split()
        if words[:1] == ["COPY"] and not words[1].startswith("--from"):
            assert (ROOT / words[1]).exists(), line


def test_the_collector_uses_what_it_defines_and_listens_where_processes_send():
    collector = yaml.safe_load((DEPLOY / "collector" / "collector.yml").read_text())
    for pipeline in collector["service"]["pipelines"].values():
        for part in ("receivers", "processors", "exporters"):
            assert set(pipeline[part]) <= set(collector[part]), part
    assert set(collector["service"]["extensions"]) == set(collector["extensions"])
    assert collector["receivers"]["otlp"]["protocols"]["http"]["endpoint"].endswith(":4318")
    named = set(re.findall(r"\$\{env:(\w+)\}", json.dumps(collector)))
    assert named == set(SERVICES["collector"]["environment"])


def names_in(expression: str) -> set[str]:
    return set(re.findall(r"stanchion[a-z0-9_:]+", expression))


def dashboard_expressions() -> Iterator[str]:
    for path in sorted((DEPLOY / "grafana" / "dashboards").glob("*.json")):
        for panel in json.loads(path.read_text())["panels"]:
            yield from (target["expr"] for target in panel["targets"])


def rule_expressions() -> Iterator[str]:
    rules: Any = yaml.safe_load((DEPLOY / "prometheus" / "rules.yml").read_text())
    for group in rules["groups"]:
        yield from (rule["expr"] for rule in group["rules"])


def test_rules_and_dashboards_name_metrics_that_exist():
    known = set(_MADE_BY_RULES)
    for metric in list_metrics():
        parts = ("_bucket", "_sum", "_count") if metric.kind is MetricKind.HISTOGRAM else ("",)
        known |= {metric.name + part for part in parts}

    expressions = [*rule_expressions(), *dashboard_expressions()]
    assert len(expressions) > 20
    named = set().union(*map(names_in, expressions))
    assert named <= known, named - known


@pytest.mark.parametrize(
    "argv",
    [
        ("promtool", "check", "config", "--syntax-only", "prometheus.yml"),
        ("promtool", "check", "rules", "rules.yml"),
        ("promtool", "test", "rules", "rules_test.yml"),
        ("amtool", "check-config", "../alertmanager/alertmanager.yml"),
    ],
    ids=" ".join,
)
def test_their_own_checkers_accept_them(argv):
    if shutil.which(argv[0]) is None:
        pytest.skip(f"{argv[0]} is not installed (Debian: prometheus, prometheus-alertmanager)")
    done = subprocess.run(argv, cwd=DEPLOY / "prometheus", capture_output=True, text=True, timeout=60)

    assert done.returncode == 0, done.stdout + done.stderr
