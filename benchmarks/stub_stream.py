"""The order stream of the stub broker: it lets anybody in, answers pings and tells of every order it is sent."""

import asyncio
import base64
import hashlib
import json
from typing import cast

_MAGIC = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_BINARY, _CLOSE, _PING, _PONG = 2, 8, 9, 10
_FINAL, _LENGTH = 0x80, 0x7F
_TWO_BYTES = 126
_MASK_BYTES = 4

Frame = tuple[int, bytes]


def accept(key: bytes) -> bytes:
    """Return the answer to the request to upgrade that named ``key``. Source: RFC 6455, section 4.2.2."""
    proof = base64.b64encode(hashlib.sha1(key + _MAGIC, usedforsecurity=False).digest())
    lines = (b"HTTP/1.1 101 Switching Protocols", b"Upgrade: websocket", b"Connection: Upgrade")
    return b"\r\n".join((*lines, b"Sec-WebSocket-Accept: " + proof, b"", b""))


class OrderStream(asyncio.Protocol):
    """One subscriber of Alpaca's ``trade_updates``."""

    transport: asyncio.Transport

    def __init__(self, transport: asyncio.BaseTransport, listeners: set["OrderStream"]) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.listeners = listeners
        self.buffer = b""

    def tell_new(self, order: bytes, instant: str) -> None:
        """Tell of an order that was just taken."""
        parts = (
            b'{"stream": "trade_updates", "data": {"event": "new", "timestamp": "',
            instant.encode(),
            b'", "order": ',
        )
        self._send(_BINARY, b"".join((*parts, order, b"}}")))

    def connection_lost(self, error: Exception | None) -> None:
        self.listeners.discard(self)

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        while (frame := self._next_frame()) is not None:
            self._take(*frame)

    def _take(self, kind: int, payload: bytes) -> None:
        if kind == _CLOSE:
            self.transport.close()
        elif kind == _PING:
            self._send(_PONG, payload)
        elif kind != _PONG:
            action = json.loads(payload).get("action")
            if action == "authenticate":
                self._tell("authorization", {"status": "authorized", "action": "authenticate"})
            elif action == "listen":
                self._tell("listening", {"streams": ["trade_updates"]})
                self.listeners.add(self)

    def _tell(self, stream: str, data: dict[str, object]) -> None:
        self._send(_BINARY, json.dumps({"stream": stream, "data": data}).encode())

    def _send(self, kind: int, payload: bytes) -> None:
        """Send one frame of less than 64 KiB, as a server does: unmasked."""
        if self.transport.is_closing():
            return
        short = len(payload) < _TWO_BYTES
        length = bytes((len(payload),)) if short else bytes((_TWO_BYTES,)) + len(payload).to_bytes(2)
        self.transport.write(bytes((_FINAL | kind,)) + length + payload)

    def _next_frame(self) -> Frame | None:
        """Take one masked frame off the buffer, or None while it is not all there. Source: RFC 6455, section 5.2."""
        if len(self.buffer) < 2:
            return None
        kind, length, start = self.buffer[0] & 0x0F, self.buffer[1] & _LENGTH, 2
        if length == _TWO_BYTES:
            length, start = int.from_bytes(self.buffer[2:4]), 4
        end = start + _MASK_BYTES + length
        if len(self.buffer) < end:
            return None
        mask, masked = self.buffer[start : start + _MASK_BYTES], self.buffer[start + _MASK_BYTES : end]
        self.buffer = self.buffer[end:]
        return kind, bytes(byte ^ mask[place % _MASK_BYTES] for place, byte in enumerate(masked))
