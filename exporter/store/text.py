"""The pages that Prometheus reads, text format 0.0.4 and OpenMetrics 1.0, straight from the cells."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import accumulate, islice
from typing import TypeVar

from prometheus_client import metrics_core

from exporter.catalog import Metric, Sample
from exporter.store.area import escaped, labels_of
from exporter.store.merge import Numbers

TEXT = "text/plain; version=0.0.4; charset=utf-8"
CONTENT_TYPE = TEXT
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
_TYPES = {"unknown": "untyped", "info": "gauge", "stateset": "gauge", "gaugehistogram": "histogram"}
_SPECIAL = {"inf": "+Inf", "-inf": "-Inf", "nan": "NaN"}
_CREATED = {"counter", "histogram", "summary"}
# Series rendered in one go: a few hundred microseconds, so that an event loop gets its turn in between.
CHUNK = 64

_T = TypeVar("_T")


def pages(numbers: Numbers, *, openmetrics: bool = False, without: Collection[str] = ()) -> Iterator[str]:
    """Yield the text of a family's numbers in short pieces, without metrics that others have named."""
    slots = numbers.slots
    for name, declaration in slots.declarations.items():
        if name in without or f"{name}_count" in without:
            continue
        series, special = slots.series.get(name, {}), slots.special.get(name, {})
        if not series and not any(numbers.value(key) is not None for key in special.values()):
            continue
        family = name.removesuffix("_total") if openmetrics and declaration["kind"] == "counter" else name
        yield (
            f"# HELP {family} {_escape_help(declaration['help'])}\n# TYPE {family} {declaration['kind']}\n"
        )
        if declaration["kind"] == "histogram":
            yield from _histograms(name, declaration["buckets"], series, numbers)
        else:
            yield from _lines(name, series, special, numbers)


def _lines(
    name: str, series: Mapping[str, int], special: Mapping[str, str], numbers: Numbers
) -> Iterator[str]:
    for some in batched(series.items(), 8 * CHUNK):
        yield "".join([f"{name}{_braced(labels)} {number(numbers.sums(n, 1)[0])}\n" for labels, n in some])
    for labels, key in special.items():
        value = numbers.value(key)
        if value is not None:
            yield f"{name}{_braced(labels)} {number(value)}\n"


def _histograms(
    name: str, buckets: Iterable[float], series: Mapping[str, int], numbers: Numbers
) -> Iterator[str]:
    bounds = [*(number(bound) for bound in buckets), "+Inf"]
    cells = len(bounds) + 1
    # The numbers are put in first, while the text is short, then the start of every line.
    lines = "".join(f'\0le="{bound}"}} %d\n' for bound in bounds)
    for some in batched(series.items(), CHUNK):
        parts = []
        for labels, n in some:
            found = numbers.sums(n, cells)
            total = number(found.pop())
            here = tuple(accumulate(map(int, found)))
            braced = _braced(labels)
            start = f"{name}_bucket{{{labels}," if labels else f"{name}_bucket{{"
            parts.append((lines % here).replace("\0", start))
            parts.append(f"{name}_sum{braced} {total}\n{name}_count{braced} {here[-1]}\n")
        yield "".join(parts)


def _braced(labels: str) -> str:
    return f"{{{labels}}}" if labels else ""


def batched(many: Iterable[_T], count: int) -> Iterator[list[_T]]:
    """Yield lists of so many; itertools has this from Python 3.12 on."""
    rest = iter(many)
    while some := list(islice(rest, count)):
        yield some


def families_of(numbers: Numbers) -> Iterator[metrics_core.Metric]:
    """Yield a family's numbers as prometheus_client's families: slower, for its tools."""
    slots = numbers.slots
    for name, declaration in slots.declarations.items():
        family = metrics_core.Metric(name.removesuffix("_total"), declaration["help"], declaration["kind"])
        for labels, at in slots.series.get(name, {}).items():
            pairs = labels_of(labels)
            if declaration["kind"] != "histogram":
                family.add_sample(name, pairs, numbers.sums(at, 1)[0])
                continue
            *each, total = numbers.sums(at, len(declaration["buckets"]) + 2)
            counts = list(accumulate(each))
            for bound, count in zip((*map(number, declaration["buckets"]), "+Inf"), counts, strict=True):
                family.add_sample(f"{name}_bucket", pairs | {"le": bound}, count)
            family.add_sample(f"{name}_count", pairs, counts[-1])
            family.add_sample(f"{name}_sum", pairs, total)
        for labels, key in slots.special.get(name, {}).items():
            value = numbers.value(key)
            if value is not None:
                family.add_sample(name, labels_of(labels), value)
        if family.samples:
            yield family


def families(samples: Iterable[Sample]) -> Iterator[metrics_core.Metric]:
    """Group samples by metric, in order of first appearance: a family must stand in one piece."""
    grouped: dict[Metric, list[Sample]] = {}
    for sample in samples:
        grouped.setdefault(sample.metric, []).append(sample)
    for metric, readings in grouped.items():
        yield metric.family(readings)


def page(collected: Iterable[metrics_core.Metric]) -> bytes:
    """Return families as a page of text."""
    return rendered(collected).encode()


def rendered(collected: Iterable[metrics_core.Metric], *, openmetrics: bool = False) -> str:
    """Return families as text, without the times of creation: Prometheus has no use for them."""
    lines: list[str] = []
    for family in collected:
        samples = family.samples
        if family.type in _CREATED:
            samples = [s for s in samples if s.name != f"{family.name}_created"]
        if not samples:
            continue
        # prometheus_client calls a counter by its stem; a borrowed name may have no _total at all.
        name = samples[0].name if family.type == "counter" and not openmetrics else family.name
        kind = family.type if openmetrics else _TYPES.get(family.type, family.type)
        if family.type == "info" and not openmetrics:
            name += "_info"
        lines.append(f"# HELP {name} {_escape_help(family.documentation)}\n")
        lines.append(f"# TYPE {name} {kind}\n")
        for sample in samples:
            labels = ",".join(f'{k}="{escaped(v)}"' for k, v in sample.labels.items())
            lines.append(
                f"{sample.name}{{{labels}}} {number(sample.value)}\n"
                if labels
                else f"{sample.name} {number(sample.value)}\n"
            )
    if openmetrics:
        lines.append("# EOF\n")
    return "".join(lines)


def number(value: float) -> str:
    """Write a float as Prometheus reads it."""
    written = repr(float(value))
    return _SPECIAL.get(written, written)


def header(name: str, kind: str, help_text: str) -> str:
    """Return the two lines that stand over a metric's series."""
    return f"# HELP {name} {_escape_help(help_text)}\n# TYPE {name} {kind}\n"


def _escape_help(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n")
