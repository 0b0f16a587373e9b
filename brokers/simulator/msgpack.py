"""As much of MessagePack as Alpaca's data stream needs: the official SDK speaks nothing else.

Source:
    "MessagePack specification", msgpack.org: maps, arrays, text, numbers, and the timestamp extension.
"""

import struct
from datetime import UTC, datetime
from typing import Any

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIXED: dict[int, Any] = {0xC0: None, 0xC2: False, 0xC3: True}
_NUMBERS = {0xCA: ">f", 0xCB: ">d", 0xCC: ">B", 0xCD: ">H", 0xCE: ">I", 0xCF: ">Q"}
_NUMBERS |= {0xD0: ">b", 0xD1: ">h", 0xD2: ">i", 0xD3: ">q"}
_LENGTHS = {0xC4: ">B", 0xC5: ">H", 0xC6: ">I", 0xD9: ">B", 0xDA: ">H", 0xDB: ">I"}
_COUNTS = {0xDC: ">H", 0xDD: ">I", 0xDE: ">H", 0xDF: ">I"}
_DEEPEST = 20


def pack(value: Any) -> bytes:
    """Return a value of JSON's kinds, or an aware datetime, as MessagePack."""
    if value is None or isinstance(value, bool):
        return b"\xc0" if value is None else (b"\xc3" if value else b"\xc2")
    if isinstance(value, int):
        return struct.pack(">Bq", 0xD3, value)
    if isinstance(value, float):
        return struct.pack(">Bd", 0xCB, value)
    if isinstance(value, str):
        text = value.encode()
        return struct.pack(">BI", 0xDB, len(text)) + text
    if isinstance(value, datetime):
        passed = value - _EPOCH
        seconds, nanoseconds = passed.days * 86_400 + passed.seconds, passed.microseconds * 1000
        return struct.pack(">BbQ", 0xD7, -1, nanoseconds << 34 | seconds)
    if isinstance(value, list):
        return struct.pack(">BI", 0xDD, len(value)) + b"".join(pack(one) for one in value)
    return struct.pack(">BI", 0xDF, len(value)) + b"".join(pack(name) + pack(one) for name, one in value.items())


def unpack(data: bytes) -> Any:
    """Return the one value that ``data`` is; raises ``ValueError`` for anything else."""
    try:
        value, end = _read(data, 0, 0)
    except (struct.error, IndexError, UnicodeDecodeError, TypeError) as error:
        raise ValueError("not MessagePack") from error
    if end != len(data):
        raise ValueError("more than one value")
    return value


def _read(data: bytes, at: int, depth: int) -> tuple[Any, int]:
    if depth > _DEEPEST:
        raise ValueError("nested too deeply")
    kind = data[at]
    at += 1
    if kind < 0x80 or kind >= 0xE0:
        return (kind if kind < 0x80 else kind - 256), at
    if kind < 0xA0:
        return _read_many(data, at, kind & 0x0F, depth, is_map=kind < 0x90)
    if kind < 0xC0:
        return data[at : at + (kind & 0x1F)].decode(), at + (kind & 0x1F)
    if kind in _FIXED:
        return _FIXED[kind], at
    if kind in _NUMBERS:
        return struct.unpack_from(_NUMBERS[kind], data, at)[0], at + struct.calcsize(_NUMBERS[kind])
    if kind in _LENGTHS:
        length = struct.unpack_from(_LENGTHS[kind], data, at)[0]
        at += struct.calcsize(_LENGTHS[kind])
        if at + length > len(data):
            raise ValueError("cut short")
        raw = data[at : at + length]
        return (raw if kind <= 0xC6 else raw.decode()), at + length
    if kind in _COUNTS:
        count = struct.unpack_from(_COUNTS[kind], data, at)[0]
        return _read_many(data, at + struct.calcsize(_COUNTS[kind]), count, depth, is_map=kind >= 0xDE)
    raise ValueError(f"unknown kind {kind:#x}")


def _read_many(data: bytes, at: int, count: int, depth: int, *, is_map: bool) -> tuple[Any, int]:
    if count > len(data):
        raise ValueError("cut short")
    values = []
    for _ in range(count * (2 if is_map else 1)):
        value, at = _read(data, at, depth + 1)
        values.append(value)
    return (dict(zip(values[::2], values[1::2], strict=True)) if is_map else values), at
