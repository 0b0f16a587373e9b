"""What a person sees of a running instance: progress, the processes' lines, and the addresses."""

import asyncio
import os
import sys
import time
from collections.abc import Container, Mapping
from pathlib import Path
from typing import Any

from config.stack.instance import Instance

_COLOURS = (36, 32, 33, 35, 34, 96, 92, 93, 95, 94)
_FOLLOW_SECONDS = 0.2
LARGEST_LOG_BYTES = 32 * 1024 * 1024


class Progress:
    """Prints one line per step with the time since the start."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    def say(self, text: str) -> None:
        _print(f"{time.monotonic() - self._began:6.1f} s  {text}\n")


class Follower:
    """Keeps log files within bounds and, where wanted, shows their new lines with a coloured name in front."""

    def __init__(self, logs: Mapping[str, Path], *, show: bool) -> None:
        self._logs = logs
        self._show = show
        self._width = max((len(name) for name in logs), default=0)
        self._colours = sys.stdout.isatty() and "NO_COLOR" not in os.environ
        self._offsets = {name: _size(path) for name, path in logs.items()}

    async def run(self) -> None:
        while True:
            self.step()
            await asyncio.sleep(_FOLLOW_SECONDS)

    def step(self) -> None:
        for number, (name, path) in enumerate(self._logs.items()):
            if self._show:
                self._show_new_lines(name, path, _COLOURS[number % len(_COLOURS)])
            if _size(path) > LARGEST_LOG_BYTES:
                path.with_suffix(".log.1").write_bytes(path.read_bytes())
                os.truncate(path, 0)  # the process appends, so it goes on at the new end
                self._offsets[name] = 0

    def _show_new_lines(self, name: str, path: Path, colour: int) -> None:
        if _size(path) <= self._offsets[name]:
            return
        with path.open("rb") as log:
            log.seek(self._offsets[name])
            text = log.read()
        whole = text[: text.rfind(b"\n") + 1]
        self._offsets[name] += len(whole)
        label = f"{name:<{self._width}} |"
        prefix = f"\x1b[{colour}m{label}\x1b[0m " if self._colours else f"{label} "
        _print("".join(f"{prefix}{line}\n" for line in whole.decode(errors="replace").splitlines()))


def print_addresses(instance: Instance, running: Container[str]) -> None:
    """Show where everything that runs is, with the login that was generated."""
    from rich.console import Console
    from rich.table import Table

    urls, ports = instance.urls, instance.ports
    table = Table(title=f"Stanchion is running in {instance.directory}", title_justify="left", show_header=False)
    table.add_column()
    table.add_column(overflow="fold")
    if "web" in running:
        for label, key in (("operator screen", "web"), ("admin", "admin"), ("API documentation", "api")):
            table.add_row(label, urls[key])
    if "flower" in running:
        table.add_row("Flower", urls["flower"])
    for label, name in (("Prometheus", "prometheus"), ("Alertmanager", "alertmanager")):
        if name in running:
            table.add_row(label, f"http://127.0.0.1:{ports[name]}")
    if "web" in running:
        login = instance.login
        table.add_row("login", f"{login['STANCHION_ADMIN_USER']} / {login['STANCHION_ADMIN_PASSWORD']}")
    for label, name in (("PostgreSQL", "postgres"), ("Valkey", "valkey")):
        if name in running:
            table.add_row(label, f"127.0.0.1:{ports[name]}")
    table.add_row("passwords, API token", str(instance.directory / "instance.env"))
    Console().print(table)


def print_status(states: list[dict[str, Any]]) -> None:
    """Show the processes of some instances."""
    from rich.console import Console
    from rich.table import Table

    for state in states:
        table = Table(title=f"{state['directory']}: {state['status']}", title_justify="left")
        for column in ("process", "state", "pid", "restarts", "started at"):
            table.add_column(column)
        for name, entry in state["processes"].items():
            cells = (entry["state"], entry["pid"], entry["restarts"], entry["started_at"])
            table.add_row(name, *("" if cell is None else str(cell) for cell in cells))
        Console().print(table)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _print(text: str) -> None:
    """Write to the terminal; when nobody reads it any more, the stack goes on in silence."""
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        sys.stdout = Path(os.devnull).open("w")  # noqa: SIM115  open until the process ends
