"""The example of docs/howto/guard-your-own-task.md runs as it stands there, with ``reliability`` and nothing else."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from config.stack.ports import take_block
from tests.reliability.services.guarding.support import OwnValkey, own_valkey

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs/howto/guard-your-own-task.md"
BLOCK = re.compile(r"```python\n# (\w+\.py)\n(.*?)```", re.DOTALL)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The files of the page, and the one package they may use."""
    folder = tmp_path / "project"
    folder.mkdir()
    for name, text in BLOCK.findall(PAGE.read_text()):
        (folder / name).write_text(text)
    (folder / "reliability").symlink_to(ROOT / "reliability")
    return folder


@pytest.fixture
def server(tmp_path: Path) -> Iterator[OwnValkey]:
    with own_valkey(tmp_path / "valkey") as one:
        yield one


def run(project: Path, url: str, *command: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.environ["PATH"], "REDIS_URL": url, "PYTHONPATH": str(project), "HOME": str(project)}
    return subprocess.run(
        [sys.executable, *command], cwd=project, env=environment, capture_output=True, text=True, timeout=120
    )


def test_the_example_needs_nothing_else_of_the_product(project: Path) -> None:
    names = {path.name for path in project.iterdir()}

    assert names == {"shop_settings.py", "shop_celery.py", "shop_tasks.py", "watch.py", "reliability"}
    found = run(project, "redis://127.0.0.1:9", "-c", "import brokers")
    assert "No module named 'brokers'" in found.stderr


def test_importing_the_package_loads_no_framework(project: Path) -> None:
    code = "import sys, reliability; print(sorted({'django', 'celery', 'redis'} & set(sys.modules)))"

    assert run(project, "redis://127.0.0.1:9", "-c", code).stdout.strip() == "[]"


def test_tasks_wait_for_a_broken_dependency_without_using_up_their_attempts(project: Path, server: OwnValkey) -> None:
    ports = take_block()
    try:
        done = run(project, server.url, "watch.py", str(ports.base))
    finally:
        ports.release()

    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stderr, done.stderr
    assert "the gateway is back and every order is paid\nthe circuit is closed" in done.stdout
    counts = [
        tuple(map(int, found))
        for found in re.findall(r"started (\d+) times, called (\d+), retries counted (\d+)", done.stdout)
    ]
    assert len(counts) == 4
    for starts, calls, retries in counts:
        assert retries == calls - 1, "a wait is not a retry"
        assert calls <= starts
    assert sum(starts for starts, _, _ in counts) > sum(calls for _, calls, _ in counts), "some starts only waited"
