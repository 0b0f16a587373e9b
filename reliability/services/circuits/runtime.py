"""The circuits of one process with the threads that serve them."""

import logging
import os
import socket
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from django.db import connections

from reliability.core.breaker import Cause, parse_state
from reliability.services.circuits.circuit import Circuit
from reliability.services.circuits.hooks import HookRunner
from reliability.services.circuits.link import Link
from reliability.services.circuits.listener import Listener
from reliability.services.circuits.store import Answer, Step, encode_settings, parse_change
from reliability.services.circuits.values import CircuitTruth, Transition

Loader = Callable[[str], CircuitTruth | None]

logger = logging.getLogger(__name__)


class Runtime:
    """Starts its threads at the first question to a circuit, in whichever process that is.

    Args:
        url: Where the shared state is; blank for none, then each process decides alone.
        find_loader: Returns the loader of settings and pins, or None.
    """

    def __init__(self, url: str, find_loader: Callable[[], Loader | None], host: str = "") -> None:
        self._url, self._find_loader = url, find_loader
        self.host = host or socket.gethostname()
        self.circuits: dict[str, Circuit] = {}
        self.restart()

    def restart(self) -> None:
        """Begin without threads and without knowledge: at birth, and in the child of a fork."""
        self.process = f"{self.host}:{os.getpid()}:{uuid4().hex[:8]}"
        self._lock = threading.Lock()
        self._link: Link | None = None
        self._listener: Listener | None = None
        self._hooks = HookRunner(self.process)
        self._loading: set[str] = set()
        self._loaded: set[str] = set()
        for circuit in self.circuits.values():
            circuit.restart()

    def get(self, name: str) -> Circuit:
        circuit = self.circuits.get(name)
        if circuit is None:
            with self._lock:
                circuit = self.circuits.setdefault(name, Circuit(name, self))
        return circuit

    @property
    def link(self) -> Link:
        return self._link or self._start()

    @property
    def is_running(self) -> bool:
        return self._link is not None

    def warm(self) -> None:
        """Begin to read the shared state, without waiting for it."""
        if self._link is None:
            self._start()

    @property
    def errors(self) -> int:
        """Failures of the store this process has met."""
        return self._link.errors if self._link else 0

    def stop(self) -> None:
        """End the threads, once all hooks were told what is known."""
        if self._listener:
            self._listener.stop()
        if self._link:
            self._link.stop()
            self._hooks.stop()

    def tell_all(self) -> None:
        """Let the hooks hear what is known: a short program would end before them."""
        if self._link:
            self._hooks.stop()

    def tell(self, transition: Transition) -> None:
        if self._link is None:
            self._start()
        self._hooks.tell(transition)

    def hear(self, raw: dict[str, Any]) -> None:
        """Take a message of another process, in the thread of the listener."""
        circuit = self.circuits.get(raw["name"])
        if "to" in raw:
            self.tell(parse_change(raw))
        if circuit is None or circuit.version < 0:
            return
        is_next = raw["gen"] == circuit.generation and raw["cfg"] == circuit.settings_version
        if is_next and "to" in raw:
            circuit.adopt(_view_of(raw))
        else:
            self.link.look_now()

    # In the thread of the link

    def settle(self, step: Step, answer: Answer | None) -> Sequence[Step]:
        """Take the answer of a step; returns the steps that follow from it."""
        circuit = self.circuits.get(step.name)
        if answer is None:
            if circuit is not None and circuit.version < 0:
                self.load(step.name)
            return ()
        for transition in (*answer.changes, *answer.log):
            self.tell(transition)
        if circuit is None:
            return ()
        if step.operation == "create":
            self.load(step.name)
        follow = circuit.adopt(answer)
        if answer.alone:
            circuit.open_alone(Cause(answer.alone))
        return (follow,) if follow else ()

    def create(self, name: str) -> Step:
        """Return the step that makes a circuit in a store that does not have it."""
        return Step(name, "create", (uuid4().hex, *self.get(name).creation()))

    def tick(self) -> None:
        """Hand on what was counted, then read what is new: messages may have been lost."""
        circuits = list(self.circuits.values())
        steps = [step for circuit in circuits if (step := circuit.pending())]
        if steps:
            self.link.run(steps)
        was_up = self.link.is_up
        versions = self.link.versions([circuit.name for circuit in circuits])
        if versions is None:
            for circuit in circuits:
                circuit.expire_locally()
                if circuit.version < 0 and circuit.name not in self._loaded:
                    self.load(circuit.name)
            return
        if not was_up:
            for circuit in circuits:
                self.load(circuit.name)
        news = [
            Step(circuit.name, "read", (circuit.version,), circuit.settings_version)
            for circuit, found in zip(circuits, versions, strict=True)
            if found != circuit.knows()
        ]
        if news:
            self.link.run(news)

    # The durable record

    def load(self, name: str) -> None:
        """Ask the loader for settings and pin of a circuit, in a thread of its own."""
        loader = self._find_loader()
        if loader is None or name in self._loading:
            return
        self._loading.add(name)
        threading.Thread(target=self._load, args=(loader, name), name="circuit-loader", daemon=True).start()

    def _load(self, loader: Loader, name: str) -> None:
        try:
            truth = loader(name)
        except Exception:
            logger.exception("the settings of a circuit could not be loaded", extra={"circuit": name})
            return
        finally:
            self._loading.discard(name)
            with suppress(Exception):
                connections.close_all()
        self._loaded.add(name)
        if truth is not None:
            self._apply(name, truth)

    def _apply(self, name: str, truth: CircuitTruth) -> None:
        pin = truth.pin
        lasts_ms = None
        if pin is not None and pin.expires_at is not None:
            lasts_ms = int((pin.expires_at - datetime.now(UTC)).total_seconds() * 1000)
            pin = pin if lasts_ms > 0 else None
        self.get(name).learn(truth.settings, truth.version, pin, lasts_ms)
        self.link.submit(Step(name, "configure", (truth.version, encode_settings(truth.settings))))
        if pin:
            lasts = "" if lasts_ms is None else lasts_ms
            order = (truth.pin_version, pin.state.value, lasts, pin.author, pin.reason)
            self.link.submit(Step(name, "pin", order))
        else:
            self.link.submit(Step(name, "unpin", (truth.pin_version, "as the record says")))

    def _start(self) -> Link:
        with self._lock:
            if self._link is None:
                link = Link(self._url, self.process, self.settle, self.create, self.tick)
                self._hooks.start()
                link.start()
                if self._url:
                    self._listener = Listener(self._url, self.hear, link.look_now)
                    self._listener.start()
                self._link = link
            return self._link


def _view_of(raw: dict[str, Any]) -> Answer:
    return Answer(
        generation=raw["gen"],
        version=int(raw["ver"]),
        state=parse_state(raw["to"]),
        wait_ms=raw.get("wait"),
        settings_version=int(raw["cfg"]),
        settings=None,
        pin=raw.get("pin"),
    )
