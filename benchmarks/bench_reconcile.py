"""What comparing costs once the broker has answered: ``python -m benchmarks.bench_reconcile``.

Open orders of which one in a hundred differs, and 10,000 positions of which one in a hundred does. Every difference
must be found and none invented, or the command fails. Then the same small account with 0 and with 1,000,000
finished orders behind it: an incremental run must not feel them.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.evidence import machine_line, write_evidence
from benchmarks.measure import Noise
from benchmarks.peers.stanchion import environment
from benchmarks.reconciling.world import World, make_world
from benchmarks.services import Services

_MOST_SELECTS = 100_000
_AIMS = {100_000: 1.0, 1_000_000: 10.0}


def main() -> int:
    parser = argparse.ArgumentParser(description="Measure what reconciliation costs.")
    parser.add_argument("--sizes", type=int, nargs="*", default=[10_000, 100_000, 1_000_000], metavar="ORDERS")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--history", type=int, default=1_000_000, help="finished orders behind the small account")
    parser.add_argument("--only", action="append", metavar="CONTENDER", help="this one alone; may be repeated")
    parser.add_argument("--json", metavar="FILE", help="write every figure, with machine and versions")
    arguments = parser.parse_args()
    results: list[dict[str, Any]] = []
    with Services() as services:
        os.environ.update(environment(services))
        account, owner = _install()
        worlds = [(size, 2 * size if size < 1_000_000 else 0) for size in arguments.sizes]
        worlds += [(10_000, 0), (10_000, arguments.history)] if arguments.history else []
        for number, (size, history) in enumerate(worlds, 1):
            _tell(f"world {number} of {len(worlds)}: {size:,} open orders, {history:,} finished ones are being written")
            world = make_world(
                services.postgres_url, services.folder, account, owner, open_orders=size, history=history
            )
            for contender in _contenders(size, is_history_test=(size, history) in worlds[len(arguments.sizes) :]):
                if arguments.only and contender not in arguments.only:
                    continue
                _tell(f"{contender}: {arguments.rounds} rounds")
                result = _measure(services, world, contender, arguments.rounds)
                results.append(result)
                print(_line(result), flush=True)
                _keep(arguments, results)
    print(machine_line())
    return 0


def _tell(progress: str) -> None:
    """Say how far it is, beside the results: a million orders take minutes to write and to compare."""
    print(f"# {progress}", file=sys.stderr, flush=True)


def _keep(arguments: argparse.Namespace, results: list[dict[str, Any]]) -> None:
    """Write what is measured so far: a run of a million orders is long, and may be stopped."""
    if arguments.json:
        parameters = {"sizes": arguments.sizes, "rounds": arguments.rounds, "history": arguments.history}
        write_evidence(Path(arguments.json), "reconcile", parameters, results)


def _install() -> tuple[int, int]:
    """Set the schema up and return the account's and the owner's ids."""
    import django

    django.setup()
    from django.contrib.auth import get_user_model
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    call_command("prepare_installation", verbosity=0)
    from brokers.models import Account

    owner = get_user_model().objects.get(username="bench")
    return Account.objects.get(is_default=True).pk, owner.pk


def _contenders(size: int, *, is_history_test: bool) -> list[str]:
    if is_history_test:
        return ["incremental"]
    return ["full", "incremental", "sql", *(["select"] if size <= _MOST_SELECTS else [])]


def _measure(services: Services, world: World, contender: str, rounds: int) -> dict[str, Any]:
    """Run one contender some times, check what it found, and return the median with the spread."""
    if contender == "select" and world.open > 10_000:
        rounds = 1
    answers, noise = [], Noise([os.getpid()])
    for _ in range(rounds):
        answers.append(_run(services, world, contender))
    seconds = [one["seconds"] for one in answers]
    result = {
        "contender": contender,
        "open": world.open,
        "history": world.history,
        "seconds": round(statistics.median(seconds), 3),
        "all_seconds": [round(one, 3) for one in seconds],
        "others_share": round(noise.share(), 2),
        "aim_seconds": _AIMS.get(world.open) if contender == "full" else None,
    }
    for name in ("cpu_seconds", "keeping", "comparing", "reading", "peak_mb", "base_mb", "backend_mb"):
        if name in answers[0]:
            result[name] = round(statistics.median(one[name] for one in answers), 3)
    if "found" in answers[0]:
        result["differences"] = len(world.expected)
    return result


def _run(services: Services, world: World, contender: str) -> dict[str, Any]:
    argv = [sys.executable, "-m", "benchmarks.reconciling.contenders", contender, services.postgres_url]
    argv += [str(world.account), str(world.pages), str(world.positions)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{contender} failed:\n{done.stderr[-2000:]}")
    answer: dict[str, Any] = json.loads(done.stdout)
    if "found" in answer:
        found = {(kind, subject) for kind, subject in answer["found"]}
        missed, invented = world.expected - found, found - world.expected
        if missed or invented:
            raise SystemExit(f"{contender} missed {sorted(missed)[:5]} and invented {sorted(invented)[:5]}")
    if "count" in answer and answer["count"] != world.order_differences:
        raise SystemExit(f"{contender} found {answer['count']} of {world.order_differences} differences of orders")
    return answer


def _line(result: dict[str, Any]) -> str:
    memory = f"{result['peak_mb']:.0f} MB (before {result['base_mb']:.0f})"
    if "backend_mb" in result:
        memory += f", backend {result['backend_mb']:.0f} MB"
    aim = f", aim {result['aim_seconds']} s" if result["aim_seconds"] else ""
    head = f"{result['open']:>9,} open, {result['history']:>9,} finished  {result['contender']:<11} "
    times = f"{result['seconds']:8.3f} s {result['all_seconds']}{aim}; {result['cpu_seconds']:.2f} s of processor"
    return f"{head} {times}; reading {result['reading']:.2f} s; {memory}; others {result['others_share']:.0%}"


if __name__ == "__main__":
    sys.exit(main())
