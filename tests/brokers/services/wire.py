"""A real HTTP server on the loopback that stands for Alpaca: it answers as a test wants, and keeps what was asked."""

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from brokers.models import Account, Broker
from brokers.services.accounts import AccountProfile, forget_accounts, get_profile
from brokers.services.credentials import set_credentials

ODD = {"code": 42299999, "message": "the venue sleeps in room 4711"}


class Wire:
    """Answers every call with ``reply(method, path, body)``; ``lines`` and ``headers`` are those of all requests."""

    def __init__(self) -> None:
        self.reply: Callable[[str, str, bytes], tuple[int, str]] = lambda *_: (422, json.dumps(ODD))
        self.lines: list[str] = []
        self.headers: list[dict[str, str]] = []
        wire = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                wire.lines.append(self.requestline)
                wire.headers.append(dict(self.headers.items()))
                status, text = wire.reply(self.command, self.path, body)
                self.send_response(status)
                if status != 204:
                    self.send_header("Content-Type", "application/json")
                    self.send_header("Content-Length", str(len(text.encode())))
                self.end_headers()
                self.wfile.write(text.encode())

            def log_message(self, *_: Any) -> None: ...

        for method in ("GET", "POST", "PATCH", "DELETE"):
            setattr(Handler, f"do_{method}", Handler.answer)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def says(self, status: int, body: str) -> None:
        """Answer everything with this from now on."""
        self.reply = lambda *_: (status, body)

    def correlations(self, method: str = "") -> list[str]:
        """Return the correlation ids of the requests, of one method or all; empty where there was none."""
        found = zip(self.lines, self.headers, strict=True)
        return [headers.get("X-Correlation-ID", "") for line, headers in found if line.startswith(method)]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def wire_profile(wire: Wire) -> AccountProfile:
    """Return the default account, at a broker of the test alone that ``wire`` stands for."""
    addresses = {"base_url": wire.url, "stream_url": "ws://127.0.0.1:9"}
    name = f"wire-{id(wire)}-{wire.url.rpartition(':')[2]}"
    row = Broker.objects.create(name=name, adapter="alpaca", call_timeout_ms=20_000, **addresses)
    account = Account.objects.create(name="desk", broker=row, is_default=True)
    set_credentials(account, {"api_key": "PKWIRE", "api_secret": "wire-secret"})
    account.save()
    forget_accounts()
    return get_profile(account.pk)
