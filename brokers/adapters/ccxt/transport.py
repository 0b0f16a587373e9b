"""One HTTP attempt at an exchange, under ccxt: what ccxt takes for its aiohttp session.

ccxt reports a failure as one of its classes, which hide what was sent and what came back. So every
attempt is noted in the record of the call it belongs to, and the record decides what a failure proves.
"""

import json
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from brokers.adapters.interface import AccountSettings
from brokers.adapters.reach import guarded_sockets

CONNECTION_LIMIT = 100
REPLY_LIMIT_BYTES = 64 * 1024 * 1024
DNS_CACHE_SECONDS = 30
# Share of the deadline after which a call still waiting for a connection is given up: early
# enough to be told apart from a call that was sent.
_CONNECT_SHARE = 0.9
_NO_CEILING_SECONDS = 1e9


class AttemptError(Exception):
    """An attempt that was stopped here, or a success that is not worth the name; ``code`` is of the error catalogue."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message

    def __str__(self) -> str:
        return self.message


class NotBegunError(AttemptError):
    """The attempt was stopped before anything left."""


class MalformedReplyError(AttemptError):
    """A success whose content is not the exchange's."""

    def __init__(self, message: str) -> None:
        super().__init__("DATA_MALFORMED_REPLY", message)

    def __reduce__(self) -> tuple[type, tuple[str]]:
        return type(self), (self.message,)


class LostConnectionError(aiohttp.ClientError):
    """A connection broke; of a class that the HTTP client does not answer with a second attempt."""


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer, read to its end."""

    status: int
    headers: aiohttp.typedefs.LooseHeaders = field(repr=False, hash=False)
    body: str = field(repr=False)


@dataclass(slots=True)
class Attempt:
    """One request of a call, and what became of it."""

    method: str
    reply: Reply | None = None
    failure: Exception | None = None


@dataclass(slots=True)
class CallRecord:
    """The requests of one call. A call that changes something makes one request that may, never a second."""

    effectful: bool
    attempts: list[Attempt] = field(default_factory=list)

    @property
    def decisive(self) -> Attempt | None:
        """Return the attempt that decides what is proven: the one with an effect, or a query's last."""
        if not self.effectful:
            return self.attempts[-1] if self.attempts else None
        return next((attempt for attempt in self.attempts if attempt.method != "GET"), None)

    def begin(self, method: str) -> Attempt:
        """Note a request about to be sent; raises ``NotBegunError`` for a second one with an effect."""
        if self.effectful and method != "GET" and self.decisive is not None:
            raise NotBegunError("SYSTEM_ADAPTER_FAILURE", "the exchange's client asked for a second request")
        attempt = Attempt(method)
        self.attempts.append(attempt)
        return attempt


current_call: ContextVar[CallRecord] = ContextVar("current_call")


class OneAttemptHttp:
    """Stands in for the ``aiohttp.ClientSession`` of a ccxt exchange; each request is one attempt, with deadlines."""

    def __init__(self, settings: AccountSettings) -> None:
        deadline = settings.call_timeout_seconds
        self.http = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=CONNECTION_LIMIT,
                ttl_dns_cache=DNS_CACHE_SECONDS,
                keepalive_timeout=30,
                socket_factory=guarded_sockets(settings.private_networks),
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(
                total=deadline,
                connect=deadline * _CONNECT_SHARE,
                sock_connect=min(settings.connect_timeout_seconds, deadline * _CONNECT_SHARE),
                ceil_threshold=_NO_CEILING_SECONDS,
            ),
            trust_env=False,
        )

    @property
    def headers(self) -> Mapping[str, str]:
        """Return the headers of every request, which ccxt asks for and extends."""
        return self.http.headers

    def get(self, url: Any, **request: Any) -> "_Exchanged":
        return _Exchanged(self.http, "GET", url, request)

    def post(self, url: Any, **request: Any) -> "_Exchanged":
        return _Exchanged(self.http, "POST", url, request)

    def put(self, url: Any, **request: Any) -> "_Exchanged":
        return _Exchanged(self.http, "PUT", url, request)

    def patch(self, url: Any, **request: Any) -> "_Exchanged":
        return _Exchanged(self.http, "PATCH", url, request)

    def delete(self, url: Any, **request: Any) -> "_Exchanged":
        return _Exchanged(self.http, "DELETE", url, request)

    async def close(self) -> None:
        await self.http.close()


class _Exchanged:
    """One request and its reply, entered like an aiohttp response."""

    def __init__(self, http: aiohttp.ClientSession, method: str, url: Any, request: Mapping[str, Any]) -> None:
        self._http = http
        self._request = method, url, request.get("data"), request.get("headers")
        self.status = 0
        self.reason = ""
        self.headers: Any = {}
        self._body = ""

    async def __aenter__(self) -> "_Exchanged":
        method, url, data, headers = self._request
        if self._http.closed:
            raise NotBegunError("SYSTEM_SESSION_CLOSED", "the session is closed")
        attempt = current_call.get().begin(method)
        try:
            response = await self._http.request(
                method,
                url,
                data=data,
                headers=headers,
                allow_redirects=False,
                middlewares=() if method == "POST" else (_forbid_resending,),
            )
            try:
                self._body = await _read_bounded(response, REPLY_LIMIT_BYTES)
            finally:
                response.release()
            self.status, self.reason, self.headers = response.status, response.reason or "", response.headers
            attempt.reply = Reply(response.status, response.headers, self._body)
            _require_json(attempt.reply)
        except Exception as error:
            attempt.failure = error
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        return None

    async def text(self, errors: str = "replace") -> str:
        return self._body


async def _forbid_resending(request: aiohttp.ClientRequest, send: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """Keep the HTTP client from repeating a request by itself when a kept connection turns out dead."""
    try:
        return await send(request)
    except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError):
        raise
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        raise LostConnectionError(str(error)) from error


async def _read_bounded(response: aiohttp.ClientResponse, limit: int) -> str:
    chunks: list[bytes] = []
    size = 0
    async for chunk in response.content.iter_any():
        size += len(chunk)
        if size > limit:
            response.close()
            raise MalformedReplyError(f"the reply is longer than {limit} bytes")
        chunks.append(chunk)
    return b"".join(chunks).decode(errors="replace")


def _require_json(reply: Reply) -> None:
    """Refuse a success that is no JSON: ccxt would hand on a proxy's page as if it were the answer."""
    if reply.status // 100 != 2 or (reply.status == 204 and not reply.body):
        return
    try:
        json.loads(reply.body)
    except (ValueError, RecursionError) as error:
        raise MalformedReplyError(f"HTTP {reply.status}: not JSON: {error}") from None
