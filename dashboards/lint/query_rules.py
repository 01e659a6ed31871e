"""Rules on queries: PromQL that parses, rates over Grafana's interval, growth of counters, true legends."""

import re
from collections.abc import Iterator
from typing import Any

from dashboards.lint import promql
from dashboards.lint.walk import Finding, Json, Part, drawn, settings, targets

RATES = {"rate", "irate", "increase"}
# What may be asked of a counter as it stands: is it there, when was it read, how often did it begin anew.
OF_COUNTERS = RATES | {
    "absent", "absent_over_time", "changes", "count_over_time", "last_over_time", "present_over_time",
    "resets", "timestamp",
}  # fmt: skip
COUNTING = {"count", "group", "count_values"}
_LEGEND = re.compile(r"\{\{\s*(\w+)\s*\}\}")
_WINDOW = re.compile(r"\b(rate|irate)\s*\(\s*[^()\[\]]*\[([^\]]+)\]")


def datasource(board: Json) -> Iterator[Finding]:
    """The data source is a variable: a fixed name or uid is that of one Grafana only."""
    for part in [*(part for part in drawn(board) if part.json.get("targets")), *targets(board)]:
        source = part.json.get("datasource")
        if source is None and "expr" in part.json:
            continue  # a query takes its panel's
        uid = source.get("uid") if isinstance(source, dict) else source
        if not isinstance(source, dict) or not str(uid).startswith("$"):
            message = f"must be an object with a variable as uid, not {source!r}"
            yield part.finding("datasource", message, ".datasource")


def parses(board: Json) -> Iterator[Finding]:
    """Prometheus would understand each expression."""
    for part in targets(board):
        if "expr" not in part.json:
            continue
        try:
            promql.parse(part.json["expr"])
        except ValueError as error:
            yield part.finding("promql", f"{error}: {part.json['expr']}", ".expr")
    for place, note in enumerate((board.get("annotations") or {}).get("list") or []):
        try:
            promql.parse(note.get("expr") or "1")
        except ValueError as error:
            path = f"$.annotations.list[{place}].expr"
            yield Finding("promql", "", path, f"{error}: {note['expr']}")


def rate_interval(board: Json) -> Iterator[Finding]:
    """Rates are drawn over $__rate_interval: a fixed window loses points at another zoom.

    A figure of this moment, without a history, may name its own window.
    """
    for part in targets(board):
        if part.json.get("instant") and not part.json.get("range"):
            continue
        for function, window in _WINDOW.findall(part.json.get("expr") or ""):
            if window not in ("$__rate_interval", "${__rate_interval}"):
                message = f"{function}() over [{window}] instead of [$__rate_interval]"
                yield part.finding("rate-interval", message, ".expr")


def counters(board: Json) -> Iterator[Finding]:
    """A counter is shown by its growth: as it stands it only says how long ago the process began."""
    for part, tree in _trees(board):
        for name in sorted(_bare(tree, shown=True)):
            if name.endswith(("_total", "_bucket")):
                yield part.finding("counter", f"{name} needs rate() or increase()", ".expr")


def quantiles(board: Json) -> Iterator[Finding]:
    """A quantile is taken over buckets: a sum that drops `le` leaves it nothing."""
    for part, tree in _trees(board):
        for node in promql.nodes(tree):
            if promql.kind(node) == "Call" and node.func.name == "histogram_quantile":
                labels = promql.kept(node.args[1])
                if labels is not None and "le" not in labels:
                    yield part.finding("quantile", "histogram_quantile() of a result without `le`", ".expr")


def legends(board: Json) -> Iterator[Finding]:
    """A legend names labels that the result still has; Grafana leaves others blank."""
    for part, tree in _trees(board):
        labels = promql.kept(tree)
        for name in _LEGEND.findall(part.json.get("legendFormat") or ""):
            if labels is not None and name not in labels:
                message = f"names {name!r}, but the result has only {sorted(labels)}"
                yield part.finding("legend", message, ".legendFormat")


def currency(board: Json) -> Iterator[Finding]:
    """No fixed currency on figures whose label tells the currency."""
    for part in drawn(board):
        by_currency = any(
            "currency" in (promql.kept(tree) or ()) or re.search(r"\bcurrency\s*=", target.json["expr"])
            for target, tree in _trees(board)
            if target.path.startswith(part.path + ".")
        )
        for name, path, value in settings(part):
            if name == "unit" and by_currency and str(value).startswith("currency"):
                yield part.finding("currency", f"{value} is fixed, but the series tell their currency", path)


RULES = (datasource, parses, rate_interval, counters, quantiles, legends, currency)


def declared(board: Json, known: dict[str, set[str] | None]) -> Iterator[Finding]:
    """Each metric exists and has the labels that are asked of it; None: nobody lists its labels."""
    for part, tree in _trees(board):
        for node in promql.nodes(tree):
            if promql.kind(node) != "VectorSelector":
                continue
            name = promql.name_of(node)
            if name not in known:
                yield part.finding("unknown-metric", f"nothing publishes {name!r}", ".expr")
                continue
            labels = known[name]
            for asked in node.matchers.matchers if labels is not None else ():
                if labels is not None and asked.name not in labels | {"__name__"}:
                    yield part.finding("unknown-label", f"{name} has no label {asked.name!r}", ".expr")


def _trees(board: Json) -> Iterator[tuple[Part, Any]]:
    """Yield each query that parses with its syntax tree."""
    for part in targets(board):
        try:
            yield part, promql.parse(part.json["expr"])
        except (KeyError, ValueError):
            continue  # not Prometheus's, or the rule on PromQL says so


def _bare(node: Any, *, shown: bool) -> set[str]:
    """Return the metrics that are shown as they stand."""
    match promql.kind(node):
        case "VectorSelector":
            return {promql.name_of(node)} if shown else set()
        case "Call":
            # A subquery or an argument of these may hold the counter; what they give is no counter any more.
            shown = shown and node.func.name not in OF_COUNTERS
        case "AggregateExpr":
            shown = shown and str(node.op) not in COUNTING
    return {name for child in promql.children(node) for name in _bare(child, shown=shown)}
