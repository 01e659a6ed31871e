"""Folding: the files of dead workers become one, in which nothing that outlives a worker is lost."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from exporter.store.area import COUNT, DECLARATION, FOLDED, NEWEST, Area, Entry, Reader, Shape, series_of


class _Part(NamedTuple):
    """What is known of one metric as one release of the application declares it."""

    declaration: str
    shape: Shape
    series: dict[str, list[float]]  # by key


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
    return _written([(name, Shape(FOLDED, 0), []) for name in names], parts)


def _reader(path: Path) -> Reader | None:
    try:
        return Reader.of_file(path)
    except (FileNotFoundError, ValueError):
        return None  # gone, or torn


def _add(entry: Entry, reader: Reader, declared: dict[str, _Part], parts: dict[str, _Part]) -> None:
    if entry.kind == DECLARATION:
        declaration = json.loads(entry.key)
        same = json.dumps({**declaration, "help": ""})
        new = _Part(entry.key, Shape.of(declaration), {})
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


def _written(first: list[tuple[str, Shape, list[float]]], parts: dict[str, _Part]) -> bytes:
    entries = list(first)
    for part in parts.values():
        entries.append((part.declaration, Shape(DECLARATION, 0), []))
        entries += [(key, part.shape, cells) for key, cells in part.series.items()]
    # A character takes four bytes at most, the head of an entry and its padding less than 32.
    area = Area.in_memory(1024 + sum(4 * len(key) + 32 + 8 * len(cells) for key, _, cells in entries))
    for key, shape, cells in entries:
        at = area.add(key, shape.kind, shape.cells)
        for index, value in enumerate(cells):
            area.cells[at + index] = value
    return bytes(area.used())
