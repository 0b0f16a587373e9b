"""How well the tests of the core bite: ``python -m benchmarks.mutate [MODULE ...]``.

mutmut changes the code of ``reliability/core`` in one small place at a time, in a copy of the tree in a
scratch folder, and runs the core's own tests against each change. A change that no test notices survived.
Words for people (messages of ``ValueError`` and log lines) are left alone: their wording is nobody's contract.

A run with ``--folder`` can be stopped and goes on where it was, and ``--save`` keeps what the file says of modules
that did not run: so a busy machine gets through the list a few modules at a time.
"""

import argparse
import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.evidence import describe_machine, write_evidence
from benchmarks.services import REPOSITORY, stop_tree
from benchmarks.turns import end_orderly_on_sigterm
from config.stack.launch import Account, child_setup

MODULES = (
    "breaker",
    "breaker_settings",
    "retry",
    "budget",
    "rate_limit",
    "bulkhead",
    "fallback",
    "classification",
    "classifier",
    "guess",
    "jobs",
    "correlation",
    "text",
    "saga",
    "burn_rate",
    "scrubbing",
    "waits",
    "wording",
    "rules",
    "rule_table",
    "conditions",
    "hash_chain",
    "health",
    "metrics",
    "retention",
    "fingerprint",
    "escalation",
    "guesses",
    "runbooks",
)
_PACKAGE = "reliability.core"
_TESTS = Path("tests") / "reliability" / "core"
_COPIED = ("reliability", "brokers", "reconciliation", "config", "docs")
_STATUS = {1: "killed", 3: "killed", 0: "survived", 5: "untested", 33: "untested", 36: "timeout", -24: "timeout"}
_NOTICED = ("killed", "timeout")  # a loop without an end is noticed by whoever waits for the tests
_MUTANT = re.compile(r"^(?P<module>[\w.]+)\.(?P<function>[^.]+)__mutmut_\d+$")
_PROJECT = """\
[tool.pytest.ini_options]
addopts = "-p no:django -p no:cacheprovider"

[tool.mutmut]
source_paths = ["reliability"]
only_mutate = {files}
also_copy = ["brokers", "reconciliation", "config", "docs"]
pytest_add_cli_args_test_selection = {tests}
do_not_mutate_patterns = ["raise ValueError", "logger[.]"]
timeout_constant = 2.0
timeout_multiplier = 30.0
"""
# The same examples in every run, found without shrinking: a survivor is a survivor twice.
_CONFTEST = """\
from hypothesis import HealthCheck, Phase, settings

settings.register_profile(
    "mutation",
    derandomize=True,
    database=None,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
settings.load_profile("mutation")
"""
console = Console()


@dataclass(frozen=True, slots=True)
class Survivor:
    """A change that no test noticed: ``diff`` is the changed lines; ``status`` untested means no test ran it."""

    module: str
    name: str
    status: str
    diff: str


class MutationError(Exception):
    """mutmut did not run to its end; the message has its last words."""


def main() -> int:
    arguments = _parse()
    end_orderly_on_sigterm()
    modules = tuple(arguments.modules) or MODULES
    folder = Path(arguments.folder or tempfile.mkdtemp(prefix="stanchion-mutate-"))
    try:
        if not (folder / "pyproject.toml").exists():
            prepare(folder, modules, own_tests=arguments.own_tests)
        run(folder, arguments.processes)
        verdicts = read_verdicts(folder)
        survivors = find_survivors(folder, verdicts, arguments.processes)
    except MutationError as error:
        console.print(f"[red]{error}[/]")
        return 1
    finally:
        if not arguments.folder:
            shutil.rmtree(folder, ignore_errors=True)
    results = count(modules, verdicts)
    show(results, survivors)
    if arguments.save:
        tests = "named after the module" if arguments.own_tests else "all of the core"
        save(Path(arguments.save), [{**result, "tests": tests} for result in results], survivors)
        console.print(f"written: {arguments.save}")
    return 0


def prepare(folder: Path, modules: Sequence[str], *, own_tests: bool = False) -> None:
    """Lay out a project of its own: the code, the tests of the core, and nothing that starts servers.

    ``own_tests``: only the tests that are named after the modules run.
    """
    skipped = shutil.ignore_patterns("__pycache__", "*.pyc", "evidence")
    for name in _COPIED:
        shutil.copytree(REPOSITORY / name, folder / name, ignore=skipped)
    for package in (_TESTS.parent.parent, _TESTS.parent):
        (folder / package).mkdir(parents=True)
        (folder / package / "__init__.py").touch()
    shutil.copytree(REPOSITORY / _TESTS, folder / _TESTS, ignore=skipped)
    (folder / "tests" / "conftest.py").write_text(_CONFTEST)
    files = json.dumps([f"{_PACKAGE.replace('.', '/')}/{module}.py" for module in modules])
    found = sorted({path for module in modules for path in (REPOSITORY / _TESTS).glob(f"test_{module}*.py")})
    tests = [str(_TESTS / path.name) for path in found] if own_tests else [str(_TESTS)]
    (folder / "pyproject.toml").write_text(_PROJECT.format(files=files, tests=json.dumps(tests)))


