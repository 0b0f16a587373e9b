"""Set up ``.venv`` and run one command in it. Standard library only; the Makefile is a thin face of this file.

usage: python3 bootstrap.py COMMAND [ARGUMENT ...]

  demo         start everything in a temporary place, show orders going through failures, clean up
  up           start everything and stay; Ctrl-C ends it
  observe      the same with Prometheus and Alertmanager beside it
  services     start PostgreSQL and Valkey only, for development
  status       show what runs in an instance
  backup-drill  back up a temporary instance in the middle of work, wipe, restore, compare with the brokers' ledgers
  upgrade-drill  replace the release before by this one while orders flow, compare with the brokers' ledgers
  test         run the tests (arguments go to pytest); without arguments in several processes where they may
  acceptance   the tests of whole stacks, also those that make test leaves out; --rabbitmq: RabbitMQ carries messages
  check        formatting, lint, types, imports, migrations, lock files
  fmt          format the code and apply safe fixes
  lock         resolve the lock files again from pyproject.toml
  setup        make .venv ready for the commands above and stop there
  bench-NAME   run benchmarks/bench_NAME.py (dashes become underscores)
  probe-NAME   run benchmarks/probe_NAME.py, which fails when an aim is missed
  basket-crashes  kill pool processes at 200 random system calls under baskets; fails when one is left half
  order-races   1,000 changes racing with fills, 10,000 fill events shuffled, 300 replies lost, judged by the ledgers
  chaos        break a stack of its own by the scenarios and judge it; ARGS="run worker-killed --seed 7", ARGS=list
  pictures     run a stack, use it, and take the pictures of every page that the docs show
  mutate       change the core in small places and show which changes its tests do not notice

observe, pictures and acceptance --rabbitmq need programs of Debian's; as root they install what is missing.
"""

from __future__ import annotations

import ast
import fcntl
import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
REQUIREMENTS = ROOT / "requirements"
SUPPORTED = ((3, 11), (3, 12), (3, 13))
STACK_TESTS = ("tests/acceptance", "tests/chaos/test_scenarios.py")
SECOND_LOOKS = 8  # more failures than that are no accident of a busy machine
STACK_PROCESSES = 2
TEST_PROCESSES = 3  # most tests wait for a server or a timer, so more than two cores are busy
STACK_COMMANDS = ("demo", "up", "observe", "services", "status", "backup-drill", "upgrade-drill")
LOCKS = {"tool.lock": ["requirements/tool.in"], "run.lock": ["pyproject.toml"]}
DEBIAN_PACKAGES = {  # what a command needs beside Python: packages, and programs of which one is enough for each
    "observe": {
        "prometheus": ("prometheus",),
        "prometheus-alertmanager": ("prometheus-alertmanager", "alertmanager"),
    },
    "pictures": {"chromium": ("chromium",)},
    "acceptance --rabbitmq": {"rabbitmq-server": ("rabbitmq-server",)},
}
SYSTEM_PROGRAMS = ("/usr/bin", "/usr/sbin")
SERVICE_POLICY = Path("/usr/sbin/policy-rc.d")
DEVELOPMENT_GROUPS = ("dev", "bench", "mutation")
LOCKS["dev.lock"] = ["pyproject.toml", *(word for name in DEVELOPMENT_GROUPS for word in ("--group", name))]
LOCKS["dev.lock"] += ["--constraint", "requirements/run.lock"]


class SetupError(Exception):
    """Something outside this project must be put right first; the message is one line for the user."""


