"""One API connection: the handshake, the requests in order, the faults, and the replies once all is on disk."""

import asyncio
import hashlib
from collections.abc import Callable
from datetime import UTC, datetime

from brokers.simulator.faults import IB_REPLY_KINDS, Fault, FaultKind, Operation
from brokers.simulator.ib import wire
from brokers.simulator.ib.answers import ANSWERS, ApiError, client_order_id_of, entry_number_of, request_id_of
from brokers.simulator.ib.gateway import LINK_LOST, NO_REQUEST, Gateway
from brokers.simulator.ib.wire import Binding, Fields

LEDGERED = frozenset({Operation.SUBMIT, Operation.CANCEL})
LATENCY = frozenset({FaultKind.LATENCY})
REFUSE = frozenset({FaultKind.REFUSE_STREAMS})
OUTBOX_LIMIT = 200_000
START_API = 71
SERVER_ERROR = 322
IN_USE = "Unable to connect as the client id is already in use. Retry with a unique client id."
NAMES = {Operation.SUBMIT: "placeOrder", Operation.CANCEL: "cancelOrder"}


class ApiSocket:
    """A connected API client."""

    def __init__(self, gateway: Gateway, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.client_id = NO_REQUEST
        self.deaf_to: set[str] = set()
        self._gateway = gateway
        self._reader = reader
        self._writer = writer
        self._outbox: asyncio.Queue[bytes | None] = asyncio.Queue(OUTBOX_LIMIT)
        self._late: set[asyncio.Task[None]] = set()
        self._groups: dict[int, asyncio.Task[None]] = {}

    async def serve(self) -> None:
        """Speak with the client until one side ends it."""
        sender = asyncio.create_task(self._send_queued())
        try:
            if await self._shake_hands():
                while True:
                    self._take(wire.split(await wire.read_frame(self._reader)))
        except (asyncio.IncompleteReadError, ConnectionError, ValueError, IndexError):
            pass  # a client that leaves, or that does not speak the protocol, is let go
        finally:
            if self._gateway.clients.get(self.client_id) is self:
                del self._gateway.clients[self.client_id]
            for task in self._late:
                task.cancel()
            await asyncio.wait({sender}, timeout=0.2)
            sender.cancel()
            self._writer.transport.abort()

    def send(self, *frames: bytes) -> None:
        """Queue frames; a client that does not read them is cut off in the end."""
        if self._outbox.qsize() + len(frames) >= OUTBOX_LIMIT:
            self.cut()
            return
        for frame in frames:
            self._outbox.put_nowait(frame)

    def cut(self) -> None:
        """End the connection without a word."""
        self._writer.transport.abort()

    async def _shake_hands(self) -> bool:
        """Agree on the version, then take the client in; False if it is turned away."""
        faults = self._gateway.broker.faults
        if await self._reader.readexactly(4) != b"API\0" or faults.strike(REFUSE, Operation.STREAM):
            return False
        offered = (await wire.read_frame(self._reader)).decode(errors="replace")
        lowest, _, highest = offered.split(" ")[0].removeprefix("v").partition("..")
        if not int(lowest) <= wire.SERVER_VERSION <= int(highest or lowest):
            return False
        self.send(wire.frame(wire.SERVER_VERSION, f"{datetime.now(UTC):%Y%m%d %H:%M:%S} UTC"))
        start = wire.split(await wire.read_frame(self._reader))
        if start[0] != str(START_API):
            return False
        wanted = int(start[2])
        if wanted in self._gateway.clients:
            self.send(wire.error(NO_REQUEST, 326, IN_USE))
            self._outbox.put_nowait(None)
            return False
        self.client_id = wanted
        self._gateway.clients[wanted] = self
        self.send(wire.frame(15, 1, self._gateway.account))
        self.send(wire.frame(9, 1, self._gateway.next_order_id(wanted)))
        self.send(wire.error(NO_REQUEST, 2104, "Market data farm connection is OK:usfarm"))
        if not self._gateway.is_linked:
            self.send(wire.error(NO_REQUEST, *LINK_LOST))
        return True

    async def _send_queued(self) -> None:
        """Write what is queued, each frame only after everything recorded before it is on disk."""
        while True:
            frames = [await self._outbox.get()]
            while not self._outbox.empty():
                frames.append(self._outbox.get_nowait())
            await self._gateway.broker.ledger.durable()
            for frame in frames:
                if frame is None:
                    await self._writer.drain()
                    self._writer.close()
                    return
                self._writer.write(frame)
            try:
                await self._writer.drain()
            except ConnectionError:
                return

    def _take(self, fields: Fields) -> None:
        """Carry out one request, at once or after a delay."""
        known = ANSWERS.get(int(fields[0]))
        if known is None:
            self.send(wire.error(NO_REQUEST, 507, f"Bad Message: {fields[0]} is not simulated"))
            return
        operation = known[1]
        request_id = self._record_request(operation, fields) if operation in LEDGERED else 0
        latency = self._gateway.broker.faults.strike(LATENCY, operation)
        entry = entry_number_of(fields)
        before = self._groups.get(entry)
        if latency is None and (before is None or before.done()):
            self._carry_out(fields, operation, request_id, self.send)
            return
        task = asyncio.create_task(self._carry_out_late(fields, operation, request_id, latency, before))
        self._late.add(task)
        task.add_done_callback(self._late.discard)
        if entry:
            self._groups[entry] = task

    async def _carry_out_late(
        self,
        fields: Fields,
        operation: Operation,
        request_id: int,
        latency: Fault | None,
        before: "asyncio.Task[None] | None",
    ) -> None:
        """Carry out a request after its delay, and after those of its group that came before: none overtakes them."""
        if before is not None:
            await asyncio.wait({before})
        seconds = 0.0 if latency is None else latency.parameters.get("ms", 100) / 1000
        if latency is None or not latency.parameters.get("applied", False):
            await asyncio.sleep(seconds)
            self._carry_out(fields, operation, request_id, self.send)
            return
        held: list[bytes] = []
        self._carry_out(fields, operation, request_id, lambda *frames: held.extend(frames))
        await asyncio.sleep(seconds)
        self.send(*held)

    def _carry_out(self, fields: Fields, operation: Operation, request_id: int, send: Callable[..., None]) -> None:
        fault = self._gateway.broker.faults.strike(IB_REPLY_KINDS, operation)
        if fault is None and operation in LEDGERED and not self._gateway.is_linked:
            self._record_reply(fields, request_id, None, None)
            return  # the gateway cannot pass it on, and says nothing until the link is back
        applies = fault is None or _is_applied(fault)
        frames = self._answer(fields, request_id) if applies else []
        if operation in LEDGERED:
            self._record_reply(fields, request_id, fault, 200 if applies else None)
        if fault is None:
            send(*frames)
            return
        if operation in LEDGERED and not fault.parameters.get("answered", False):
            self._turn_deaf(fields)
        self._send_faulty(fields, frames, fault)

    def _answer(self, fields: Fields, request_id: int) -> list[bytes]:
        route = ANSWERS[int(fields[0])][0]
        try:
            return list(route(self._gateway, self, fields, request_id))
        except ApiError as error:
            return [wire.error(error.request_id, error.code, error.text)]

    def _send_faulty(self, fields: Fields, frames: list[bytes], fault: Fault) -> None:
        number = request_id_of(fields)
        parameters = fault.parameters
        match fault.kind:
            case FaultKind.IB_ERROR:
                self.send(wire.error(number, parameters.get("code", SERVER_ERROR), parameters.get("message", "failed")))
                if "status" in parameters:
                    self.send(wire.ended_status(Binding(self.client_id, number), parameters["status"]))
                if parameters.get("answered", False):
                    self.send(*frames)
            case FaultKind.ERROR | FaultKind.AUTH_EXPIRED:
                self.send(wire.error(number, SERVER_ERROR, "Server error when processing an API client request."))
            case FaultKind.RATE_LIMIT:
                self.send(wire.error(NO_REQUEST, 100, "Max rate of messages per second has been exceeded."))
            case FaultKind.WRONG_DATA:
                self._send_damaged(frames, parameters.get("mode", "malformed"))
            case FaultKind.DROP_REPLY | FaultKind.DROP_REQUEST:
                self._outbox.put_nowait(None)

    def _send_damaged(self, frames: list[bytes], mode: str) -> None:
        if mode == "truncated":
            self.send(*(frame[: len(frame) // 2] for frame in frames[:1]))
            self._outbox.put_nowait(None)
            return
        self.send(*(wire.damaged(frame, mode) for frame in frames))

    def _turn_deaf(self, fields: Fields) -> None:
        """Let the client hear nothing more of an order whose reply was lost: events would make up for it."""
        number = request_id_of(fields)
        order = self._gateway.orders.get(Binding(self.client_id, number))
        if order is not None:
            self.deaf_to.add(order.id)

    def _record_request(self, operation: Operation, fields: Fields) -> int:
        broker = self._gateway.broker
        request_id = broker.next_request_id()
        body = ",".join(fields)
        broker.ledger.append(
            {
                "kind": "request",
                "request_id": request_id,
                "operation": operation,
                "method": "TWS",
                "path": NAMES[operation],
                "client_order_id": client_order_id_of(self._gateway, self, fields),
                "body_sha256": hashlib.sha256(body.encode()).hexdigest(),
                "body": body,
            }
        )
        return request_id

    def _record_reply(self, fields: Fields, request_id: int, fault: Fault | None, status: int | None) -> None:
        record = {
            "kind": "reply",
            "request_id": request_id,
            "client_order_id": client_order_id_of(self._gateway, self, fields),
            "outcome": fault.kind if fault else "sent",
            "status": status,
        }
        if fault is not None:
            record["fault_id"] = fault.id
        self._gateway.broker.ledger.append(record)


def _is_applied(fault: Fault) -> bool:
    """Tell whether the request takes effect although its reply will be faulty or missing."""
    if fault.kind in (FaultKind.DROP_REPLY, FaultKind.WRONG_DATA):
        return True
    if fault.kind in (FaultKind.DROP_REQUEST, FaultKind.RATE_LIMIT, FaultKind.AUTH_EXPIRED):
        return False
    answered = bool(fault.parameters.get("answered", False))
    return answered or bool(fault.parameters.get("applied", fault.kind is FaultKind.HANG))
