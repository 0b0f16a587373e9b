"""Other work on streams that runs in the processes that hold order streams: registered by apps above this one."""

from collections.abc import Callable, Coroutine

Companion = Callable[[], Coroutine[None, None, None]]
_COMPANIONS: list[Companion] = []


def add_companion(companion: Companion) -> None:
    """Have ``companion()`` run beside the order streams until the process stops; call it once, as the app starts."""
    if companion not in _COMPANIONS:
        _COMPANIONS.append(companion)


def list_companions() -> list[Companion]:
    return list(_COMPANIONS)
