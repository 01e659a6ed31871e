"""What a declared metric is: one frozen record from which every series, query and page is made."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol, get_args, runtime_checkable

from prometheus_client import metrics_core

Kind = Literal["counter", "gauge", "histogram", "untyped"]
Merge = Literal["sum", "newest", "max"]

_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")  # no colon: that is for recording rules
_LABEL = re.compile(r"(?!__)[a-zA-Z_][a-zA-Z0-9_]*")
# Prometheus sets instance itself; le and quantile belong to histograms and summaries. It sets job as well,
# but what a scheduler runs is a job in everybody's words: there the label arrives as exported_job.
_RESERVED_LABELS = {"instance", "le", "quantile"}
_SCALED_UNITS = re.compile(
    r"_(ms|milliseconds|microseconds|minutes|hours|days|kb|mb|gb|kilobytes|megabytes|percent)(_|$)"
)
_UNITS = ("timestamp_seconds", "seconds", "bytes", "ratio", "usd")


class Child(Protocol):
    """One live series: a metric with all its label values chosen.

    A `trace_id`, up to 32 hexadecimal digits, leads from the page to a trace: see `exporter.store.exemplars`.
    """

    def inc(self, amount: float = 1, trace_id: str = "") -> None: ...
    def dec(self, amount: float = 1) -> None: ...
    def set(self, value: float) -> None: ...
    def observe(self, value: float, trace_id: str = "") -> None: ...


class Live(Child, Protocol):
    """A metric that a running program records into. Without labels it is its own child."""

    def labels(self, *values: str) -> Child:
        """Return the series with these label values, in the declared order. Keep it: looking it up costs."""
        ...


@runtime_checkable
class Records(Protocol):
    """A place where live numbers are kept: `exporter.store.Store`."""

    def live(self, metric: "Metric") -> Live: ...


class Sample(NamedTuple):
    """One reading of one series; `labels` are values in the order that the metric declares."""

    metric: "Metric"
    labels: tuple[str, ...]
    value: float


@dataclass(frozen=True)
class Metric:
    """The declaration of a metric, kept as a constant at the top of the file that feeds it.

    `labels` are label names. `buckets` are the upper bounds of a histogram, ascending, in the metric's
    unit, without +Inf. `origin` names the standard exporter whose metric this is: such a name is kept to
    the letter, also where it breaks the naming rules that are checked for our own, or leaves open whether
    it is a counter or a gauge ("untyped"). `merge` says what the gauges of several workers are together:
    the sum over the living, the one set last, or the greatest.

    Raises ValueError for a declaration that breaks Prometheus's naming rules.
    """

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()
    origin: str = ""
    merge: Merge = "sum"

    def __post_init__(self) -> None:
        for broken in self._broken_rules():
            raise ValueError(f"metric {self.name!r}: {broken}")

    def _broken_rules(self) -> Iterable[str]:
        if not _NAME.fullmatch(self.name):
            yield "a name has letters, digits and underscores only"
        if self.kind not in get_args(Kind):
            yield f"unknown kind {self.kind!r}; use counter, gauge or histogram"
        if self.kind == "untyped" and not self.origin:
            yield "untyped is for borrowed names alone; say whether it is a counter or a gauge"
        for label in self.labels:
            if not _LABEL.fullmatch(label) or label in _RESERVED_LABELS:
                yield f"label {label!r} is malformed or reserved"
        if len(set(self.labels)) != len(self.labels):
            yield "a label is named twice"
        if (self.kind == "histogram") != bool(self.buckets):
            yield "a histogram, and only a histogram, has buckets"
        if self.merge != "sum" and self.kind != "gauge":
            yield "only gauges of several workers are merged in another way than by adding"
        if list(self.buckets) != sorted(set(self.buckets)):
            yield "buckets must ascend"
        if not self.help or self.help[0].islower() or not self.help.endswith("."):
            yield "help must be a sentence: no small letter first, and a full stop last"
        if self.origin:
            return
        if self.name != self.name.lower():
            yield "a name is in lower case"
        if (self.kind == "counter") != self.name.endswith("_total"):
            yield "counters, and only counters, end in _total"
        if self.kind == "histogram" and self.name.endswith(("_bucket", "_count", "_sum")):
            yield "a histogram's name must not end in _bucket, _count or _sum"
        if _SCALED_UNITS.search(self.name):
            yield "use base units: seconds, bytes, ratios from 0 to 1"

    @property
    def unit(self) -> str:
        """The base unit that the name states (`_UNITS`), or nothing for a count."""
        stem = self.name.removesuffix("_total")
        return next((unit for unit in _UNITS if stem.endswith("_" + unit)), "")

    def declaration(self) -> dict[str, Any]:
        """Return what another process must know to read this metric's series, as plain values."""
        return {
            "name": self.name,
            "kind": self.kind,
            "help": self.help,
            "labels": list(self.labels),
            "buckets": list(self.buckets),
            "merge": self.merge,
        }

    def on(self, store: Records) -> Live:
        """Return the live form of this metric in `store`; the same object for the same store.

        Raises ValueError for an untyped metric: such are read from elsewhere, never recorded.
        """
        if self.kind == "untyped":
            raise ValueError(f"metric {self.name!r} is untyped and cannot be recorded")
        return store.live(self)

    def sample(self, value: float, **labels: str) -> Sample:
        """Return one reading. Raises ValueError unless exactly the declared labels are given."""
        try:
            values = tuple([labels[name] for name in self.labels])
        except KeyError:
            values = ()
        if len(values) != len(labels) or len(labels) != len(self.labels):
            raise ValueError(f"metric {self.name!r} has the labels {list(self.labels)}, not {sorted(labels)}")
        if self.kind == "histogram":
            raise ValueError(f"metric {self.name!r} is a histogram and cannot be read as one number")
        return Sample(self, values, value)

    def family(self, samples: Iterable[Sample] = ()) -> metrics_core.Metric:
        """Return a prometheus_client family with these readings; empty, it describes the metric."""
        family = metrics_core.Metric(self.name.removesuffix("_total"), self.help, self.kind)
        for sample in samples:
            family.add_sample(self.name, dict(zip(self.labels, sample.labels, strict=True)), sample.value)
        return family


def declared(module: Any) -> Iterable[Metric]:
    """Yield the metrics that a module declares as constants of its own, in their order."""
    for name, value in vars(module).items():
        if isinstance(value, Metric) and name.isupper():
            yield value


__all__ = ["Child", "Kind", "Live", "Metric", "Records", "Sample", "declared"]
