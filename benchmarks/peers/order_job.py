"""The one job of every peer: commit an intent; later POST it to the broker and record the answer.

HTTP client and database connection are kept, which is kinder than many a first version. The client
is aiohttp, the product's own, on one event loop thread per process; ``BENCH_HTTP=urllib3`` takes
urllib3's pool instead, the faster choice for synchronous code. Addresses come from the environment.
"""

import asyncio
import functools
import json
import os
import threading
import time
from pathlib import Path

import psycopg

SCHEMA = """
CREATE TABLE orders (
    number bigint PRIMARY KEY,
    client_order_id text NOT NULL UNIQUE,
    terms jsonb NOT NULL,
    state text NOT NULL DEFAULT 'accepted',
    broker_order_id text,
    accepted_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    acknowledged_at timestamptz
)
"""
MARK_SIZE = 31
_INSERT = "INSERT INTO orders (number, client_order_id, terms) VALUES (%s, %s, %s)"
_RECORD = (
    "UPDATE orders SET state = 'working', broker_order_id = %s, acknowledged_at = clock_timestamp() WHERE number = %s"
)
_local = threading.local()
_lock = threading.Lock()


def order_body(number: int) -> bytes:
    """Return the request for one order, as Alpaca's clients send it."""
    return json.dumps(
        {
            "client_order_id": f"bench-{number}",
            "symbol": "ABC",
            "qty": str(number),
            "side": "buy",
            "type": "limit",
            "time_in_force": "day",
            "limit_price": "101.25",
        }
    ).encode()


def accept_row(number: int) -> None:
    """Commit the intent: one row, one transaction."""
    connection().execute(_INSERT, (number, f"bench-{number}", order_body(number).decode()))


def carry_out(number: int) -> None:
    """Send one order, record the broker's id, and mark the instant at which that was committed.

    The terms are made from the number rather than read from the row: one query less than a
    task that takes an id has.
    """
    answer = json.loads(post(order_body(number)))
    connection().execute(_RECORD, (answer["id"], number))
    mark(number)


def connection() -> psycopg.Connection[tuple[object, ...]]:
    """Return this thread's kept connection, in autocommit."""
    kept = getattr(_local, "connection", None)
    if kept is None or kept.closed:
        kept = _local.connection = psycopg.connect(os.environ["BENCH_POSTGRES_URL"], autocommit=True)
    return kept


def post(body: bytes) -> bytes:
    """POST an order and return the answer's body; raise on any other status than 200."""
    with _lock:  # one client per process, made after the fork
        send = _urllib3_sender() if os.environ.get("BENCH_HTTP") == "urllib3" else _aiohttp_sender()
    return send(f"{os.environ['BENCH_BROKER_URL']}/v2/orders", body)


def mark(number: int) -> None:
    """Append ``number instant`` to this process's file: the benchmark reads progress there at no cost to the peer."""
    os.write(_mark_file(), b"%012d %.6f\n" % (number, time.time()))


@functools.cache
def _mark_file() -> int:
    path = Path(os.environ["BENCH_MARKS"]) / str(os.getpid())
    return os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND)


class _AiohttpSender:
    """aiohttp for synchronous callers: the session lives on a loop thread of this process."""

    def __init__(self) -> None:
        import aiohttp
        import uvloop

        self.loop = uvloop.new_event_loop()
        threading.Thread(target=self.loop.run_forever, daemon=True, name="http").start()

        async def open_session() -> aiohttp.ClientSession:
            return aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=100), headers={"Content-Type": "application/json"}
            )

        self.session = asyncio.run_coroutine_threadsafe(open_session(), self.loop).result()

    async def _send(self, url: str, body: bytes) -> bytes:
        async with self.session.post(url, data=body) as answer:
            answer.raise_for_status()
            return await answer.read()

    def __call__(self, url: str, body: bytes) -> bytes:
        return asyncio.run_coroutine_threadsafe(self._send(url, body), self.loop).result(30)


class _Urllib3Sender:
    def __init__(self) -> None:
        import urllib3

        self.pool = urllib3.PoolManager(maxsize=100, block=True)

    def __call__(self, url: str, body: bytes) -> bytes:
        answer = self.pool.request(
            "POST", url, body=body, headers={"Content-Type": "application/json"}, timeout=30, retries=False
        )
        if answer.status != 200:
            raise OSError(f"the broker answered {answer.status}")
        return answer.data


_aiohttp_sender = functools.cache(_AiohttpSender)
_urllib3_sender = functools.cache(_Urllib3Sender)
