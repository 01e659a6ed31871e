"""Adding up the workers of a family: the living are read, the dead are folded away once."""

import contextlib
import errno
import fcntl
import json
import os
import time
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from exporter.store.area import (
    COUNT,
    DECLARATION,
    FOLDED,
    LIVE,
    MAX,
    NEWEST,
    Entry,
    Reader,
    Shape,
    labels_of,
    series_of,
)
from exporter.store.family import locked
from exporter.store.fold import fold

# The others hold the lock for milliseconds; one that is stopped must not stop us.
_LOCK_SECONDS = 0.05
_SUFFIX = ".cells"
_TRIES = 5
_NONE = -1

_Key = tuple[str, int]  # a file's name and inode


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
        return bool(self.strange) and series_of(entry.key)[0] in self.strange


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
        self._parts = [(view.reader.cells, view.firsts) for view in views]
        self.newest: dict[str, tuple[float, float]] = {}  # time and value
        self.greatest: dict[str, float] = {}
        for view in views:
            self._add_special(view)

    def sums(self, number: int, cells: int) -> list[float]:
        """Return the cells of a summed series, added up over the workers."""
        found: list[Any] = [
            part[at : at + cells] for part, firsts in self._parts if (at := firsts[number]) != _NONE
        ]
        if len(found) == 1:
            return list(found[0])
        # Nobody has a gauge any more whose workers are all dead: it is 0, not gone from its curve.
        return [sum(each) for each in zip(*found, strict=True)] if found else [0.0] * cells

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


class Family:
    """The files of all workers of one store in one folder.

    Who may touch what: a worker writes its own file and nobody else's. The file `NAME.folded` and the
    removal of dead workers' files belong to whoever holds the family's lock (see `fold`).
    """

    def __init__(self, folder: Path, name: str, slots: Slots) -> None:
        self.workers = 1
        self._folder = folder
        self._name = name
        self._slots = slots
        self._folded = folder / f"{name}.folded"
        self._views: dict[_Key, View] = {}
        self._lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def new_file(self) -> Path:
        """Return the path of a file for this process; where nobody scrapes, files must not pile up."""
        with self._alone() as alone:
            living, dead = self._files(Path())
            if alone and len(dead) > len(living):
                fold(self._folder, self._folded, dead)
        return self._folder / f"{self._name}.{os.getpid()}.{time.monotonic_ns()}{_SUFFIX}"

    def read(self, own: Path, own_views: list[View]) -> Numbers:
        """Return the numbers of the whole family. Raises OSError when its folder is gone."""
        for view in own_views:  # first, so that our own declarations are the ones that hold
            view.learn(self._slots)
        if any(view.strange for view in own_views):  # we declare what another release had declared otherwise
            self._slots.clear()
            self._views = {}
            for view in own_views:
                view.learn_again(self._slots)
        try:
            with self._alone() as alone:
                living, dead = self._files(own)
                if dead and alone:
                    dead = fold(self._folder, self._folded, dead)
                self._views = self._readable(living, dead)
        except OSError as error:
            # No file can be opened now. What was read before is still mapped, and so up to date.
            if error.errno not in (errno.EMFILE, errno.ENFILE, errno.ENOMEM):
                raise
        self.workers = 1 + sum(not view.dead for view in self._views.values())
        return Numbers(self._slots, [*own_views, *self._views.values()])

    def close(self) -> None:
        """Let go of the folder's lock file."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    __del__ = close

    def _readable(self, living: list[str], dead: list[str]) -> dict[_Key, View]:
        """Return views of the folded file and of all that is not in it, while somebody else may fold."""
        found: dict[_Key, View] = {}
        for _ in range(_TRIES):
            found = {}
            folded = self._look(self._folded, found)
            if folded is not None:
                folded.learn(self._slots)
            for name in (*living, *dead):
                if folded is None or name not in folded.folded:
                    view = self._look(self._folder / name, found)
                    if view is not None and name in dead:
                        view.bury()
            # A file that vanished while we looked is in a folded file that came while we looked.
            if self._look(self._folded, dict(found)) is folded:
                break
        return found

    def _look(self, path: Path, found: dict[_Key, View]) -> View | None:
        try:
            key = (path.name, path.stat().st_ino)  # a folded file has one name and many lives
            view = found[key] = self._views.get(key) or View(Reader.of_file(path))
        except (FileNotFoundError, ValueError):
            return None  # gone, or torn
        return view

    def _files(self, own: Path) -> tuple[list[str], list[str]]:
        # iterdir() raises where the folder is gone; glob() would say that nobody else is there.
        start = f"{self._name}."
        names = sorted(path.name for path in self._folder.iterdir() if path.name.startswith(start))
        names = [name for name in names if name.endswith(_SUFFIX) and name != own.name]
        # An empty one is being made; its worker has counted nothing yet.
        names = [name for name in names if _size(self._folder / name)]
        living = {name for name in names if locked(self._folder / name)}
        return [name for name in names if name in living], [name for name in names if name not in living]

    @contextlib.contextmanager
    def _alone(self) -> Iterator[bool]:
        """Hold the family's lock, so that nobody folds while we read; False when it cannot be had in time."""
        deadline = time.monotonic() + _LOCK_SECONDS
        held = False
        while not held:
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                held = True
            except BlockingIOError:
                if time.monotonic() > deadline:
                    break
                time.sleep(0.001)
        try:
            yield held
        finally:
            if held:
                fcntl.flock(self._lock, fcntl.LOCK_UN)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
