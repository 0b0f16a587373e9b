"""``python -m config.stack``: run the whole stack, or parts of it, on this machine."""

import argparse
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from config.stack.console import print_status
from config.stack.control import Control, ControlError
from config.stack.earlier_release import NoEarlierReleaseError
from config.stack.instance import (
    Instance,
    InstanceInUseError,
    is_in_use,
    open_instance,
    remove,
)
from config.stack.observe import ObserveError
from config.stack.ports import NoFreePortsError
from config.stack.postgres import PostgresError
from config.stack.running import InstanceFailedError, running_instance
from config.stack.serve import Scope, serve
from config.stack.supervisor import StartError
from config.stack.templates import CACHE
from config.stack.valkey import ValkeyError

_FAILURES = (
    StartError,
    PostgresError,
    ValkeyError,
    ControlError,
    InstanceInUseError,
    NoFreePortsError,
    InstanceFailedError,
    ObserveError,
    NoEarlierReleaseError,
)


def main(arguments: list[str]) -> int:
    args = _parser().parse_args(arguments)
    try:
        return int(args.run(args))
    except _FAILURES as error:
        print(f"stanchion: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m config.stack", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, scope, text in (
        ("up", Scope.STACK, "start everything and stay"),
        ("observe", Scope.OBSERVED, "the same with Prometheus and Alertmanager"),
        ("services", Scope.SERVICES, "start PostgreSQL and Valkey only and stay"),
    ):
        command = commands.add_parser(name, help=text)
        command.add_argument("--directory", type=Path, help="instance directory; default .stanchion/default")
        command.add_argument("--without", action="append", default=[], metavar="PROCESS", help="leave a process out")
        command.add_argument("--quiet", action="store_true", help="leave what processes say to their log files")
        command.add_argument("--temporary", action="store_true", help="delete the directory at the end")
        command.add_argument("--until-eof", action="store_true", help="also stop when standard input closes")
        command.set_defaults(run=_up, scope=scope)
    demo = commands.add_parser("demo", help="show orders going through failures in a temporary instance")
    demo.add_argument("--keep", action="store_true", help="keep the instance directory at the end")
    demo.add_argument("--orders", type=int, default=300, help="orders to send (300)")
    demo.add_argument(
        "--json", type=Path, metavar="FILE", default=CACHE / "demo-report.json", help="the report, order by order"
    )
    demo.set_defaults(run=_demo)
    drill = commands.add_parser("backup-drill", help="back up, wipe, restore and reconcile a temporary instance")
    drill.add_argument("--orders", type=int, default=60, help="orders before the backup (60)")
    drill.add_argument("--json", type=Path, metavar="FILE", help="write what was found")
    drill.set_defaults(run=_backup_drill)
    upgrade = commands.add_parser("upgrade-drill", help="replace an earlier release by this one while orders flow")
    upgrade.add_argument("--from", dest="reference", metavar="REF", help="commit of the earlier release")
    upgrade.add_argument("--rate", type=float, default=5.0, help="orders a second (5)")
    upgrade.add_argument("--stage", type=float, default=3.0, metavar="SECONDS", help="of each stage, at least (3)")
    upgrade.add_argument("--json", type=Path, metavar="FILE", help="write what was found")
    upgrade.set_defaults(run=_upgrade_drill)
    status = commands.add_parser("status", help="show what runs")
    status.add_argument("--directory", type=Path, help="one instance; default all in .stanchion")
    status.set_defaults(run=_status)
    run = commands.add_parser("run", help="run a command beside a temporary PostgreSQL and Valkey")
    run.add_argument("argv", nargs=argparse.REMAINDER, metavar="-- COMMAND")
    run.set_defaults(run=_run)
    return parser


def _up(args: argparse.Namespace) -> int:
    signal.signal(signal.SIGTERM, _exit)  # until the supervisor has its own
    default = "services" if args.scope is Scope.SERVICES else "default"
    instance = open_instance(args.directory) if args.directory else _first_free(default)
    try:
        serve(instance, args.scope, quiet=args.quiet, without=args.without, until_eof=args.until_eof)
    finally:
        instance.close()
        if args.temporary:
            remove(instance.directory)
    return 0


def _exit(number: int, frame: object) -> None:
    sys.exit(128 + number)


def _first_free(name: str) -> Instance:
    """Open the default instance, or the next one that nobody runs."""
    candidates = [name, *(f"{name}-{number}" for number in range(2, 100))]
    for candidate in candidates:
        try:
            return open_instance(CACHE / candidate)
        except InstanceInUseError as error:
            refusal = error
    raise refusal


def _backup_drill(args: argparse.Namespace) -> int:
    from config.stack import backup_drill

    print("starting PostgreSQL, Valkey, two simulated brokers and the application ...")
    with running_instance(environment={"DATABASE_URL": "", "REDIS_URL": ""}, without=["flower"]) as instance:
        return backup_drill.show(instance, orders=args.orders, file=args.json)


def _upgrade_drill(args: argparse.Namespace) -> int:
    from config.stack import upgrade_drill

    return upgrade_drill.show(args.reference, rate=args.rate, stage_seconds=args.stage, file=args.json)


def _demo(args: argparse.Namespace) -> int:
    from config.stack import demo

    with running_instance(quiet=True, keep=args.keep, report=print) as instance:
        return demo.run(instance, orders=args.orders, file=args.json)


def _status(args: argparse.Namespace) -> int:
    directories = [args.directory] if args.directory else [path.parent for path in sorted(CACHE.glob("*/state.json"))]
    states = [_state_now(directory) for directory in directories]
    if not states:
        print("nothing has been started here")
    print_status(states)
    return 0


def _state_now(directory: Path) -> dict[str, Any]:
    """Return the state of an instance; what a killed supervisor left behind is called that."""
    state = Control(directory).state()
    if state["status"] not in ("stopped", "failed") and not is_in_use(directory):
        state["status"] = "killed"
    return state


def _run(args: argparse.Namespace) -> int:
    argv = args.argv[1:] if args.argv[:1] == ["--"] else args.argv
    if not argv:
        raise ControlError("run needs a command: run -- COMMAND")
    with running_instance(scope=Scope.SERVICES) as instance:
        return subprocess.run(argv, env=instance.environment).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
