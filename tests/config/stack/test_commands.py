"""The commands a person types: one clear line when something is wrong, and set-up only when it is due."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def bootstrap() -> ModuleType:
    spec = importlib.util.spec_from_file_location("bootstrap", ROOT / "bootstrap.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run(*argv: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *argv], cwd=ROOT, capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (("bootstrap.py", "dance"), "unknown command 'dance'"),
        (("bootstrap.py", "bench-nothing"), "no benchmark called 'bench-nothing'"),
        (("-m", "config.stack", "dance"), "invalid choice: 'dance'"),
        (("-m", "config.stack", "up", "--without"), "expected one argument"),
        (("-m", "config.stack", "status", "--directory", "/nonexistent"), "nothing runs in /nonexistent"),
        (("-m", "config.stack", "run"), "run needs a command"),
    ],
)
def test_wrong_arguments_are_one_clear_line(argv, says):
    done = run(*argv)

    assert done.returncode != 0
    assert says in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


def test_without_arguments_the_commands_are_listed():
    done = run("bootstrap.py")

    assert done.returncode == 0
    assert "demo" in done.stdout


def test_a_python_that_is_too_old_is_told_so(bootstrap, monkeypatch):
    monkeypatch.setattr(bootstrap.sys, "version_info", (3, 9, 1))
    monkeypatch.setattr(bootstrap.shutil, "which", lambda name: None)

    with pytest.raises(bootstrap.SetupError, match=r"needs Python 3.11, 3.12 or 3.13; this is 3.9"):
        bootstrap.require_supported_python()


def test_packages_are_installed_again_only_when_the_lock_changes(bootstrap, tmp_path):
    requirements, venv = tmp_path / "requirements", tmp_path / "venv"
    (venv / "bin").mkdir(parents=True)
    (venv / "bin" / "python").touch()
    requirements.mkdir()
    lock = requirements / "run.lock"
    lock.write_text("a==1")
    assert not bootstrap.is_current(venv, requirements, "run.lock")

    bootstrap.stamp_path(venv, "run.lock").write_text(bootstrap.fingerprint(lock))
    assert bootstrap.is_current(venv, requirements, "run.lock")
    assert not bootstrap.is_current(venv, requirements, "dev.lock")

    lock.write_text("a==2")
    assert not bootstrap.is_current(venv, requirements, "run.lock")


def test_the_development_set_serves_the_run_commands_too(bootstrap, tmp_path):
    requirements, venv = tmp_path, tmp_path / "venv"
    (venv / "bin").mkdir(parents=True)
    (venv / "bin" / "python").touch()
    (requirements / "dev.lock").write_text("a==1")

    bootstrap.stamp_path(venv, "dev.lock").write_text(bootstrap.fingerprint(requirements / "dev.lock"))

    assert bootstrap.is_current(venv, requirements, "run.lock")


def test_no_lock_file_names_an_address(bootstrap, tmp_path):
    assert bootstrap.locks_with_addresses(ROOT / "requirements") == []
    assert len(list((ROOT / "requirements").glob("*.lock"))) == 3

    (tmp_path / "bad.lock").write_text("--index-url https://example.org/simple\na==1\n")
    assert bootstrap.locks_with_addresses(tmp_path) == [tmp_path / "bad.lock"]


def test_settings_of_pip_reach_uv_without_being_shown(bootstrap, monkeypatch, tmp_path, capfd):
    settings = tmp_path / "pip.conf"
    settings.write_text("[global]\nindex-url = https://user:hidden@example.org/simple\nextra-index-url = a b\n")
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", str(settings))

    translated = bootstrap.pip_settings_for_uv()

    assert translated["UV_DEFAULT_INDEX"] == "https://user:hidden@example.org/simple"
    assert translated["UV_INDEX"] == "a b"
    assert "hidden" not in "".join(capfd.readouterr())
