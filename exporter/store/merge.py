"""Adding up the workers of a family: every series has one number, by which each worker's cells are found."""

import json
from array import array
from collections.abc import Callable
from struct import Struct
from typing import Any, NamedTuple

from exporter.store import exemplars
from exporter.store.area import (
    COUNT,
    DECLARATION,
    EXEMPLAR,
    FOLDED,
    LIVE,
    MAX,
    NEWEST,
    Entry,
    Reader,
    Shape,
)
from exporter.store.exemplars import Exemplar
from exporter.store.keys import labels_of, series_of

_NONE = -1


class Slots:
    """All series of a family in one order: those that are summed have a number each."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Forget all."""
        self.count = 0
        self.series: dict[str, dict[str, int]] = {}  # by metric and labels as they stand on the page: number
        self.special: dict[str, dict[str, str]] = {}  # by metric and labels: key
        self.declarations: dict[str, dict[str, Any]] = {}
        self._shapes: dict[str, Shape] = {}  # by metric

    def declare(self, declaration: dict[str, Any]) -> bool:
        """Take in a declaration; False when the first one of this name was another, help apart."""
        first = self.declarations.setdefault(declaration["name"], declaration)
        return first is declaration or {**first, "help": ""} == {**declaration, "help": ""}

    def place(self, entry: Entry) -> int | None:
        """Return the number of a summed series, a new one the first time; None where it does not fit."""
        name, labels = series_of(entry.key)
        if not self._fits(name, entry):
            return None
        known = self.series.setdefault(name, {})
        number = known.get(labels)
        if number is None and self._are_its_own(name, labels):
            number = known[labels] = self.count
            self.count += 1
        return number

    def note(self, entry: Entry) -> bool:
        """Take in a series that is not summed; False where it does not fit."""
        name, labels = series_of(entry.key)
        if not self._fits(name, entry) or not self._are_its_own(name, labels):
            return False
        self.special.setdefault(name, {})[labels] = entry.key
        return True

    def bucket(self, entry: Entry) -> tuple[int, int]:
        """Return the number of the series that an exemplar belongs to, and the bucket.

        Raises KeyError or ValueError where there is none.
        """
        bucket, key = exemplars.place_of(entry.key)
        name, labels = series_of(key)
        # A counter has one cell; a histogram one for the sum as well.
        if entry.cells != exemplars.CELLS or not 0 <= bucket < max(self._shapes[name].cells - 1, 1):
            raise ValueError(f"not an exemplar of a bucket: {entry.key!r}")
        return self.series[name][labels], bucket

    def layout(self) -> "Layout":
        """Return a copy, for a page takes its time and another one may begin in the meanwhile."""
        return Layout(
            dict(self.declarations),
            {name: dict(series) for name, series in self.series.items()},
            {name: dict(series) for name, series in self.special.items()},
        )

    def _fits(self, name: str, entry: Entry) -> bool:
        shape = self._shapes.get(name)
        if shape is None:
            shape = self._shapes[name] = Shape.of(self.declarations[name])
        return shape == (entry.kind, entry.cells)

    def _are_its_own(self, name: str, labels: str) -> bool:
        return bool(list(labels_of(labels)) == self.declarations[name]["labels"])


class Layout(NamedTuple):
    """What was known of a family's series at one moment; later ones do not come in between."""

    declarations: dict[str, dict[str, Any]]
    series: dict[str, dict[str, int]]
    special: dict[str, dict[str, str]]


