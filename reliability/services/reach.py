"""Keep the code that sends messages from connecting to what only this machine can reach.

An address of a channel is read by the library that sends, in ways of its own, and its name is resolved by somebody
else. So what counts is the address of the connection itself: each one made while a message is handed over is judged
when it is made, in whatever thread, however it was written and whatever a name resolves to by then.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from reliability.core.channels import is_public

_CONNECTIONS = frozenset({"socket.connect", "socket.sendto", "socket.sendmsg"})


class PrivateAddressError(OSError):
    """A message would leave for an address that is not a public one."""


@dataclass(slots=True)
class Watch:
    """Addresses that were not connected to."""

    refused: list[str] = field(default_factory=list)


_watch: ContextVar[Watch | None] = ContextVar("watch", default=None)


@contextmanager
def only_public() -> Iterator[Watch]:
    """Refuse, with ``PrivateAddressError``, connections to other than public addresses in this context.

    A thread is watched where it runs in a copy of the context, as Apprise's own threads do.
    """
    _install()
    watch = Watch()
    token = _watch.set(watch)
    try:
        yield watch
    finally:
        _watch.reset(token)


@cache
def _install() -> None:
    sys.addaudithook(_judge)  # the one place that each connection of each library passes; it cannot be taken away


def _judge(event: str, arguments: tuple[Any, ...]) -> None:
    if event not in _CONNECTIONS:
        return
    watch = _watch.get()
    if watch is None or arguments[1] is None:  # sent over a connection that was judged when it was made
        return
    address = arguments[1]
    ip = str(address[0]) if isinstance(address, tuple) else ""
    if not _is_public_text(ip):
        watch.refused.append(ip)
        raise PrivateAddressError("its host is on a private network, which this installation does not allow")


def _is_public_text(ip: str) -> bool:
    try:
        return is_public(ip.partition("%")[0])
    except ValueError:
        return False  # a name, which would be resolved after this, or the path of a socket
