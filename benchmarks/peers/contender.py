"""What a contender of the order benchmark can do. The product is one of them."""

from typing import Protocol

from benchmarks.services import Services


class ContenderError(Exception):
    """A contender did not start, lost a process, or did not finish in time."""


class Contender(Protocol):
    """One way of carrying out orders: accept them durably, POST each to the stub broker, record the answer.

    Every measurement of a contender happens in a process of its own with fresh servers. In it the
    benchmark calls, from the main thread unless noted:

    ``start(services)`` once: make the tables, start the processes (``services.spawn`` ends them in any
    case), and return when orders can be accepted. Orders numbered from 1 follow; no number comes twice.

    ``accept(numbers)`` from several threads at once: take ``len(numbers)`` orders and return when they
    are committed. The benchmark hands over ``batch`` numbers a call (1: one order per commit), in the
    paced part always one. Runs in the benchmark's process, whose CPU time counts as the acceptor's.
    An order is told apart by its number: use it as the quantity.

    ``wait_done(numbers, timeout_seconds)``: return for each number the instant (``time.time()``) at
    which the broker's answer was committed, once all are, or raise ``ContenderError``. It runs
    while orders are carried out, so it must cost next to nothing.

    ``since_durable(numbers)``: milliseconds from the durable acceptance of these orders to the recorded answer,
    where acceptance is a request of its own; empty where it is the INSERT the benchmark's call begins with.

    ``pause()`` and ``resume()``: between them orders are accepted and none is carried out.

    ``pids()``: the contender's own long-lived processes; their whole trees are counted. The servers'
    processes and the benchmark's are counted by the benchmark.

    ``stop()``: end the processes; called also after a failure.
    """

    name: str
    batch: int

    def start(self, services: Services) -> None: ...

    def accept(self, numbers: range) -> None: ...

    def wait_done(self, numbers: range, timeout_seconds: float) -> dict[int, float]: ...

    def since_durable(self, numbers: range) -> list[float]: ...

    def pause(self) -> None: ...

    def resume(self) -> None: ...

    def pids(self) -> list[int]: ...

    def stop(self) -> None: ...
