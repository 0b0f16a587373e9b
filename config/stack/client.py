"""A trading program as it should be: it keeps its keys, and sends again until it is answered."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import aiohttp

_RETRY_SECONDS = 0.2
_CALL_SECONDS = 10.0
_PAGE = 500


class RefusedError(Exception):
    """The API answered with an error that no repetition can change."""

    def __init__(self, status: int, body: object) -> None:
        super().__init__(status, body)
        self.status = status
        self.body = body


@dataclass(slots=True)
class ApiClient:
    """Talks to one installation. Every submission is repeated under its key until it is accepted or refused.

    ``history`` records what the client itself saw: (monotonic time, key, outcome), where the
    outcome is ``invoked``, ``accepted``, ``refused`` or ``unknown``. ``cancels`` are the orders it asked to cancel.
    """

    base_url: str
    token: str
    give_up_seconds: float = 180.0
    history: list[tuple[float, str, str]] = field(default_factory=list)
    accepted: dict[str, str] = field(default_factory=dict)
    cancels: set[str] = field(default_factory=set)
    _session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> "ApiClient":
        self._session = aiohttp.ClientSession(
            headers={"Authorization": f"Bearer {self.token}"},
            timeout=aiohttp.ClientTimeout(total=_CALL_SECONDS),
            connector=aiohttp.TCPConnector(limit=50),
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()

    async def submit(self, key: str, order: dict[str, Any]) -> str:
        """Submit one order and return its id; raises ``RefusedError``, or the last failure after a minute."""
        self._note(key, "invoked")
        body = await self._insist("POST", "/api/v1/orders", json=order, headers={"Idempotency-Key": key}, key=key)
        self._note(key, "accepted")
        self.accepted[key] = body["id"]
        return str(body["id"])

    async def submit_batch(self, orders: dict[str, dict[str, Any]]) -> dict[str, str]:
        """Submit many orders by key in one request and return the ids of those accepted."""
        items = [{"idempotency_key": key, "order": order} for key, order in orders.items()]
        body = await self._insist("POST", "/api/v1/orders:batch", json={"orders": items}, key=next(iter(orders)))
        for key, answer in zip(orders, body["results"], strict=True):
            self._note(key, "accepted" if answer["status"] == 202 else "refused")
            if answer["status"] == 202:
                self.accepted[key] = answer["order"]["id"]
        return {key: self.accepted[key] for key in orders if key in self.accepted}

    async def cancel(self, order_id: str) -> bool:
        """Ask for a cancel; returns False when the order was final already."""
        self.cancels.add(order_id)
        try:
            await self._insist("POST", f"/api/v1/orders/{order_id}/cancel", key=order_id)
        except RefusedError as error:
            if error.status == 409:
                return False
            raise
        return True

    async def replace(self, order_id: str, key: str, changes: dict[str, Any]) -> bool:
        """Ask for a replacement; returns False when the order was final or another change of it was faster."""
        try:
            path = f"/api/v1/orders/{order_id}"
            body = await self._insist("PATCH", path, json=changes, headers={"Idempotency-Key": key}, key=key)
        except RefusedError as error:
            if error.status == 409:
                return False
            raise
        self.accepted[key] = body["id"]
        return True

    async def get(self, path: str) -> Any:
        return await self._insist("GET", path, key=path)

    async def list_orders(self, query: str = "") -> list[dict[str, Any]]:
        """Return all orders, page by page."""
        orders: list[dict[str, Any]] = []
        before = ""
        while True:
            page = await self.get(f"/api/v1/orders?limit={_PAGE}{query}{before}")
            orders += page["results"]
            if page["next_before"] is None:
                return orders
            before = f"&before={page['next_before']}"

    def _note(self, key: str, outcome: str) -> None:
        self.history.append((time.monotonic(), key, outcome))

    async def _insist(self, method: str, path: str, *, key: str, **options: Any) -> Any:
        assert self._session is not None
        deadline = time.monotonic() + self.give_up_seconds
        while True:
            try:
                async with self._session.request(method, self.base_url + path, **options) as response:
                    body = await response.json()
                    if response.status < 400:
                        return body
                    if response.status < 500 and response.status != 429:
                        self._note(key, "refused")
                        raise RefusedError(response.status, body)
                    failure: Exception = RefusedError(response.status, body)
            except (aiohttp.ClientError, TimeoutError) as error:
                failure = error
            self._note(key, "unknown")
            if time.monotonic() > deadline:
                raise failure
            await asyncio.sleep(_RETRY_SECONDS)


async def gather_bounded(calls: list[Callable[[], Awaitable[Any]]], at_once: int = 20) -> None:
    """Make all calls, at most ``at_once`` of them at the same time."""
    gate = asyncio.Semaphore(at_once)

    async def one(call: Callable[[], Awaitable[Any]]) -> None:
        async with gate:
            await call()

    await asyncio.gather(*(one(call) for call in calls))
