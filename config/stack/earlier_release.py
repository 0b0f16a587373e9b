"""The code of an earlier release, unpacked from the history of this checkout."""

import contextlib
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from config.stack.running import ROOT

_MIGRATIONS = ":(glob)*/migrations/[0-9]*.py"


class NoEarlierReleaseError(Exception):
    """There is no earlier code to be had; the message is one line that says why and what to do."""


@dataclass(frozen=True, slots=True)
class EarlierRelease:
    """A tree of earlier code; ``locks_differ``: it was made for other packages than are installed here."""

    commit: str
    about: str
    tree: Path
    locks_differ: bool


@contextlib.contextmanager
def earlier_release(reference: str | None = None, repository: Path = ROOT) -> Iterator[EarlierRelease]:
    """Unpack a commit into a temporary folder, which goes at the end.

    Args:
        reference: A commit, tag or branch; by default the commit before the last one that added migrations.
        repository: The checkout whose history is looked into.

    Raises:
        NoEarlierReleaseError: Not a checkout, no such commit, or no history before the last migrations.
    """
    commit = _git(repository, "rev-parse", "--verify", "--quiet", f"{reference or _before_migrations(repository)}^0")
    if not commit:
        raise NoEarlierReleaseError(f"there is no commit {reference!r} in this checkout")
    with tempfile.TemporaryDirectory(prefix="stanchion-earlier-") as folder:
        tree = Path(folder) / "tree"
        archive = Path(folder) / "tree.tar"
        subprocess.run(["git", "archive", "-o", str(archive), commit], cwd=repository, check=True)
        with tarfile.open(archive) as packed:
            packed.extractall(tree, filter="data")
        archive.unlink()
        lock = Path("requirements") / "run.lock"
        differ = not (tree / lock).exists() or (tree / lock).read_bytes() != (repository / lock).read_bytes()
        yield EarlierRelease(commit, _git(repository, "log", "-1", "--format=%h %as %s", commit), tree, differ)


def _before_migrations(repository: Path) -> str:
    """Return the commit before the last one that added a migration."""
    if not shutil.which("git") or not _git(repository, "rev-parse", "--git-dir"):
        raise NoEarlierReleaseError("this is no git checkout, so no earlier release is at hand; run it in one")
    added = _git(repository, "log", "-1", "--diff-filter=A", "--format=%H", "--", _MIGRATIONS)
    if not added or not _git(repository, "rev-parse", "--verify", "--quiet", f"{added}~1"):
        raise NoEarlierReleaseError(
            "the history of this checkout does not reach behind its last migrations (a shallow clone?); "
            "fetch it, or name a commit: --from REF"
        )
    return f"{added}~1"


def _git(repository: Path, *arguments: str) -> str:
    """Return what git says, stripped; nothing where it fails."""
    done = subprocess.run(["git", *arguments], cwd=repository, capture_output=True, text=True)
    return done.stdout.strip() if done.returncode == 0 else ""
