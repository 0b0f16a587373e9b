"""A running stack as the acceptance tests handle it: its processes, brokers and database."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal
from urllib.error import URLError
from urllib.request import Request, urlopen

import psycopg

from brokers.simulator.ledger import LedgerSummary, read_ledger
from config.stack.detours import CONTROL
from config.stack.instance import PORT_NAMES
from config.stack.launch import Account, child_setup
from config.stack.running import ROOT, RunningInstance, running_instance

Broker = Literal["a", "b"]
BROKERS: tuple[Broker, Broker] = ("a", "b")
ORDER_WORKERS = ("worker-orders", "worker-orders-2")
OWN_SERVERS = {"DATABASE_URL": "", "REDIS_URL": "", "STANCHION_SIM_FEEDS": "0"}
READY_SECONDS = 60.0
_POLL_SECONDS = 0.02

# Each kind of process that leads has one that does, each pool process and stream is there.
_NOT_HEALTHY = """
SELECT kinds.kind, 'has no living leader' FROM (VALUES ('sentinel'), ('beat')) AS kinds (kind)
WHERE NOT EXISTS (SELECT 1 FROM reliability_heartbeat h WHERE h.kind = kinds.kind AND h.ended_at IS NULL
                  AND h.beat_at > clock_timestamp() - interval '1 second' AND h.detail ->> 'leader' = 'true')
UNION ALL
SELECT lanes.name, 'has fewer than two living pool processes'
FROM (VALUES ('worker orders'), ('worker recovery%')) AS lanes (name)
WHERE (SELECT count(*) FROM reliability_heartbeat h WHERE h.kind = 'worker' AND h.name LIKE lanes.name
       AND h.ended_at IS NULL AND h.beat_at > clock_timestamp() - interval '1 second') < 2
