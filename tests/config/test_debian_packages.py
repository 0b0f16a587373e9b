"""Commands that need a program of Debian's install it as root, starting no service; else one line says what to do."""

from pathlib import Path

import pytest

import bootstrap

_NEEDS_BROKER = "acceptance --rabbitmq"


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine of its own: nothing is installed, and apt-get writes down what it was asked, and by which policy."""
    apt = tmp_path / "apt-get"
    apt.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/asked\n{tmp_path}/policy-rc.d; echo $? >> {tmp_path}/policy\n')
    apt.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin")
    monkeypatch.setattr(bootstrap, "SERVICE_POLICY", tmp_path / "policy-rc.d")
    monkeypatch.setattr(bootstrap, "SYSTEM_PROGRAMS", ())
    packages = {_NEEDS_BROKER: {"rabbitmq-server": ("rabbitmq-server", "rabbit")}}
    monkeypatch.setattr(bootstrap, "DEBIAN_PACKAGES", packages)
    monkeypatch.setattr(bootstrap.os, "geteuid", lambda: 0)
    return tmp_path


def test_root_gets_what_is_missing_and_no_service_is_started(machine: Path) -> None:
    bootstrap.bring_debian_packages(_NEEDS_BROKER)
    asked = (machine / "asked").read_text().splitlines()
    assert asked == ["update --quiet", "install --yes --no-install-recommends rabbitmq-server"]
    assert (machine / "policy").read_text().split() == ["101", "101"]
    assert not (machine / "policy-rc.d").exists()


def test_a_policy_that_is_there_stays(machine: Path) -> None:
    policy = machine / "policy-rc.d"
    policy.write_text("#!/bin/sh\nexit 7\n")
    policy.chmod(0o755)
    bootstrap.bring_debian_packages(_NEEDS_BROKER)
    assert (machine / "policy").read_text().split() == ["7", "7"]
    assert policy.exists()


@pytest.mark.parametrize("name", ["rabbitmq-server", "rabbit"])
def test_nothing_is_asked_where_it_is_there_under_any_name_or_not_needed(machine: Path, name: str) -> None:
    program = machine / name
    program.touch(mode=0o755)
    bootstrap.bring_debian_packages(_NEEDS_BROKER)
    bootstrap.bring_debian_packages("acceptance")
    assert not (machine / "asked").exists()


def test_others_than_root_are_told_what_to_install(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bootstrap.os, "geteuid", lambda: 1000)
    with pytest.raises(bootstrap.SetupError, match=r"needs rabbitmq-server \(Debian: apt install rabbitmq-server\)$"):
        bootstrap.bring_debian_packages(_NEEDS_BROKER)
    assert not (machine / "asked").exists()


def test_a_failed_install_says_so_and_leaves_no_policy(machine: Path) -> None:
    (machine / "apt-get").write_text("#!/bin/sh\nexit 100\n")
    with pytest.raises(bootstrap.SetupError, match="installing failed"):
        bootstrap.bring_debian_packages(_NEEDS_BROKER)
    assert not (machine / "policy-rc.d").exists()
