"""A family's numbers as prometheus_client's own objects, for its tools and for tests."""

from collections.abc import Iterator
from itertools import accumulate

from prometheus_client import metrics_core, samples

from exporter.store.exemplars import Exemplar
from exporter.store.keys import labels_of
from exporter.store.merge import Numbers
from exporter.store.text import number


def families_of(numbers: Numbers) -> Iterator[metrics_core.Metric]:
    """Yield the numbers as prometheus_client's families: slower than text, and in one go."""
    slots, exemplars = numbers.slots, numbers.exemplars()
    for name, declaration in slots.declarations.items():
        family = metrics_core.Metric(name.removesuffix("_total"), declaration["help"], declaration["kind"])
        for labels, at in slots.series.get(name, {}).items():
            pairs = labels_of(labels)
            noted = {bucket: _theirs(exemplar) for bucket, exemplar in exemplars.get(at, {}).items()}
            if declaration["kind"] != "histogram":
                family.add_sample(name, pairs, numbers.sums(at, 1)[0], None, noted.get(0))
                continue
            total, *each = numbers.sums(at, len(declaration["buckets"]) + 2)
            counts = list(accumulate(each))
            for bucket, bound in enumerate((*map(number, declaration["buckets"]), "+Inf")):
                le = pairs | {"le": bound}
                family.add_sample(f"{name}_bucket", le, counts[bucket], None, noted.get(bucket))
            family.add_sample(f"{name}_count", pairs, counts[-1])
            family.add_sample(f"{name}_sum", pairs, total)
        for labels, key in slots.special.get(name, {}).items():
            value = numbers.value(key)
            if value is not None:
                family.add_sample(name, labels_of(labels), value)
        if family.samples:
            yield family


def _theirs(exemplar: Exemplar) -> samples.Exemplar:
    return samples.Exemplar(exemplar.labels(), exemplar.value, exemplar.time)
