"""Exemplars: the trace in which a number can be looked into. A bucket, or a counter, keeps its newest.

An exemplar is five cells of an entry of its own, made when the first one comes: time, value, 16 bytes of
trace id and a checksum over them. It is the one thing in a file that is more than a cell, so a reader may
meet one that is half written, or whose writer was killed there; the checksum tells, and it is left out
until the next one is written. A checksum rather than a count of writes around it, because it needs no order
of writes in memory, which Python cannot ask for.
"""

import binascii
import struct
import zlib
from typing import Any, NamedTuple

Cells = Any  # a memoryview of floats
CELLS = 5
_CONTENT = struct.Struct("=dd16s")
_CHECK = struct.Struct("=Q")
_TRIES = 3  # writing takes less than a microsecond
_BYTES, _HEX_DIGITS = 16, 32


class Exemplar(NamedTuple):
    """One exemplar; the newest is the greatest."""

    time: float  # Unix time in seconds
    value: float
    trace: bytes  # 16 bytes

    def labels(self) -> dict[str, str]:
        """Return what stands on the page; well below the 128 characters that OpenMetrics allows."""
        return {"trace_id": self.trace.hex()}


def packed(when: float, value: float, trace: bytes) -> bytes:
    """Return the content of an exemplar's cells."""
    content = _CONTENT.pack(when, value, trace)
    return content + _CHECK.pack(zlib.crc32(content))


def unpacked(raw: bytes) -> Exemplar | None:
    """Return the exemplar in these bytes; None where nothing, or not all of it, was written."""
    content = raw[: _CONTENT.size]
    if zlib.crc32(content) != _CHECK.unpack_from(raw, _CONTENT.size)[0]:
        return None
    return Exemplar(*_CONTENT.unpack(content))


def read(cells: Cells, at: int) -> Exemplar | None:
    """Read from cells that another process may be writing to at this moment."""
    for _ in range(_TRIES):
        found = unpacked(bytes(cells[at : at + CELLS]))
        if found is not None:
            return found
    return None


def trace_of(trace_id: str) -> bytes:
    """Return a trace id as bytes. Raises ValueError unless it is up to 32 hexadecimal digits."""
    try:
        trace = binascii.unhexlify(trace_id if len(trace_id) == _HEX_DIGITS else trace_id.zfill(_HEX_DIGITS))
    except ValueError:
        trace = b""
    if len(trace) != _BYTES:
        raise ValueError(f"a trace id has up to {_HEX_DIGITS} hexadecimal digits, got {trace_id!r}")
    return trace


def key_of(bucket: int, series: str) -> str:
    """Return the key of the exemplar of a series' bucket; a counter has one bucket."""
    return f"{bucket} {series}"


def place_of(key: str) -> tuple[int, str]:
    """Return the bucket and the key of the series. Raises ValueError for what `key_of` has not written."""
    bucket, _, series = key.partition(" ")
    return int(bucket), series
