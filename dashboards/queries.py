"""From a declared metric to PromQL: its kind picks the form, and a wrong label fails while building."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from dashboards import foreign, rules
from dashboards.selectors import TARGET_LABELS, Match, arriving, but, check_labels, like, matchers, series
from exporter.catalog import Kind, Metric

# Grafana shows an unknown unit as a suffix and never complains, so the ones in use are listed.
Unit = Literal[
    "none", "short", "s", "bytes", "Bps", "bps", "pps", "percentunit", "reqps", "ops", "currencyUSD",
    "celsius", "suffix: tok", "suffix: tok/min", "suffix: /min", "suffix: ms",
]  # fmt: skip
Aggregation = Literal["sum", "avg", "min", "max", "count"]

# At least four scrapes wide at any zoom, so that a rate neither vanishes nor skips samples.
RATE_INTERVAL = "$__rate_interval"
RANGE = "$__range"
# The histograms whose observations carry the id of their trace: a dot on the graph leads to it.
EXEMPLARS = frozenset({"http_request_duration_seconds"})

_UNITS: dict[str, Unit] = {"seconds": "s", "bytes": "bytes", "ratio": "percentunit", "usd": "currencyUSD"}
# Seconds per second is the share of time that something was busy.
_RATE_UNITS: dict[str, Unit] = {"seconds": "percentunit", "bytes": "Bps", "usd": "currencyUSD", "": "ops"}


@dataclass(frozen=True)
class Query:
    """One expression of a panel, with what the panel needs to show it rightly.

    `labels` are those of the result. `instant` asks for one value now, not for a history. `counts` says that
    the series appears with its first event, so that its absence means zero; elsewhere absence means no data.
    `exemplar` asks for the traces behind a histogram as well; `past` marks what is drawn for comparison only.
    """

    expr: str
    legend: str
    unit: Unit
    help: str
    labels: tuple[str, ...] = ()
    instant: bool = False
    buckets: bool = False
    limit: bool = False
    counts: bool = False
    compound: bool = False
    exemplar: bool = False
    past: bool = False

    def __post_init__(self) -> None:
        for label in _names_in(self.legend):
            if label not in self.labels:
                raise ValueError(
                    f"legend {self.legend!r} names {label!r}, but the result has {list(self.labels)}"
                )

    def named(self, legend: str, unit: Unit | None = None) -> "Query":
        """Return the query under this legend (`{{label}}` is replaced by the label's value) and unit."""
        return replace(self, legend=legend, unit=unit or self.unit)

    @property
    def _operand(self) -> str:
        return f"({self.expr})" if self.compound else self.expr


def value(metric: Metric, *by: str, agg: Aggregation = "sum", **where: str | Match) -> Query:
    """Return a gauge as it stands. Ratios, ages and times cannot be summed: choose max, min or avg."""
    _require(metric, "gauge", "untyped")
    if metric.unit == "timestamp_seconds":
        raise ValueError(f"{metric.name} is a point in time; show it with age()")
    if agg == "sum" and metric.unit in ("ratio", "seconds"):
        raise ValueError(f"{metric.name} is in {metric.unit}: a sum means nothing, use max, min or avg")
    expr = _aggregate(agg, _arrived(metric, by), series(metric, where))
    return _query(metric, by, expr, "short" if agg == "count" else _UNITS.get(metric.unit, "short"))


def age(metric: Metric, *by: str, agg: Aggregation = "max", **where: str | Match) -> Query:
    """Return the seconds since the point in time that the gauge holds; the greatest age first."""
    _require(metric, "gauge")
    if metric.unit != "timestamp_seconds" and not metric.name.endswith("time_seconds"):
        raise ValueError(f"{metric.name} does not hold a point in time")
    expr = _aggregate(agg, _arrived(metric, by), f"time() - {series(metric, where)}")
    return _query(metric, by, expr, "s")


def rate(
    metric: Metric, *by: str, over: str = RATE_INTERVAL, agg: Aggregation = "sum", **where: str | Match
) -> Query:
    """Return a counter's growth per second; for a histogram, how often it was observed."""
    expr = _aggregate(agg, _arrived(metric, by), _windowed("rate", metric, over, where))
    unit: Unit = "ops" if metric.kind == "histogram" else _RATE_UNITS[metric.unit]
    return replace(_query(metric, by, expr, unit), counts=True)


def increase(
    metric: Metric, *by: str, over: str = RATE_INTERVAL, agg: Aggregation = "sum", **where: str | Match
) -> Query:
    """Return by how much a counter grew in a window; over the shown range it is one number."""
    expr = _aggregate(agg, _arrived(metric, by), _windowed("increase", metric, over, where))
    unit: Unit = "short" if metric.kind == "histogram" else _UNITS.get(metric.unit, "short")
    return replace(_query(metric, by, expr, unit), counts=True, instant=over == RANGE)


def quantile(q: float, metric: Metric, *by: str, over: str = RATE_INTERVAL, **where: str | Match) -> Query:
    """Return a quantile of a histogram, estimated within its buckets: 0.95 for the 95th percentile."""
    _require(metric, "histogram")
    if not 0 < q < 1:
        raise ValueError(f"a quantile lies between 0 and 1, not {q}")
    grown = f"rate({series(metric, where, '_bucket')}[{over}])"
    buckets = _aggregate("sum", ("le", *_arrived(metric, by)), grown)
    query = _query(metric, by, f"histogram_quantile({q}, {buckets})", _unit_of(metric))
    legend = f"p{q * 100:g} {_legend(query.labels)}".strip()
    return replace(query, legend=legend, exemplar=metric.name in EXEMPLARS)


def average(metric: Metric, *by: str, over: str = RATE_INTERVAL, **where: str | Match) -> Query:
    """Return the mean of what a histogram observed."""
    _require(metric, "histogram")
    parts = (f"rate({series(metric, where, suffix)}[{over}])" for suffix in ("_sum", "_count"))
    total, count = (_aggregate("sum", _arrived(metric, by), part) for part in parts)
    return replace(_query(metric, by, f"{total} / ({count} > 0)", _unit_of(metric)), compound=True)


def spent(metric: Metric, *by: str, over: str = RATE_INTERVAL, **where: str | Match) -> Query:
    """Return the seconds per second that a histogram timed: how many ran at once, on average."""
    _require(metric, "histogram")
    expr = _aggregate("sum", _arrived(metric, by), f"rate({series(metric, where, '_sum')}[{over}])")
    return _query(metric, by, expr, "short")


def within(bound: float, metric: Metric, *by: str, over: str = RATE_INTERVAL, **where: str | Match) -> Query:
    """Return the share of observations up to `bound`, which must be one of the buckets: so it is exact."""
    _require(metric, "histogram")
    if bound not in metric.buckets:
        raise ValueError(f"{metric.name} has no bucket {bound:g}, only {list(metric.buckets)}")
    # Clients write a whole bound as "1" or "1.0".
    le = like(rf"{bound:g}(\.0)?") if float(bound).is_integer() else f"{bound:g}"
    part = f"rate({series(metric, {**where, 'le': le}, '_bucket')}[{over}])"
    whole = f"rate({series(metric, where, '_count')}[{over}])"
    kept = _arrived(metric, by)
    expr = f"{_aggregate('sum', kept, part)} / ({_aggregate('sum', kept, whole)} > 0)"
    return replace(_query(metric, by, expr, "percentunit"), compound=True)


def heat(metric: Metric, **where: str | Match) -> Query:
    """Return a histogram's buckets over time, for a heatmap."""
    _require(metric, "histogram")
    expr = _aggregate("sum", ("le",), f"increase({series(metric, where, '_bucket')}[{RATE_INTERVAL}])")
    query = _query(metric, ("le",), expr, _unit_of(metric))
    return replace(query, buckets=True, exemplar=metric.name in EXEMPLARS)


def ahead(metric: Metric, *by: str, seconds: int, over: str, **where: str | Match) -> Query:
    """Return what a gauge will be in `seconds`, if it goes on as it did over the window."""
    _require(metric, "gauge")
    forecast = f"predict_linear({series(metric, where)}[{over}], {seconds})"
    return _query(
        metric, by, _aggregate("min", _arrived(metric, by), forecast), _UNITS.get(metric.unit, "short")
    )


def ratio(part: Query, whole: Query) -> Query:
    """Return part / whole. No events in the part is 0; nothing in the whole is no data, not 0/0."""
    if set(part.labels) != set(whole.labels):
        raise ValueError(f"cannot divide {list(part.labels)} by {list(whole.labels)}: group both alike")
    top_ = f"({part._operand} or {whole._operand} * 0)" if part.counts else part._operand
    unit: Unit = "percentunit" if part.unit == whole.unit else part.unit
    expr = f"{top_} / ({whole._operand} > 0)"
    return replace(part, expr=expr, unit=unit, counts=False, compound=True)


def plus(one: Query, other: Query) -> Query:
    """Return the sum of two queries of the same labels and unit."""
    if set(one.labels) != set(other.labels) or one.unit != other.unit:
        raise ValueError(f"cannot add {other.labels} in {other.unit!r} to {one.labels} in {one.unit!r}")
    return replace(one, expr=f"{one._operand} + {other._operand}", compound=True)


def less(one: Query, other: Query) -> Query:
    """Return how much more the one is than the other, of the same labels and unit; never below 0."""
    if set(one.labels) != set(other.labels) or one.unit != other.unit:
        raise ValueError(f"cannot take {other.labels} in {other.unit!r} from {one.labels} in {one.unit!r}")
    # Two counters are not read at the same moment, so the smaller can be ahead for a scrape.
    expr = f"clamp_min({one._operand} - {other._operand}, 0)"
    return replace(one, expr=expr, counts=False, compound=False)


def growth(metric: Metric, *by: str, over: str, agg: Aggregation = "sum", **where: str | Match) -> Query:
    """Return by how much a gauge changed within the window; below 0 it shrank."""
    _require(metric, "gauge")
    expr = _aggregate(agg, _arrived(metric, by), f"delta({series(metric, where)}[{over}])")
    return _query(metric, by, expr, _UNITS.get(metric.unit, "short"))


def before(query: Query, offset: str, legend: str) -> Query:
    """Return the same query as it was so long ago, to draw behind it."""
    # What the moment `offset` applies to: each selector or its range; braces in texts are no selectors.
    expr = _SELECTORS.sub(lambda m: m[0] if m[0][0] == '"' else f"{m[0]} offset {offset}", query.expr)
    return replace(query, expr=expr, legend=legend, past=True, exemplar=False)


def rest(share: Query) -> Query:
    """Return 1 - share."""
    return replace(share, expr=f"1 - {share._operand}", compound=True)


def scaled(query: Query, factor: float, unit: Unit) -> Query:
    """Return the query times a factor, in another unit: bytes to bits, per second to per minute."""
    return replace(query, expr=f"{query._operand} * {factor:g}", unit=unit, compound=True)


def top(k: int, query: Query) -> Query:
    """Return the k greatest series at each moment, so that a panel stays readable."""
    return replace(query, expr=f"topk({k}, {query.expr})", compound=False)


def worst(query: Query, *by: str, agg: Aggregation = "max") -> Query:
    """Return the extreme of a result: as one number, or for each value of the labels that are kept."""
    for label in by:
        if label not in query.labels:
            raise ValueError(f"{label!r} is not in the result, which has {list(query.labels)}")
    legend = _legend(by) or agg
    return replace(
        query, expr=_aggregate(agg, by, query.expr), legend=legend, labels=by, compound=False, counts=False
    )


def recorded(name: str, unit: Unit, *by: str, agg: Aggregation | None = None, **where: str | Match) -> Query:
    """Return a series that a rule file records; its level, before the first colon, names its labels."""
    rules.records(name)
    first = name.split(":")[0]
    level = [] if first == "threshold" else ["service", *first.split("_")]  # only thresholds hold for all
    read = name + matchers(where, tuple(label for label in TARGET_LABELS if label in level))
    legend = _legend(by) or name
    return Query(_aggregate(agg, by, read) if agg else read, legend, unit, "", by)


def limit(name: str, alert: str) -> Query:
    """Return an alert's threshold as a line to draw, in the unit of the panel's other queries."""
    if alert not in [record.labels.get("alert") for record in rules.records(name)]:
        raise ValueError(f"{name!r} has no threshold for the alert {alert!r}")
    expr = f"max by (alert, priority) ({name}{matchers({'alert': alert}, ())})"
    legend = "{{alert}} ({{priority}})"
    return Query(expr, legend, "none", "", ("alert", "priority"), limit=True)


def firing(*by: str, **where: str | Match) -> Query:
    """Return how many alerts fire; 0 when none does. The Watchdog, which always fires, is left out."""
    where = {"alertstate": "firing", "alertname": but("Watchdog"), **where}
    expr = _aggregate("count", by, series(foreign.ALERTS, where, scope=("service",)))
    if by:
        return _query(foreign.ALERTS, by, expr, "short")
    return _query(foreign.ALERTS, by, f"{expr} or vector(0)", "short")


def restarted(metric: Metric, *by: str, over: str, **where: str | Match) -> Query:
    """Return how often the gauge that holds a start changed within the window."""
    _require(metric, "gauge")
    expr = _aggregate("sum", _arrived(metric, by), f"changes({series(metric, where)}[{over}])")
    return _query(metric, by, expr, "short")


def restarts() -> Query:
    """Return the processes that started anew; two minutes, so that a one-minute step misses none."""
    expr = f"changes({series(foreign.PROCESS_START, {})}[2m]) > 0"
    return _query(foreign.PROCESS_START, ("job", "instance"), expr, "short")


def label_values(metric: Metric, label: str, *given: str) -> str:
    """Return a variable's query: the values of a label, among what the `given` variables choose."""
    check_labels(metric, (label,))
    return f"label_values({series(metric, {}, scope=given)}, {label})"


def _query(metric: Metric, by: tuple[str, ...], expr: str, unit: Unit) -> Query:
    check_labels(metric, by)
    labels = _arrived(metric, by)
    return Query(expr, _legend(labels) or metric.name, unit, metric.help, labels)


def _unit_of(histogram: Metric) -> Unit:
    return _UNITS.get(histogram.unit, "short")


_SELECTORS = re.compile(r'"(?:\\.|[^"\\])*"|\}(?:\[[^\]]*\])?')


def _arrived(metric: Metric, by: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(arriving(metric, label) for label in by)


def _windowed(function: str, metric: Metric, over: str, where: Mapping[str, str | Match]) -> str:
    _require(metric, "counter", "histogram", "untyped")  # of an untyped one the board knows that it grows
    suffix = "_count" if metric.kind == "histogram" else ""
    return f"{function}({series(metric, where, suffix)}[{over}])"


def _aggregate(agg: Aggregation, by: tuple[str, ...], expr: str) -> str:
    return f"{agg} by ({', '.join(by)}) ({expr})" if by else f"{agg}({expr})"


def _require(metric: Metric, *kinds: Kind) -> None:
    if metric.kind not in kinds:
        raise ValueError(f"{metric.name} is a {metric.kind}; this needs a {' or a '.join(kinds)}")


def _legend(by: tuple[str, ...]) -> str:
    return " ".join(f"{{{{{label}}}}}" for label in by)


def _names_in(legend: str) -> list[str]:
    return [part.split("}}")[0].strip() for part in legend.split("{{")[1:]]
