"""Counts and locks of a parent process mean nothing in its child: whoever keeps some is told of the fork."""

import os
import threading
import weakref
from typing import Protocol


class Forked(Protocol):
    def after_fork(self) -> None:
        """Start anew: no thread of the parent is here, and what was taken in advance is the parent's."""


_everything: weakref.WeakSet[Forked] = weakref.WeakSet()
_lock = threading.Lock()


def tell_of_forks(one: Forked) -> None:
    """Call ``one.after_fork()`` in each child of this process, as long as ``one`` lives."""
    with _lock:
        _everything.add(one)


def _in_child() -> None:
    global _lock
    _lock = threading.Lock()
    for one in list(_everything):
        one.after_fork()


os.register_at_fork(before=lambda: _lock.acquire(), after_in_parent=lambda: _lock.release(), after_in_child=_in_child)
