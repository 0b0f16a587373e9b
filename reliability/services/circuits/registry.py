"""The circuits of this process."""

import atexit
import os
from functools import cache

from reliability.conf import get_conf
from reliability.services.circuits.circuit import Circuit
from reliability.services.circuits.runtime import Loader, Runtime

_loaders: list[Loader] = []


def set_loader(loader: Loader | None) -> None:
    """Say where settings and pins come from when the shared store has none, or is away.

    ``loader`` takes the name of a circuit and returns its ``CircuitTruth``, or None if nothing is
    recorded. It runs in a thread of its own, which closes its database connections afterwards.
    """
    _loaders[:] = [loader] if loader else []


@cache
def get_runtime() -> Runtime:
    runtime = Runtime(get_conf().redis_url, lambda: _loaders[0] if _loaders else None)
    atexit.register(runtime.tell_all)
    return runtime


def get_circuit(name: str) -> Circuit:
    """Return the circuit of a dependency and operation class, for example ``sim-a:orders``."""
    runtime = get_runtime()
    return runtime.circuits.get(name) or runtime.get(name)


def _begin_anew() -> None:
    if get_runtime.cache_info().currsize:
        get_runtime().restart()


os.register_at_fork(after_in_child=_begin_anew)
