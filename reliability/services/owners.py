"""Whose a thing is that alerts are about: an account is its broker's, and fails with it."""

from collections.abc import Callable

Lookup = Callable[[str], str | None]
_lookups: list[Lookup] = []


def register_owner(lookup: Lookup) -> None:
    """Have ``lookup`` asked for the broker of an account by name; it returns None for what it does not know."""
    if lookup not in _lookups:
        _lookups.append(lookup)


def owner_of(name: str) -> str:
    """Return what fails together with everything called ``name``: its broker, or itself."""
    return next((owner for lookup in _lookups if (owner := lookup(name))), name)