UNION ALL
SELECT 'the stream of ' || account.name, 'is not up' FROM brokers_account account
LEFT JOIN brokers_streamsession session ON session.account_id = account.id
WHERE session.state IS DISTINCT FROM 'up' OR session.last_alive_at < clock_timestamp() - interval '5 seconds'
"""


@dataclass
class Stack:
    """One instance, what was accepted on it so far, and the problems that sabotage left behind."""

    instance: RunningInstance
    environment: dict[str, str] = field(default_factory=dict)
    accepted: dict[str, str] = field(default_factory=dict)
    known_problems: set[str] = field(default_factory=set)
    abandoned: set[str] = field(default_factory=set)
    known_dead_letters: set[int] = field(default_factory=set)
    killed: dict[int, datetime] = field(default_factory=dict)
    sabotage: Path | None = None

    @property
    def message_broker_url(self) -> str:
        """Where Celery's messages go."""
        return self.environment.get("STANCHION_BROKER_URL") or self.instance.env["REDIS_URL"]

    # -- processes ------------------------------------------------------------------------

    def pid(self, name: str) -> int:
        pid = self.instance.control.process(name)["pid"]
        assert isinstance(pid, int), f"{name} does not run"
        return pid

    def children(self, name: str) -> list[int]:
        """Return the living processes directly below one of the stack's: pool children, gunicorn's workers."""
        pid = self.instance.control.process(name)["pid"]
        return [child for child in children_of(pid) if is_alive(child)] if pid else []

    def kill(self, pid: int) -> None:
        """Kill -9 a process, and remember when; what it forked dies with it."""
        self.killed[pid] = datetime.now(UTC)
        os.kill(pid, signal.SIGKILL)

    def not_healthy(self) -> list[str]:
        """Return what is not in order: processes, the health page, leaders that lead, streams that stand."""
        processes = self.instance.state()["processes"]
        found = [f"{name} is {entry['state']}" for name, entry in processes.items() if not entry["ready"]]
        status, body = self.get("/health/ready")
        if status != 200 or body.get("status") != "ready":
            return [*found, f"/health/ready answers {status} {body}"]
        try:
            return found + [f"{what} {state}" for what, state in self.query(_NOT_HEALTHY)]
        except psycopg.OperationalError as error:
            return [*found, f"the database is away: {error}"]

    @contextmanager
    def beside(
        self, name: str, argv: Sequence[str], extra: Mapping[str, str] | None = None
    ) -> Iterator[subprocess.Popen[bytes]]:
        """Run one more Python process next to the stack's own; it is killed at the end, with what it forked."""
        environment = {**self.instance.environment, **self.environment, "PYTHONUNBUFFERED": "1", **(extra or {})}
        with (self.instance.directory / "logs" / f"{name}.log").open("ab") as log:
            child = subprocess.Popen(
                [sys.executable, *argv],
                cwd=ROOT,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=child_setup(Account.SAME, signal.SIGKILL),
                start_new_session=True,
            )
        try:
            yield child
        finally:
            if child.poll() is None:
                os.killpg(child.pid, signal.SIGKILL)
            child.wait()

    def count_living(self, pids: Sequence[int]) -> int:
        """Return how many of these processes have a pulse."""
        statement = "SELECT count(*) FROM reliability_heartbeat WHERE pid = ANY(%s) AND ended_at IS NULL"
        return int(self.query(statement, [list(pids)])[0][0])

    # -- the API, the brokers and the database --------------------------------------------

    def get(self, path: str) -> tuple[int, dict[str, Any]]:
        """Return status and body of a page of the web process; status 0 when nobody answers."""
        try:
            with urlopen(self.instance.urls["web"] + path, timeout=5) as response:
                return response.status, json.load(response)
        except (URLError, OSError, ValueError) as error:
            return getattr(error, "code", 0), {"error": str(error)}

    def post(self, path: str, body: dict[str, Any]) -> Any:
        """Return what the API answers to a request of the person who set the stack up."""
        headers = {
            "Content-Type": "application/json",
            "Authorization": f"Bearer {self.instance.env['STANCHION_API_TOKEN']}",
        }
        request = Request(self.instance.urls["web"] + path, json.dumps(body).encode(), headers)
        with urlopen(request, timeout=10) as response:
            return json.load(response)

    def fault(self, broker: Broker, kind: str, **parameters: Any) -> str:
        """Switch a fault of a simulated broker on and return its id; the address it may shut is not the one asked."""
        by = broker if parameters.get("endpoint") == "backup" else f"{broker}-backup"
        return str(self._call(by, "POST", "/sim/faults", {"kind": kind, **parameters})["id"])

    def end_fault(self, broker: Broker, number: str) -> None:
        """Switch one fault off; raises ``HTTPError`` when it has ended already."""
        self._call(f"{broker}-backup", "DELETE", f"/sim/faults/{number}")

    def clear_faults(self) -> None:
        """Switch all faults off, by the second address: the first one may be shut."""
        for broker in BROKERS:
            self._call(f"{broker}-backup", "DELETE", "/sim/faults")

    def true_bars(self, broker: Broker, symbol: str, first: datetime, last: datetime) -> list[dict[str, Any]]:
        """Return the minute bars of a symbol as a simulated broker's history has them, both ends included."""
        moments = "&".join(f"{name}={one:%Y-%m-%dT%H:%M:%SZ}" for name, one in (("start", first), ("end", last)))
        path = f"/v2/stocks/bars?symbols={symbol}&timeframe=1Min&limit=10000&{moments}"
        return list(self._call(broker, "GET", path, headers=self._keys)["bars"].get(symbol, []))

    def send_bar(self, broker: Broker, symbol: str, bar: Mapping[str, Any]) -> int:
        """Have a simulated broker send a bar to its listeners, true or not; return how many that are."""
        return int(self._call(broker, "POST", "/sim/bars", {"symbol": symbol, "bar": dict(bar)})["listeners"])

    def ledgers(self) -> dict[str, LedgerSummary]:
        """Return the ledger of each broker, by the account that trades there."""
        return {f"sim-{broker}": read_ledger(self.instance.directory / f"simbroker-{broker}") for broker in BROKERS}

    def query(self, statement: str, parameters: Sequence[Any] | Mapping[str, Any] = ()) -> list[tuple[Any, ...]]:
        """Return the rows of a query of the stack's own database."""
        with psycopg.connect(self.instance.env["DATABASE_URL"], autocommit=True, connect_timeout=3) as connection:
            return connection.execute(statement, parameters or None).fetchall()

    def execute(self, statement: str) -> None:
        """Run a statement that changes the stack's own database."""
        with psycopg.connect(self.instance.env["DATABASE_URL"], autocommit=True, connect_timeout=3) as connection:
            connection.execute(statement)

    def take_away(self, protection: str) -> None:
        """Take a protection away from the processes of a stack that runs on the sabotage settings."""
        assert self.sabotage is not None
        (self.sabotage / protection).touch()

    def restore(self, protection: str) -> None:
        assert self.sabotage is not None
        (self.sabotage / protection).unlink(missing_ok=True)

    def restore_all(self) -> None:
        assert self.sabotage is not None
        for path in self.sabotage.iterdir():
            path.unlink()

    def accept_dead_letters(self) -> None:
        """Take the dead letters there are as asked for: only further ones are problems."""
        self.known_dead_letters |= {row[0] for row in self.query("SELECT id FROM reliability_job WHERE state = 'dead'")}

    @property
    def _keys(self) -> dict[str, str]:
        """Return the headers that let a caller of the brokers' trading and data APIs in."""
        names = {"APCA-API-KEY-ID": "STANCHION_SIM_API_KEY", "APCA-API-SECRET-KEY": "STANCHION_SIM_API_SECRET"}
        known = {**self.instance.environment, **self.instance.env}
        return {header: known[name] for header, name in names.items()}

    def _call(
        self,
        broker: str,
        method: str,
        path: str,
        body: dict[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        return _ask(self.instance.urls[f"simbroker-{broker}"] + path, method, body, headers)

    # -- the proxy between the processes and what they depend on ---------------------------

    def toxic(self, link: str, kind: str, **parameters: Any) -> int:
        """Switch a fault of a link on and return its number."""
        return int(_ask(f"{self._proxy}/toxics", "POST", {"link": link, "kind": kind, **parameters})["id"])

    def end_toxic(self, number: int) -> None:
        """Switch one fault off; raises ``HTTPError`` when there is none of that number."""
        _ask(f"{self._proxy}/toxics/{number}", "DELETE")

    def clear_toxics(self) -> None:
        if self.has_proxy:
            _ask(f"{self._proxy}/toxics", "DELETE")

    def toxics(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = _ask(f"{self._proxy}/toxics", "GET")["toxics"] if self.has_proxy else []
        return found

    def active_faults(self) -> list[str]:
        """Return the kinds of the faults that are switched on at the brokers."""
        return [fault["kind"] for broker in BROKERS for fault in self._call(f"{broker}-backup", "GET", "/sim/faults")]

    @property
    def has_proxy(self) -> bool:
        return "proxy" in self.instance.state()["processes"]

    @property
    def _proxy(self) -> str:
        base = int(self.instance.env["STANCHION_PORT_BASE"])
        return f"http://127.0.0.1:{base + PORT_NAMES.index(CONTROL)}"


@contextmanager
def running_stack(environment: dict[str, str] | None = None) -> Iterator[Stack]:
    """Start a stack of its own servers and yield it; with STANCHION_ACCEPTANCE_KEEP set its directory stays."""
    keep = bool(os.environ.get("STANCHION_ACCEPTANCE_KEEP"))
    with running_instance(
        environment={**OWN_SERVERS, **(environment or {})}, without=["flower"], keep=keep
    ) as instance:
        stack = Stack(instance, environment or {})
        print(f"\nstack in {instance.directory}")
        wait_until(lambda: not stack.not_healthy(), "the stack is healthy")
        yield stack


def _ask(url: str, method: str, body: dict[str, Any] | None = None, headers: Mapping[str, str] | None = None) -> Any:
    data = json.dumps(body).encode() if body is not None else None
    request = Request(url, data, {"Content-Type": "application/json", **(headers or {})}, method=method)
    with urlopen(request, timeout=5) as response:
        text = response.read()
    return json.loads(text) if text else None


def wait_until(condition: Callable[[], object], what: str, seconds: float = READY_SECONDS) -> float:
    """Return how long it took until the condition held; fail when it does not in time."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < seconds, f"not within {seconds:.0f} s: {what}"
        time.sleep(_POLL_SECONDS)
    return time.monotonic() - began


def children_of(pid: int) -> list[int]:
    """Return the processes directly below one, the dead among them; none when it has gone."""
    with suppress(FileNotFoundError, ProcessLookupError):
        return [
            int(word)
            for task in Path(f"/proc/{pid}/task").iterdir()
            for word in (task / "children").read_text().split()
        ]
    return []


def is_alive(pid: int) -> bool:
    """A zombie counts as dead: only its parent can remove it."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return status.rpartition(")")[2].split()[0] not in "ZX"


def descendants(pid: int) -> list[int]:
    """Return the living processes below one, at any depth."""
    found = [child for child in children_of(pid) if is_alive(child)]
    return [*found, *(deeper for child in found for deeper in descendants(child))]
