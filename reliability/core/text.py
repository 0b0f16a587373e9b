"""Text from outside, made fit to be kept."""

from typing import Any, TypeVar

from reliability.core.known_secrets import hide_known

_T = TypeVar("_T")
_REPLACEMENT = "\ufffd"


def storable(value: _T) -> _T:
    """Return plain data with what PostgreSQL cannot keep in text replaced: NUL, and halves of surrogate pairs.

    Secrets that this process has opened are replaced, too: an exception may have one in its text.

    An error must be recorded whatever the broker or the sender of a message wrote into it.
    """
    return _storable(value)  # type: ignore[no-any-return]


def _storable(value: Any) -> Any:
    if isinstance(value, str):
        return (
            hide_known(value)
            .replace("\x00", _REPLACEMENT)
            .encode("utf-16", "surrogatepass")
            .decode("utf-16", "replace")
        )
    if isinstance(value, dict):
        return {_storable(key): _storable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_storable(item) for item in value]
    return value
