"""Who is told of transitions, by a thread of its own: a slow hook delays neither calls nor circuits."""

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable
from queue import SimpleQueue

from django.db import connections

from reliability.services.circuits.values import Transition

Hook = Callable[[Transition], None]
_REMEMBERED = 2000

logger = logging.getLogger(__name__)
_hooks: list[tuple[Hook, bool]] = []


def on_transition(hook: Hook, *, heard: bool = False) -> None:
    """Call ``hook`` with each transition this process caused, or (``heard``) with each it learns of.

    Each transition comes once per process, but to many processes: record what is heard with
    (circuit, generation, version) as its name. Hooks run one after another in a thread of their own.
    """
    if (hook, heard) not in _hooks:
        _hooks.append((hook, heard))


def remove_hook(hook: Hook) -> None:
    """Call ``hook`` no more."""
    _hooks[:] = [entry for entry in _hooks if entry[0] is not hook]


class HookRunner:
    """Tells the hooks, each transition once."""

    def __init__(self, process: str) -> None:
        self._process = process
        self._queue: SimpleQueue[Transition | None] = SimpleQueue()
        self._told: OrderedDict[tuple[str, str, int], None] = OrderedDict()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="circuit-hooks", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Tell what is still to be told, then end."""
        self._queue.put(None)
        if self._thread.is_alive():
            self._thread.join(timeout=5)

    def tell(self, transition: Transition) -> None:
        name = (transition.circuit, transition.generation, transition.version)
        with self._lock:
            if name in self._told:
                return
            self._told[name] = None
            if len(self._told) > _REMEMBERED:
                self._told.popitem(last=False)
        self._queue.put(transition)

    def _run(self) -> None:
        while (transition := self._queue.get()) is not None:
            for hook, is_for_heard in list(_hooks):
                if is_for_heard or transition.process == self._process:
                    self._call(hook, transition)
        connections.close_all()

    def _call(self, hook: Hook, transition: Transition) -> None:
        try:
            hook(transition)
        except Exception:
            logger.exception("a hook of circuit transitions failed", extra={"circuit": transition.circuit})
