"""The numbers of one worker: cells in a file that the others can read, or in its own memory."""

import contextlib
import fcntl
import mmap
import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

# Virtual space only: a file has blocks for what is used, a step at a time.
MOST_BYTES = 256 * 1024 * 1024
_STEP = 64 * 1024
_HEAD = 64  # magic and used bytes; the rest is kept free
_MAGIC = 0x33_57_4B_50  # changes with the format, so that two releases never misread each other
_ENTRY = struct.Struct("<IHHQ")  # length of the key, cells, kind, unused: 16 bytes keep cells aligned

# What an entry holds, and so how several workers' become one:
# COUNT is added up and outlives its worker; LIVE is added up over the living; NEWEST is a value and the time
# when it was set, the latest wins and outlives its worker; MAX is the greatest of the living. An EXEMPLAR
# belongs to a COUNT; the latest wins and outlives its worker.
DECLARATION, FOLDED, COUNT, LIVE, NEWEST, MAX, EXEMPLAR = range(7)


class Shape(NamedTuple):
    """How a metric's series are kept: the kind of entry and the number of cells."""

    kind: int
    cells: int

    @classmethod
    def of(cls, declaration: dict[str, Any]) -> "Shape":
        """Return the shape of a declared metric."""
        if declaration["kind"] == "histogram":
            return cls(
                COUNT, len(declaration["buckets"]) + 2
            )  # the sum first; last, what is beyond all bounds
        if declaration["kind"] == "counter":
            return cls(COUNT, 1)
        return {"sum": cls(LIVE, 1), "newest": cls(NEWEST, 2), "max": cls(MAX, 1)}[declaration["merge"]]


class Entry(NamedTuple):
    """A place in an area: its key, kind, its first cell and how many there are."""

    key: str
    kind: int
    at: int
    cells: int


class Area:
    """Cells that one process writes. `cells[i]` is a float; entries are only ever added."""

    def __init__(self, buffer: "mmap.mmap | bytearray", file: int = -1) -> None:
        self.cells = memoryview(buffer).cast("d")
        self._bytes = memoryview(buffer)
        self._counts = memoryview(buffer)[:16].cast("q")
        self._file = file
        self._room = len(buffer) if file < 0 else _STEP
        self._counts[0] = _MAGIC
        self._counts[1] = _HEAD

    @classmethod
    def in_file(cls, path: Path) -> "Area":
        """Make a file for this process, locked for its life. Raises OSError where that cannot be."""
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            # Locked while it is empty: an empty file is never taken for one of the dead.
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(file, MOST_BYTES)
            os.posix_fallocate(file, 0, _STEP)
            return cls(_mapped(path), file)
        except (OSError, ValueError):
            os.close(file)
            with contextlib.suppress(OSError):
                path.unlink()
            raise

    @classmethod
    def in_memory(cls, size: int = 1024 * 1024) -> "Area":
        """Make an area that only this process sees."""
        return cls(bytearray(-(-size // 8) * 8))

    def add(self, key: str, kind: int, cells: int) -> int:
        """Add an entry and return the index of its first cell. Raises OSError when there is no room."""
        text = key.encode()
        padded = -(-len(text) // 8) * 8
        used = self._counts[1]
        end = used + _ENTRY.size + padded + 8 * cells
        self._make_room(end)
        _ENTRY.pack_into(self._bytes, used, len(text), cells, kind, 0)
        start = used + _ENTRY.size
        self._bytes[start : start + len(text)] = text
        self._counts[1] = end  # last: a reader sees whole entries only, a kill leaves none half
        return (start + padded) // 8

    def whole(self) -> memoryview:
        """Return all bytes, for a reader in the same process."""
        return self._bytes

    def used(self) -> memoryview:
        """Return all bytes that hold something."""
        return self._bytes[: self._counts[1]]

    def close(self) -> None:
        """Give the file back; its lock goes with it. For a child that inherited its parent's."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _make_room(self, end: int) -> None:
        if end <= self._room:
            return
        room = min(-(-end // _STEP) * _STEP + _STEP, len(self._bytes))
        if self._file < 0 or end > room:
            raise OSError("the area is full")
        # Without blocks behind it, a write into the map would end the process instead of raising.
        os.posix_fallocate(self._file, 0, room)
        self._room = room


def _mapped(path: Path) -> mmap.mmap:
    """Map a file by a descriptor of its own: a map keeps one, and its lock, in forked children too."""
    file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        return mmap.mmap(file, MOST_BYTES)
    finally:
        os.close(file)


class Reader:
    """Another worker's area, read while it is written. Entries already seen are not parsed again.

    A torn or foreign file has fewer entries than it says, or none.
    """

    def __init__(self, buffer: "mmap.mmap | memoryview | bytes") -> None:
        self._bytes = memoryview(buffer)
        usable = len(self._bytes) // 8 * 8
        self.cells = self._bytes[:usable].cast("d")
        self._counts = self._bytes[:16].cast("q")
        self._seen = _HEAD

    @classmethod
    def of_file(cls, path: Path) -> "Reader":
        """Map a file. Raises OSError or ValueError when it is gone or not one of ours."""
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size < _HEAD:
                raise ValueError(f"{path} is too short")
            reader = cls(mmap.mmap(file.fileno(), size, prot=mmap.PROT_READ))
        if reader._counts[0] != _MAGIC:
            raise ValueError(f"{path} is not a worker's file of this release")
        return reader

    def whole(self) -> memoryview:
        """Return all bytes."""
        return self._bytes

    def fresh(self) -> Iterator[Entry]:
        """Yield the entries that were added since the last call."""
        used = min(self._counts[1], len(self._bytes))
        while self._seen + _ENTRY.size <= used:
            length, cells, kind, _ = _ENTRY.unpack_from(self._bytes, self._seen)
            start = self._seen + _ENTRY.size
            padded = -(-length // 8) * 8
            end = start + padded + 8 * cells
            if end > used:
                return
            try:
                key = bytes(self._bytes[start : start + length]).decode()
            except UnicodeDecodeError:
                return
            self._seen = end
            yield Entry(key, kind, (start + padded) // 8, cells)