class View:
    """One worker's area, in the common order."""

    def __init__(self, reader: Reader) -> None:
        self.reader = reader
        self.dead = False
        self._begin()

    def _begin(self) -> None:
        self.special: list[Entry] = []
        self.exemplars: list[tuple[int, int, int]] = []  # a series' number, the bucket, the first cell
        self.folded: set[str] = set()
        self.strange: set[str] = set()  # metrics that another release of the application declares otherwise
        self._lively: list[int] = []  # numbers of gauges
        self.firsts = array("q")  # by number: the index of the first cell, or _NONE

    def learn_again(self, slots: Slots) -> None:
        """Take in all entries of this worker from the first one."""
        self.reader = Reader(self.reader.whole())
        self._begin()
        self.learn(slots)

    def learn(self, slots: Slots) -> None:
        """Take in the entries that this worker has added since the last time."""
        for entry in self.reader.fresh():
            try:
                self._take(entry, slots)
            except (ValueError, KeyError, TypeError):  # a torn file loses what is torn
                continue

    def bury(self) -> None:
        """Leave out what goes with its worker, for this one is dead."""
        if self.dead:
            return
        self.dead = True
        self.firsts = self.firsts[:]  # a page that is being read may still hold the old one
        for number in self._lively:
            self.firsts[number] = _NONE
        self.special = [entry for entry in self.special if entry.kind == NEWEST]

    def _take(self, entry: Entry, slots: Slots) -> None:
        if entry.kind == DECLARATION:
            declaration = json.loads(entry.key)
            if slots.declare(declaration):
                self.strange.discard(declaration["name"])  # a folded file holds several releases
            else:
                self.strange.add(declaration["name"])
        elif entry.kind == FOLDED:
            self.folded.add(entry.key)
        elif (self.dead and entry.kind in (LIVE, MAX)) or self._is_strange(entry):
            return
        elif entry.kind == EXEMPLAR:
            self.exemplars.append((*slots.bucket(entry), entry.at))
        elif entry.kind in (COUNT, LIVE):
            number = slots.place(entry)
            if number is not None:
                if number >= len(self.firsts):
                    self.firsts.extend([_NONE] * (number + 1 - len(self.firsts)))
                self.firsts[number] = entry.at
                if entry.kind == LIVE:
                    self._lively.append(number)
        elif slots.note(entry):
            self.special.append(entry)

    def _is_strange(self, entry: Entry) -> bool:
        if not self.strange:
            return False
        key = exemplars.place_of(entry.key)[1] if entry.kind == EXEMPLAR else entry.key
        return series_of(key)[0] in self.strange


class Numbers:
    """What a family says: its series of one moment, each added up when it is asked for.

    So a large page is added up in as many steps as it is written in, and no event loop waits for all of
    it. The files of workers that are folded away in the meantime stay mapped.
    """

    def __init__(self, slots: Slots, views: list[View]) -> None:
        for view in views:
            view.learn(slots)
        self.slots = slots.layout()
        for view in views:  # each knows all numbers, so that nobody need look how many
            view.firsts.extend([_NONE] * (slots.count - len(view.firsts)))
        self._parts = [(view.reader.whole(), view.firsts) for view in views]
        self._exemplars = [(view.reader.cells, list(view.exemplars)) for view in views if view.exemplars]
        self.newest: dict[str, tuple[float, float]] = {}  # time and value
        self.greatest: dict[str, float] = {}
        for view in views:
            self._add_special(view)

    def sums(self, number: int, cells: int) -> tuple[float, ...]:
        """Return the cells of a summed series, added up over the workers."""
        return self.summing(cells)(number)

    def summing(self, cells: int) -> Callable[[int], tuple[float, ...]]:
        """Return what gives those of any series with so many cells, by its number."""
        unpack, parts = Struct(f"={cells}d").unpack_from, self._parts

        def one(number: int) -> tuple[float, ...]:
            at = firsts[number]
            return unpack(part, 8 * at) if at != _NONE else (0.0,) * cells

        def several(number: int) -> tuple[float, ...]:
            found = [unpack(part, 8 * at) for part, firsts in parts if (at := firsts[number]) != _NONE]
            if len(found) == 1:
                return found[0]
            # Nobody has a gauge any more whose workers are all dead: it is 0, not gone from its curve.
            return tuple(map(sum, zip(*found, strict=True))) if found else (0.0,) * cells

        if len(parts) > 1:
            return several
        part, firsts = parts[0]
        return one

    def exemplars(self) -> dict[int, dict[int, Exemplar]]:
        """Return the newest exemplars of all workers, by the number of their series and by bucket."""
        found: dict[int, dict[int, Exemplar]] = {}
        for cells, places in self._exemplars:
            for number, bucket, at in places:
                exemplar = exemplars.read(cells, at)
                if exemplar is not None:
                    buckets = found.setdefault(number, {})
                    buckets[bucket] = max(exemplar, buckets.get(bucket, exemplar))
        return found

    def value(self, key: str) -> float | None:
        """Return the value of a series that is not summed; None while nobody has set it."""
        return self.newest[key][1] if key in self.newest else self.greatest.get(key)

    def _add_special(self, view: View) -> None:
        cells = view.reader.cells
        for entry in view.special:
            value = cells[entry.at]
            if entry.kind == MAX:
                self.greatest[entry.key] = max(value, self.greatest.get(entry.key, value))
            elif entry.kind == NEWEST and cells[entry.at + 1]:
                found = (cells[entry.at + 1], value)
                self.newest[entry.key] = max(found, self.newest.get(entry.key, found))