def run(folder: Path, processes: int) -> None:
    """Run every change; what mutmut prints goes through.

    Raises:
        MutationError: it stopped early, for example because the tests fail without any change.
    """
    child = subprocess.Popen(
        _argv("run", "--max-children", str(processes)),
        cwd=folder,
        env=_environment(),
        stdin=subprocess.DEVNULL,
        preexec_fn=child_setup(Account.SAME, signal.SIGTERM),
        start_new_session=True,
    )
    try:
        code = child.wait()
    finally:
        stop_tree(child)
    if code:
        raise MutationError(f"mutmut ended with {code}; its last words are above")


def read_verdicts(folder: Path) -> dict[str, str]:
    """Return killed, survived, timeout, untested or another end for every change by its name."""
    found = {}
    for path in sorted((folder / "mutants").rglob("*.meta")):
        codes = json.loads(path.read_text())["exit_code_by_key"]
        found.update({name: _STATUS.get(code, f"exit {code}") for name, code in codes.items()})
    return found


def find_survivors(folder: Path, verdicts: dict[str, str], processes: int) -> list[Survivor]:
    """Return each change that was not killed, with the lines it changed."""
    missed = [(name, status) for name, status in verdicts.items() if status not in _NOTICED]
    with ThreadPoolExecutor(processes) as threads:
        diffs = threads.map(lambda one: _diff(folder, one[0]), missed)
        return [
            Survivor(_module_of(name), _function_of(name), status, diff)
            for (name, status), diff in zip(missed, diffs, strict=True)
        ]


def _diff(folder: Path, name: str) -> str:
    shown = subprocess.run(_argv("show", name), cwd=folder, env=_environment(), capture_output=True, text=True)
    return "\n".join(line for line in shown.stdout.splitlines() if re.match(r"^[-+](?![-+])", line))


def count(modules: Sequence[str], verdicts: dict[str, str]) -> list[dict[str, object]]:
    """Return per module how many changes were made and how they ended."""
    results: list[dict[str, object]] = []
    for module in modules:
        ends = Counter(status for name, status in verdicts.items() if _module_of(name) == module)
        named = ("killed", "timeout", "survived", "untested")
        results.append(
            {
                "module": module,
                "changes": ends.total(),
                **{status: ends[status] for status in named},
                "other": ends.total() - sum(ends[status] for status in named),
            }
        )
    return results


def save(path: Path, results: Sequence[dict[str, object]], survivors: Sequence[Survivor]) -> None:
    """Write counts and survivors; what the file says already of other modules stays, with the commit it is of."""
    commit = describe_machine()["commit"]
    ran = {str(result["module"]) for result in results}
    before: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {"results": [], "parameters": {}}
    kept = [result for result in before["results"] if result["module"] not in ran]
    known = [one for one in before["parameters"].get("survivors", ()) if _last(one["module"]) not in ran]
    rows = [*kept, *({**result, "commit": commit} for result in results)]
    order = {module: number for number, module in enumerate(MODULES)}
    rows.sort(key=lambda row: order.get(str(row["module"]), len(order)))
    missed = [*known, *(asdict(survivor) for survivor in survivors)]
    not_run = [module for module in MODULES if module not in {str(row["module"]) for row in rows}]
    write_evidence(path, "mutation", {"not_run": not_run, "survivors": missed}, rows)


def _last(module: str) -> str:
    return module.rpartition(".")[2]


def show(results: Sequence[dict[str, object]], survivors: Sequence[Survivor]) -> None:
    for survivor in survivors:
        console.print(f"\n[yellow]{survivor.status}[/] {survivor.module}: {survivor.name}", highlight=False)
        console.print(survivor.diff, markup=False, highlight=False)
    table = Table(title="changes to the core and what its tests noticed")
    columns = ("module", "changes", "killed", "timeout", "survived", "untested", "other")
    for title in columns:
        table.add_column(title, justify="left" if title == "module" else "right")
    for result in results:
        table.add_row(*(str(result[title]) for title in columns))
    totals = [sum(int(str(result[title])) for result in results) for title in columns[1:]]
    table.add_row("all", *map(str, totals), style="bold")
    console.print(table)


def _argv(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "mutmut", *arguments]


def _environment() -> dict[str, str]:
    environment = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}
    return {**environment, "PYTHONDONTWRITEBYTECODE": "1"}


def _module_of(name: str) -> str:
    found = _MUTANT.match(name)
    return found["module"].rpartition(".")[2] if found else name


def _function_of(name: str) -> str:
    """Return the function as it is written: mutmut marks methods as ``xǁClassǁmethod``."""
    found = _MUTANT.match(name)
    words = found["function"] if found else name
    with contextlib.suppress(ValueError):
        _, owner, method = words.split("ǁ")
        return f"{owner}.{method}"
    return words.removeprefix("x_")


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Change the core in small places and see whether its tests notice.")
    parser.add_argument("modules", nargs="*", choices=[[], *MODULES], metavar="MODULE", help=f"of {', '.join(MODULES)}")
    parser.add_argument("--own-tests", action="store_true", help="run only tests named after the modules: much quicker")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1, help="tests at a time (all cores)")
    parser.add_argument("--folder", metavar="FOLDER", help="keep the copy there, and go on with it if it is there")
    parser.add_argument("--save", metavar="FILE", help="write counts and survivors; other modules in it are kept")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
