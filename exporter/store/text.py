"""The pages that Prometheus reads, text format 0.0.4 and OpenMetrics 1.0, straight from the cells."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import lru_cache
from itertools import accumulate, islice
from math import floor
from typing import Any, TypeVar

from prometheus_client import metrics_core

from exporter.catalog import Metric, Sample
from exporter.store.exemplars import Exemplar
from exporter.store.keys import escaped
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
Exemplars = Mapping[int, Mapping[int, Exemplar]]  # by the number of the series, and by bucket


def pages(numbers: Numbers, *, openmetrics: bool = False, without: Collection[str] = ()) -> Iterator[str]:
    """Yield the text of a family's numbers in short pieces, without metrics that others have named."""
    slots = numbers.slots
    exemplars = numbers.exemplars() if openmetrics else {}  # the other format has none
    for name, declaration in slots.declarations.items():
        if name in without or f"{name}_count" in without:
            continue
        series, special = slots.series.get(name, {}), slots.special.get(name, {})
        if not series and not any(numbers.value(key) is not None for key in special.values()):
            continue
        kind = declaration["kind"]
        yield header(
            name.removesuffix("_total") if openmetrics and kind == "counter" else name,
            kind,
            declaration["help"],
        )
        if kind == "histogram":
            yield from _histograms(name, declaration["buckets"], series, numbers, exemplars)
        else:
            yield from _lines(name, series, special, numbers, exemplars)


def _lines(
    name: str, series: Mapping[str, int], special: Mapping[str, str], numbers: Numbers, exemplars: Exemplars
) -> Iterator[str]:
    sums = numbers.summing(1)
    for some in batched(series.items(), 8 * CHUNK):
        text = "".join([f"{name}{_braced(labels)} {number(sums(n)[0])}\n" for labels, n in some])
        here = {line: exemplars[n][0] for line, (_, n) in enumerate(some) if n in exemplars}
        yield _noted(text, here) if here else text
    for labels, key in special.items():
        value = numbers.value(key)
        if value is not None:
            yield f"{name}{_braced(labels)} {number(value)}\n"


def _histograms(
    name: str, buckets: Iterable[float], series: Mapping[str, int], numbers: Numbers, exemplars: Exemplars
) -> Iterator[str]:
    bounds = [*(number(bound) for bound in buckets), "+Inf"]
    sums = numbers.summing(len(bounds) + 1)
    # The numbers are put in first, while the text is short, then the start of every line.
    lines = "".join(f'\0le="{bound}"}} %d\n' for bound in bounds)
    for some in batched(series.items(), CHUNK):
        parts = []
        for labels, n in some:
            found = sums(n)
            here = tuple(accumulate(map(floor, found[1:])))  # whole numbers; int() takes twice as long
            text = (lines % here).replace("\0", f"{name}_bucket{{{labels}," if labels else f"{name}_bucket{{")
            parts.append(_noted(text, exemplars[n]) if n in exemplars else text)
            braced = f"{{{labels}}}" if labels else ""
            parts.append(f"{name}_sum{braced} {number(found[0])}\n{name}_count{braced} {here[-1]}\n")
        yield "".join(parts)


def _noted(text: str, exemplars: Mapping[int, Exemplar]) -> str:
    """Return lines with exemplars behind those with these numbers."""
    lines = text.split("\n")
    for line, (when, value, trace) in exemplars.items():
        lines[line] += f' # {{trace_id="{trace.hex()}"}} {number(value)} {when:.3f}'
    return "\n".join(lines)


def _braced(labels: str) -> str:
    return f"{{{labels}}}" if labels else ""


def batched(many: Iterable[_T], count: int) -> Iterator[list[_T]]:
    """Yield lists of so many; itertools has this from Python 3.12 on."""
    rest = iter(many)
    while some := list(islice(rest, count)):
        yield some


def families(readings: Iterable[Sample]) -> Iterator[metrics_core.Metric]:
    """Group readings by metric, in order of first appearance: a family must stand in one piece."""
    grouped: dict[Metric, list[Sample]] = {}
    for sample in readings:
        grouped.setdefault(sample.metric, []).append(sample)
    for metric, its_own in grouped.items():
        yield metric.family(its_own)


def page(collected: Iterable[metrics_core.Metric]) -> bytes:
    """Return families as a page of text."""
    return encoded(rendered(collected))


def encoded(text: str) -> bytes:
    """Return text as bytes; what cannot be written as UTF-8 must not spoil the rest of the page."""
    try:
        return text.encode()  # a third faster than with the errors named
    except UnicodeEncodeError:
        return text.encode(errors="replace")


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
            end = _borrowed(sample.exemplar) if openmetrics and sample.exemplar else ""
            lines.append(f"{sample.name}{_braced(labels)} {number(sample.value)}{end}\n")
    if openmetrics:
        lines.append("# EOF\n")
    return "".join(lines)


def _borrowed(exemplar: Any) -> str:
    labels = ",".join(f'{k}="{escaped(v)}"' for k, v in exemplar.labels.items())
    when = f" {exemplar.timestamp:.3f}" if exemplar.timestamp is not None else ""
    return f" # {{{labels}}} {number(exemplar.value)}{when}"


def number(value: float) -> str:
    """Write a float as Prometheus reads it."""
    written = repr(float(value))
    return _SPECIAL.get(written, written)


@lru_cache(4096)
def header(name: str, kind: str, help_text: str) -> str:
    """Return the two lines that stand over a metric's series."""
    return f"# HELP {name} {_escape_help(help_text)}\n# TYPE {name} {kind}\n"


def _escape_help(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n")
