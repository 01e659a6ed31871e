"""Folding: the files of dead workers become one, in which nothing that outlives a worker is lost."""

import json
from array import array
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from exporter.store import exemplars
from exporter.store.area import (
    COUNT,
    DECLARATION,
    EXEMPLAR,
    FOLDED,
    NEWEST,
    Area,
    Entry,
    Reader,
    Shape,
)
from exporter.store.keys import series_of


class _Part(NamedTuple):
    """What is known of one metric as one release of the application declares it."""

    declaration: str
    shape: Shape
    series: dict[str, list[float]]  # by key
    exemplars: dict[str, exemplars.Exemplar]


def fold(folder: Path, folded: Path, dead: list[str]) -> list[str]:
    """Move the files `dead` into the file `folded`; return those that must still be read as they are.

    The new folded file names the files that it contains and replaces the old one in one step before these
    are removed, so a process that is killed in between leaves nothing counted twice: readers, and the next
    one that folds, leave out what is named.
    """
    fresh = dead
    try:
        old = _reader(folded)
        already = {entry.key for entry in old.fresh() if entry.kind == FOLDED} if old else set()
        fresh = [name for name in dead if name not in already]
        if fresh:
            readers = [_reader(folded), *(_reader(folder / name) for name in fresh)]
            part = folded.with_suffix(".part")
            part.write_bytes(together([reader for reader in readers if reader], dead))
            part.replace(folded)
        for name in dead:
            (folder / name).unlink(missing_ok=True)
    except OSError:  # no room, or no file can be opened now
        return fresh
    return []


def together(readers: Iterable[Reader], names: Iterable[str]) -> bytes:
    """Return the content of a file that stands for `readers`, and says that it stands for the files `names`.

    Releases of an application that declare a metric differently stand in it one after the other.
    """
    parts: dict[str, _Part] = {}
    for reader in readers:
        declared: dict[str, _Part] = {}
        for entry in reader.fresh():
            try:
                _add(entry, reader, declared, parts)
            except (ValueError, KeyError, TypeError):  # a torn file loses what is torn
                continue
    return _written([(name, Shape(FOLDED, 0), b"") for name in names], parts)


def _reader(path: Path) -> Reader | None:
    try:
        return Reader.of_file(path)
    except (FileNotFoundError, ValueError):
        return None  # gone, or torn


def _add(entry: Entry, reader: Reader, declared: dict[str, _Part], parts: dict[str, _Part]) -> None:
    if entry.kind == DECLARATION:
        declaration = json.loads(entry.key)
        same = json.dumps({**declaration, "help": ""})
        new = _Part(entry.key, Shape.of(declaration), {}, {})
        declared[declaration["name"]] = parts.setdefault(same, new)
    elif entry.kind in (COUNT, NEWEST):
        part = declared[series_of(entry.key)[0]]
        if part.shape != (entry.kind, entry.cells):
            return
        cells = list(reader.cells[entry.at : entry.at + entry.cells])
        before = part.series.get(entry.key)
        if before is None:
            part.series[entry.key] = cells
        elif entry.kind == COUNT:
            part.series[entry.key] = [a + b for a, b in zip(before, cells, strict=True)]
        elif cells[1] > before[1]:  # set later
            part.series[entry.key] = cells
    elif entry.kind == EXEMPLAR and entry.cells == exemplars.CELLS:
        _add_exemplar(entry, reader, declared)


def _add_exemplar(entry: Entry, reader: Reader, declared: dict[str, _Part]) -> None:
    part = declared[series_of(exemplars.place_of(entry.key)[1])[0]]
    found = exemplars.read(reader.cells, entry.at)
    if found is not None:
        part.exemplars[entry.key] = max(found, part.exemplars.get(entry.key, found))


def _written(first: list[tuple[str, Shape, bytes]], parts: dict[str, _Part]) -> bytes:
    entries = list(first)
    for part in parts.values():
        entries.append((part.declaration, Shape(DECLARATION, 0), b""))
        entries += [(key, part.shape, array("d", cells).tobytes()) for key, cells in part.series.items()]
        shape = Shape(EXEMPLAR, exemplars.CELLS)
        entries += [(key, shape, exemplars.packed(*found)) for key, found in part.exemplars.items()]
    # A character takes four bytes at most, the head of an entry and its padding less than 32.
    area = Area.in_memory(1024 + sum(4 * len(key) + 32 + len(content) for key, _, content in entries))
    for key, shape, content in entries:
        at = 8 * area.add(key, shape.kind, shape.cells)
        area.whole()[at : at + len(content)] = content
    return bytes(area.used())