def main(arguments: list[str]) -> int:
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(__doc__.strip())
        return 0
    command, rest = arguments[0], arguments[1:]
    os.chdir(ROOT)
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # compiled files halve the start-up; they stay in this folder
    try:
        require_supported_python()
        return run(command, rest)
    except SetupError as error:
        print(f"stanchion: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


def run(command: str, rest: list[str]) -> int:
    bring_debian_packages(" ".join([command, *(word for word in rest if word == "--rabbitmq")]))
    if command.startswith(("bench-", "probe-")):
        module = "benchmarks." + command.replace("-", "_")
        if not (ROOT / (module.replace(".", "/") + ".py")).exists():
            raise SetupError(f"there is no benchmark called {command!r}")
        ensure_environment("dev.lock")
        replace_process([str(PYTHON), "-m", module, *rest])
    if command in ("basket-crashes", "order-races"):
        ensure_environment("dev.lock")
        replace_process([str(PYTHON), "-m", f"benchmarks.{command.replace('-', '_')}", *rest])
    if command == "chaos":
        ensure_environment("run.lock")
        replace_process([str(PYTHON), "manage.py", "chaos", *(rest or ["run", "all"])])
    if command in ("mutate", "pictures"):
        ensure_environment("dev.lock")
        replace_process([str(PYTHON), "-m", f"benchmarks.{command}", *rest])
    if command in STACK_COMMANDS:
        ensure_environment("run.lock")
        replace_process([str(PYTHON), "-m", "config.stack", command, *rest])
    if command == "acceptance":
        ensure_environment("dev.lock")
        replace_process([str(PYTHON), "-m", "pytest", "-s", "tests/acceptance", *rest])
    commands = {"test": test, "check": check, "fmt": fmt, "lock": lock, "setup": setup}
    if command not in commands:
        raise SetupError(f"unknown command {command!r}; python3 bootstrap.py shows the list")
    if command == "lock":
        prepare_venv()
    else:
        ensure_environment("dev.lock")
    return commands[command](rest)


def replace_process(argv: list[str]) -> None:
    sys.stdout.flush()
    os.execv(argv[0], argv)  # noqa: S606  no shell is wanted


# Commands


def test(rest: list[str]) -> int:
    """Run the tests named, or all: first those that may run side by side, then those of whole stacks."""
    pytest = [str(PYTHON), "-m", "pytest"]
    if rest:
        replace_process([*pytest, *rest])
    beside = [f"--ignore={path}" for path in STACK_TESTS]
    first = looked_at_twice(pytest, [*side_by_side(TEST_PROCESSES), *beside])
    stacks = [path for path in STACK_TESTS if (ROOT / path).exists()]
    return max(first, looked_at_twice(pytest, [*side_by_side(STACK_PROCESSES), "-m", "not long", *stacks]))


def side_by_side(processes: int) -> list[str]:
    return ["-n", str(processes), "--dist", "loadfile"]


def looked_at_twice(pytest: list[str], arguments: list[str]) -> int:
    """Run tests, and the few that failed once more by themselves: beside others, a busy machine fails some by waiting.

    A test that found harm (an order lost or doubled, a position that differs) is believed at once. What passes alone is
    named, so that it is mended.
    """
    shutil.rmtree(ROOT / ".pytest_cache" / "v", ignore_errors=True)
    code = call(*pytest, *arguments)
    failed, harmed = (cached(name) for name in ("cache/lastfailed", "stanchion/harm"))
    if code != 1 or harmed or not 0 < len(failed) <= SECOND_LOOKS:
        return code
    print(f"== a second look at {len(failed)} tests, each by itself", flush=True)
    if call(*pytest, *failed):
        return code
    print(f"passed by themselves only, and want mending: {', '.join(failed)}", flush=True)
    return 0


def cached(name: str) -> list[str]:
    """Return the tests that pytest's cache names."""
    path = ROOT / ".pytest_cache" / "v" / name
    return list(json.loads(path.read_text())) if path.is_file() else []


def setup(rest: list[str]) -> int:
    print(f"{VENV} is ready")
    return 0


def fmt(rest: list[str]) -> int:
    return max(call(tool("ruff"), "format", *rest), call(tool("ruff"), "check", "--fix", *rest))


def check(rest: list[str]) -> int:
    """Run every check even when one fails, so that one run shows all there is to mend."""
    beside_servers = [str(PYTHON), "-m", "config.stack", "run", "--"]
    manage = [*beside_servers, str(PYTHON), "manage.py"]
    checks = {
        "format": [tool("ruff"), "format", "--check", "."],
        "lint": [tool("ruff"), "check", "."],
        "types": [*beside_servers, tool("mypy")],
        "imports": [tool("lint-imports"), "--no-cache"],
        "migrations": [*manage, "makemigrations", "--check", "--dry-run"],
        "upgrades": [*manage, "check_migrations"],
        "django": [*manage, "check"],
    }
    failed = [name for name, argv in checks.items() if not passes(name, argv)]
    for path in locks_with_addresses(REQUIREMENTS):
        print(f"stanchion: {path.name} names an address; regenerate it with: python3 bootstrap.py lock")
        failed.append(path.name)
    print(f"check: {'failed: ' + ', '.join(failed) if failed else 'all passed'}")
    return 1 if failed else 0


def lock(rest: list[str]) -> int:
    """Resolve all lock files. Extra indexes of this machine stay out: their hashes would hold for this machine only."""
    if not ensure_uv():
        raise SetupError("uv could not be installed, and only uv can write these lock files")
    for name, sources in LOCKS.items():
        print(f"resolving requirements/{name}", flush=True)
        options = "--universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate -q"
        argv = [tool("uv"), "pip", "compile", *sources, *options.split(), "-o", f"requirements/{name}", *rest]
        index = {
            key: value for key, value in pip_settings_for_uv().items() if key in ("UV_DEFAULT_INDEX", "SSL_CERT_FILE")
        }
        if subprocess.run(argv, env={**os.environ, **index, "UV_PYTHON_DOWNLOADS": "never"}).returncode:
            return 1
    return 1 if locks_with_addresses(REQUIREMENTS) else 0


def passes(name: str, argv: list[str]) -> bool:
    print(f"== {name}", flush=True)
    return call(*argv) == 0


def call(*argv: str) -> int:
    return subprocess.run(argv).returncode


def tool(name: str) -> str:
    return str(VENV / "bin" / name)


def locks_with_addresses(folder: Path) -> list[Path]:
    """Return the lock files that hold a URL or a local path: they would tie an installation to one registry."""
    marks = ("://", "--index-url", "--extra-index-url", "--find-links", " @ ", "file:")
    return [path for path in sorted(folder.glob("*.lock")) if any(mark in path.read_text() for mark in marks)]


# The environment


def require_supported_python() -> None:
    """Go on in a supported Python: this one, or another one found on PATH."""
    if sys.version_info[:2] in SUPPORTED:
        return
    for major, minor in reversed(SUPPORTED):
        other = shutil.which(f"python{major}.{minor}")
        if other and subprocess.run([other, "-c", ""], capture_output=True).returncode == 0:
            replace_process([other, str(Path(__file__).resolve()), *sys.argv[1:]])
    raise SetupError(f"needs Python 3.11, 3.12 or 3.13; this is {sys.version_info[0]}.{sys.version_info[1]}")


def ensure_environment(lock_name: str) -> None:
    """Bring ``.venv`` to what a lock file says. Costs one hash when nothing changed."""
    if is_current(VENV, REQUIREMENTS, lock_name):
        return
    (ROOT / ".stanchion").mkdir(exist_ok=True)
    with (ROOT / ".stanchion" / "setup.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        if is_current(VENV, REQUIREMENTS, lock_name):
            return
        prepare_venv()
        print(f"installing requirements/{lock_name} into .venv", flush=True)
        install(REQUIREMENTS / lock_name)
        stamp_path(VENV, lock_name).write_text(fingerprint(REQUIREMENTS / lock_name))


def is_current(venv: Path, requirements: Path, lock_name: str) -> bool:
    """Tell whether a lock file is installed as it is now. The development lock holds all of the run lock."""
    if not (venv / "bin" / "python").exists():
        return False
    names = {lock_name, "dev.lock"}
    return any(
        stamp_path(venv, name).is_file() and stamp_path(venv, name).read_text() == fingerprint(requirements / name)
        for name in names
    )


def stamp_path(venv: Path, lock_name: str) -> Path:
    return venv / f".installed-{lock_name}"


def fingerprint(lock_path: Path) -> str:
    return hashlib.sha256(lock_path.read_bytes()).hexdigest() if lock_path.exists() else "missing"


def prepare_venv() -> None:
    if not PYTHON.exists():
        create_venv()


def bring_debian_packages(command: str) -> None:
    """Install the Debian packages that ``command`` needs and that are missing, without starting their services."""
    needed = DEBIAN_PACKAGES.get(command, {})
    places = os.pathsep.join((os.environ.get("PATH", os.defpath), *SYSTEM_PROGRAMS))
    missing = [name for name, programs in needed.items() if not any(shutil.which(one, path=places) for one in programs)]
    if not missing:
        return
    by_hand = f"needs {' and '.join(missing)} (Debian: apt install {' '.join(missing)})"
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise SetupError(f"{command} {by_hand}")
    print(f"installing {' '.join(missing)} from Debian", flush=True)
    with services_kept_stopped():
        install = ["apt-get", "install", "--yes", "--no-install-recommends", *missing]
        quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        if (
            subprocess.run(["apt-get", "update", "--quiet"], env=quiet).returncode
            or subprocess.run(install, env=quiet).returncode
        ):
            raise SetupError(f"{command} {by_hand}; installing failed, the message is above")


@contextmanager
def services_kept_stopped() -> Iterator[None]:
    """Let no package start a service: what is installed here runs only as a child of our commands.

    Debian's maintainer scripts ask a program; one that is there already decides by itself.
    """
    if SERVICE_POLICY.exists():
        yield
        return
    SERVICE_POLICY.write_text("#!/bin/sh\nexit 101\n")
    SERVICE_POLICY.chmod(0o755)
    try:
        yield
    finally:
        SERVICE_POLICY.unlink()


def create_venv() -> None:
    print("making .venv", flush=True)
    if importlib.util.find_spec("venv") is None:
        raise SetupError("this Python has no venv module; install it first (Debian: apt install python3-venv)")
    options = [] if importlib.util.find_spec("ensurepip") else ["--without-pip"]
    if subprocess.run([sys.executable, "-m", "venv", "--clear", *options, str(VENV)]).returncode:
        raise SetupError("python3 -m venv failed; its message is above (Debian: apt install python3-venv)")


def install(lock_path: Path) -> None:
    pinned = ["--require-hashes", "-r", str(lock_path)]
    if ensure_uv():
        environment = {**pip_settings_for_uv(), **os.environ, "UV_PYTHON_DOWNLOADS": "never"}
        if (
            subprocess.run(
                [tool("uv"), "pip", "install", "--compile-bytecode", "--python", str(PYTHON), *pinned], env=environment
            ).returncode
            == 0
        ):
            return
        print("uv could not install the lock; trying pip", flush=True)
    if subprocess.run([*pip(), "install", "--no-deps", "--progress-bar", "off", *pinned]).returncode:
        raise SetupError("installing the packages failed; the message is above")


def ensure_uv() -> bool:
    """Install the pinned uv into ``.venv``; False when it cannot be had and pip has to do."""
    installed = VENV / "bin" / "uv"
    if installed.exists() and uv_pin().split("==")[1] in subprocess.check_output([installed, "--version"], text=True):
        return True
    print("installing uv", flush=True)
    argv = [*pip(), "install", "--quiet", "--require-hashes", "-r", str(REQUIREMENTS / "tool.lock")]
    return subprocess.run(argv).returncode == 0


def uv_pin() -> str:
    return (REQUIREMENTS / "tool.in").read_text().strip()


def pip() -> list[str]:
    """Return the command of a pip that installs into ``.venv``: its own, or the system's where ensurepip is missing."""
    if list(VENV.glob("lib/python*/site-packages/pip")):
        return [str(PYTHON), "-m", "pip"]
    if importlib.util.find_spec("pip"):
        return [sys.executable, "-m", "pip", "--python", str(PYTHON)]
    raise SetupError("neither ensurepip nor pip is here; install one (Debian: apt install python3-venv)")


def pip_settings_for_uv() -> dict[str, str]:
    """Translate pip's settings, which uv does not read. They may hold passwords: never print them."""
    listed = subprocess.run([*pip(), "config", "list"], capture_output=True, text=True).stdout
    found: dict[str, str] = {}
    for section in ("global.", "install.", ":env:."):  # later ones win, as in pip
        for line in listed.splitlines():
            key, separator, value = line.partition("=")
            if separator and key.startswith(section):
                found[key.removeprefix(section)] = " ".join(str(ast.literal_eval(value)).split())
    names = {"index-url": "UV_DEFAULT_INDEX", "extra-index-url": "UV_INDEX", "cert": "SSL_CERT_FILE"}
    names.update(
        {"trusted-host": "UV_INSECURE_HOST", "timeout": "UV_HTTP_TIMEOUT", "default-timeout": "UV_HTTP_TIMEOUT"}
    )
    translated = {names[key]: value for key, value in found.items() if key in names}
    if "find-links" in found:
        translated["UV_FIND_LINKS"] = found["find-links"].replace(" ", ",")
    if "UV_INDEX" in translated:
        translated["UV_INDEX_STRATEGY"] = "unsafe-best-match"  # pip's way; the hashes decide what is accepted
    return translated


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
