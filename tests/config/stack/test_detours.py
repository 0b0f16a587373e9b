"""Where the fault proxy is wanted, the application's processes know no other way."""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from config import processes
from config.stack.detours import APART, LINKS, VARIABLE
from config.stack.instance import Instance, open_instance
from config.stack.spec import ProcessSpec

_ADDRESSES = (
    "DATABASE_URL",
    "REDIS_URL",
    "STANCHION_SIM_A_URL",
    "STANCHION_SIM_B_URL",
    "STANCHION_SIM_A_BACKUP_URL",
    "STANCHION_SIM_B_BACKUP_URL",
)
_APPLICATION = ("web", "worker-orders", "worker-orders-2", "worker-general", "beat", "sentinel", "streams", "prepare")


@pytest.fixture
def instance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Instance]:
    for name in ("DATABASE_URL", "REDIS_URL", VARIABLE):
        monkeypatch.delenv(name, raising=False)
    opened = open_instance(tmp_path / "instance")
    yield opened
    opened.close()


def specs(instance: Instance) -> dict[str, ProcessSpec]:
    return {spec.name: spec for spec in processes.stack(instance)}


def ports_of(spec: ProcessSpec) -> set[int | None]:
    return {urlsplit(spec.env[name]).port for name in _ADDRESSES}


def test_every_address_of_the_application_is_one_of_the_proxy(instance: Instance, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(VARIABLE, "1")
    found = specs(instance)
    proxied = {instance.ports[f"via-{name}"] for name in LINKS}
    for name in _APPLICATION:
        assert ports_of(found[name]) <= proxied, name
        assert "proxy" in found[name].after, name
    assert ports_of(found[APART]) & ports_of(found["worker-orders"]) == {
        instance.ports[f"via-simbroker-{name}"] for name in ("a", "b", "a-backup", "b-backup")
    }
    assert urlsplit(instance.environment["DATABASE_URL"]).port == instance.ports["postgres"]


def test_without_it_there_is_no_proxy_and_every_address_is_real(instance: Instance) -> None:
    found = specs(instance)
    assert "proxy" not in found
    real = {instance.ports[name] for name in LINKS.values()}
    for name in _APPLICATION:
        assert ports_of(found[name]) <= real, name
