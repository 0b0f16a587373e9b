"""The earlier release of an upgrade drill comes from the history, or one line says why there is none."""

import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest

from config.stack.__main__ import main
from config.stack.client import ApiClient
from config.stack.earlier_release import NoEarlierReleaseError, earlier_release
from config.stack.upgrade_drill import Stage, _Flow, _stage


def git(repository: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=t", "-c", "user.email=t@t")
    done = subprocess.run(["git", *identity, *arguments], cwd=repository, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def commit(repository: Path, files: dict[str, str]) -> str:
    for name, text in files.items():
        (repository / name).parent.mkdir(parents=True, exist_ok=True)
        (repository / name).write_text(text)
    git(repository, "add", "-A")
    git(repository, "commit", "-qm", "some")
    return git(repository, "rev-parse", "HEAD")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    git(tmp_path, "init", "-q")
    return tmp_path


def test_the_default_is_the_commit_before_the_last_migrations(repository: Path) -> None:
    commit(repository, {"app/migrations/0001_first.py": "", "requirements/run.lock": "a"})
    wanted = commit(repository, {"app/code.py": "old"})
    commit(repository, {"app/migrations/0002_second.py": "", "app/code.py": "new"})
    commit(repository, {"app/code.py": "newer", "app/migrations/0002_second.py": "mended"})

    with earlier_release(repository=repository) as release:
        assert release.commit == wanted
        assert (release.tree / "app" / "code.py").read_text() == "old"
        assert not release.locks_differ
    assert not release.tree.exists()


def test_a_named_commit_may_need_other_packages(repository: Path) -> None:
    named = commit(repository, {"requirements/run.lock": "a"})
    commit(repository, {"requirements/run.lock": "b"})

    with earlier_release(named[:8], repository) as release:
        assert release.commit == named
        assert release.locks_differ


def test_without_history_one_line_says_what_to_do(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    commit(repository, {"app/migrations/0001_first.py": ""})

    with pytest.raises(NoEarlierReleaseError, match="does not reach behind its last migrations"):
        earlier_release(repository=repository).__enter__()
    with pytest.raises(NoEarlierReleaseError, match="there is no commit 'v9'"):
        earlier_release("v9", repository).__enter__()
    with pytest.raises(NoEarlierReleaseError, match="no git checkout"):
        earlier_release(repository=tmp_path_factory.mktemp("plain")).__enter__()


def test_the_command_ends_with_that_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["upgrade-drill", "--from", "no-such-release"]) == 1
    assert capsys.readouterr().err == "stanchion: there is no commit 'no-such-release' in this checkout\n"


def test_a_stage_has_the_longest_waits_of_its_own_orders() -> None:
    at = datetime(2026, 11, 27, 12, tzinfo=UTC)
    flow = _Flow(cast(ApiClient, None), rate=5.0)
    flow.sent = {"a": ("web replaced", at, 0.2), "b": ("web replaced", at, 0.9), "c": ("old code alone", at, 9.0)}
    orders: dict[str, Any] = {
        "a": {"acknowledged_at": (at + timedelta(seconds=3)).isoformat()},
        "b": {"acknowledged_at": None},
        "c": {"acknowledged_at": (at + timedelta(seconds=30)).isoformat()},
    }

    assert _stage("web replaced", flow, orders) == Stage("web replaced", 2, 0.9, 3.0)
    assert _stage("beat replaced", flow, orders) == Stage("beat replaced", 0, 0.0, 0.0)
