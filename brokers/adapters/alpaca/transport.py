"""One HTTP attempt at Alpaca: connections kept open, deadlines, bounded replies, classified failures."""

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

import aiohttp
from multidict import CIMultiDictProxy
from yarl import URL

from brokers.adapters.alpaca.errors import (
    Operation,
    classify_exception,
    classify_response,
    malformed_reply,
    not_sent,
)
from brokers.adapters.alpaca.parsing import ParseError, parse_json
from brokers.adapters.errors import BrokerCallError
from brokers.adapters.interface import AccountSettings
from brokers.adapters.reach import guarded_sockets
from reliability.core.correlation import current_correlation_id
from reliability.core.taxonomy import FailureKind

CONNECTION_LIMIT = 100
CORRELATION_HEADER = "X-Correlation-ID"
_CORRELATION_ID_MAX = 128
REPLY_LIMIT_BYTES = 8 * 1024 * 1024
DNS_CACHE_SECONDS = 30
# Share of the deadline after which a call still waiting for a connection is given up: early
# enough to be told apart from a call that was sent.
_CONNECT_SHARE = 0.9
_NO_CEILING_SECONDS = 1e9


class Reply(NamedTuple):
    """One answer, read to its end."""

    status: int
    headers: CIMultiDictProxy[str]
    body: bytes


class _LostConnectionError(aiohttp.ClientError):
    """A connection broke; of a class that the HTTP client does not answer with a second attempt."""


async def _forbid_resending(request: aiohttp.ClientRequest, send: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """Keep the HTTP client from repeating a GET or DELETE by itself when a kept connection turns out dead."""
    try:
        return await send(request)
    except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError):
        raise
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        raise _LostConnectionError(str(error)) from error


class AlpacaTransport:
    """The connections of one account and its credentials."""

    def __init__(self, settings: AccountSettings) -> None:
        self._key, self._secret = read_credentials(settings)
        deadline = settings.call_timeout_seconds
        self.http = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=CONNECTION_LIMIT,
                ttl_dns_cache=DNS_CACHE_SECONDS,
                keepalive_timeout=30,
                socket_factory=guarded_sockets(settings.private_networks),
            ),
            headers={
                "APCA-API-KEY-ID": self._key,
                "APCA-API-SECRET-KEY": self._secret,
                "Accept": "application/json",
                "User-Agent": "stanchion",
            },
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(
                total=deadline,
                connect=deadline * _CONNECT_SHARE,
                sock_connect=min(settings.connect_timeout_seconds, deadline * _CONNECT_SHARE),
                ceil_threshold=_NO_CEILING_SECONDS,
            ),
            trust_env=False,
        )

    async def call(
        self,
        operation: Operation,
        method: str,
        url: URL,
        *,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        reply_limit: int = REPLY_LIMIT_BYTES,
    ) -> Reply:
        """Make one attempt and return whatever was answered; raises ``BrokerCallError`` if nothing was."""
        if self.http.closed:
            raise not_sent(FailureKind.TRANSIENT, "SYSTEM_SESSION_CLOSED", "the session is closed")
        try:
            response = await self.http.request(
                method,
                url,
                data=body,
                headers=_correlated(headers),
                allow_redirects=False,
                middlewares=() if method == "POST" else (_forbid_resending,),
            )
            try:
                content = await _read_bounded(response, reply_limit)
            finally:
                response.release()
            return Reply(response.status, response.headers, content)
        except Exception as error:
            failure = self._classify(operation, error)
        # Raised here, apart from its cause: exceptions of the HTTP client hold the request headers.
        raise failure

    def refusal(self, operation: Operation, reply: Reply) -> BrokerCallError:
        """Return the error behind a reply that is not a success."""
        text = self._redact(reply.body[:65536].decode(errors="replace"))
        return classify_response(operation, reply.status, reply.headers, text, datetime.fromtimestamp(time.time(), UTC))

    def document(self, operation: Operation, reply: Reply) -> Any:
        """Return the JSON of a successful reply; raises ``BrokerCallError`` for anything else."""
        if reply.status // 100 != 2:
            raise self.refusal(operation, reply)
        try:
            return parse_json(reply.body)
        except ParseError as error:
            raise self.distrust(operation, reply, error) from error

    def distrust(self, operation: Operation, reply: Reply, reason: ParseError) -> BrokerCallError:
        """Return the error of a success that does not keep the broker's contract."""
        return malformed_reply(operation, reply.status, self._redact(str(reason)))

    async def close(self) -> None:
        await self.http.close()

    def _classify(self, operation: Operation, error: Exception) -> BrokerCallError:
        cause = error.__cause__ if isinstance(error, _LostConnectionError) and error.__cause__ else error
        failure = classify_exception(operation, cause)
        return failure.reworded(self._redact(failure.message))

    def _redact(self, text: str) -> str:
        return text.replace(self._secret, "[secret]").replace(self._key, "[key]")


def _correlated(headers: Mapping[str, str] | None) -> Mapping[str, str] | None:
    """Return the headers with the id of what this call is made for, unless they name one."""
    correlation_id = current_correlation_id()
    if (headers and CORRELATION_HEADER in headers) or not is_header_value(correlation_id):
        return headers
    return {**(headers or {}), CORRELATION_HEADER: correlation_id}


def is_header_value(text: str) -> bool:
    """Return whether ``text`` is one plain line that a header can carry."""
    return 0 < len(text) <= _CORRELATION_ID_MAX and text.isascii() and text.isprintable()


async def _read_bounded(response: aiohttp.ClientResponse, limit: int) -> bytes:
    chunks = []
    size = 0
    async for chunk in response.content.iter_any():
        size += len(chunk)
        if size > limit:
            response.close()
            raise ParseError(f"the reply is longer than {limit} bytes")
        chunks.append(chunk)
    return b"".join(chunks) if len(chunks) != 1 else chunks[0]


def read_credentials(settings: AccountSettings) -> tuple[str, str]:
    """Return key and secret; raises ``BrokerCallError`` when they are missing or cannot be a header."""
    pair = settings.credentials.get("api_key", ""), settings.credentials.get("api_secret", "")
    for name, value in zip(("api_key", "api_secret"), pair, strict=True):
        if not value or not value.isascii() or not value.isprintable():
            raise misconfigured(settings, f"the credential {name} is missing or malformed")
    return pair


def read_url(settings: AccountSettings, text: str, *schemes: str) -> URL:
    """Return a base URL; raises ``BrokerCallError`` when it is not one."""
    try:
        url = URL(text.rstrip("/"))
    except ValueError:
        raise misconfigured(settings, "a URL of the account is malformed") from None
    if url.scheme not in schemes or not url.host or url.user or url.password or url.query_string:
        raise misconfigured(settings, f"a URL of the account is not plain {'/'.join(schemes)}")
    return url


def misconfigured(settings: AccountSettings, problem: str) -> BrokerCallError:
    message = f"account {settings.account}: {problem}"
    return not_sent(FailureKind.TRANSIENT, "SYSTEM_ACCOUNT_MISCONFIGURED", message)
