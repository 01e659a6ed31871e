"""Workers of one family inside one process: they have files and locks as real ones, and can die."""

import json

from exporter.store.area import DECLARATION, Area, Reader, Shape
from exporter.store.files import Files
from exporter.store.keys import labels_of
from exporter.store.live import Series
from exporter.store.merge import Slots, View


class Worker:
    """Records into a file of its own, and reads those of the others."""

    def __init__(self, folder):
        self.slots = Slots()
        self.family = Files(folder, "store", self.slots)
        self.path = self.family.new_file()
        self.area = Area.in_file(self.path)
        self.views = [View(Reader(self.area.whole()))]
        self.live = {}

    def on(self, metric):
        if metric.name not in self.live:
            self._allocate(json.dumps(metric.declaration()), Shape(DECLARATION, 0))
            self.live[metric.name] = Series(metric, self._allocate)
        return self.live[metric.name]

    def _allocate(self, key, shape):
        return self.area.cells, self.area.add(key, shape.kind, shape.cells)

    def numbers(self):
        return self.family.read(self.path, self.views)

    def page(self):
        """Return {(metric, label values): number, or list of a histogram's cells}."""
        return readings(self.numbers())

    def die(self):
        """Leave everything as a killed process does: the kernel drops the lock, the file stays."""
        self.area.close()
        self.family.close()


def readings(numbers):
    found = {}
    for name, declaration in numbers.slots.declarations.items():
        cells = Shape.of(declaration).cells
        for text, at in numbers.slots.series.get(name, {}).items():
            labels = tuple(labels_of(text).values())
            part = numbers.sums(at, cells)
            found[name, labels] = [*part[1:], part[0]] if cells > 1 else part[0]  # the sum last
        for text, key in numbers.slots.special.get(name, {}).items():
            labels = tuple(labels_of(text).values())
            if numbers.value(key) is not None:
                found[name, labels] = numbers.value(key)
    return found
