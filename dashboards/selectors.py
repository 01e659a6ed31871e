"""Which series a query reads: a declared name, the board's choices, and matchers that the metric has."""

import json
from collections.abc import Mapping
from functools import cache
from typing import Literal, NamedTuple

from exporter.catalog import Metric
from exporter.inventory import everything

# Every series has these; the board's variables of the same names choose among them.
TARGET_LABELS = ("job", "instance", "service")


class Match(NamedTuple):
    """A label matcher other than plain equality."""

    operator: Literal["!=", "=~", "!~"]
    value: str


@cache
def _declared() -> dict[str, Metric]:
    return everything()


def metric(name: str) -> Metric:
    """Return a declared metric by name: for what collectors read, whose names are the field's."""
    if name not in _declared():
        raise ValueError(f"nothing declares the metric {name!r}")
    return _declared()[name]


def like(pattern: str) -> Match:
    """Match a whole label value by regular expression; the form for variables such as `$route`."""
    return Match("=~", pattern)


def unlike(pattern: str) -> Match:
    """Match what the regular expression does not."""
    return Match("!~", pattern)


def but(value: str) -> Match:
    """Match everything but this value."""
    return Match("!=", value)


def series(
    metric: Metric,
    where: Mapping[str, str | Match],
    suffix: str = "",
    scope: tuple[str, ...] = TARGET_LABELS,
) -> str:
    """Return the selector of a metric's series, among those that the board's `scope` variables choose.

    Raises ValueError for a label that the metric has not.
    """
    check_labels(metric, tuple(where))
    asked = {arriving(metric, label): wanted for label, wanted in where.items()}
    return metric.name + suffix + matchers(asked, scope)


def arriving(metric: Metric, label: str) -> str:
    """Return the name under which a declared label stands in Prometheus: its own `job` comes first there.

    A metric's label of the same name as one of the target's arrives as `exported_...`; boards write the
    declared name, and results, legends and cells carry the one that arrived.
    """
    return f"exported_{label}" if label in TARGET_LABELS and label in metric.labels else label


def matchers(where: Mapping[str, str | Match], scope: tuple[str, ...]) -> str:
    """Return `{label="value", …}`; what is asked for outright overrides the board's choice."""
    chosen = {label: like(f"${label}") for label in scope if label not in where}
    parts = []
    for label, wanted in {**where, **chosen}.items():
        operator, text = wanted if isinstance(wanted, Match) else ("=", wanted)
        # PromQL's string escapes are Go's, of which JSON's are a part.
        parts.append(f"{label}{operator}{json.dumps(text, ensure_ascii=False)}")
    return "{" + ", ".join(parts) + "}" if parts else ""


def check_labels(metric: Metric, labels: tuple[str, ...]) -> None:
    """Raise ValueError for a label that neither the metric nor every series has."""
    for label in labels:
        if label not in (*metric.labels, *TARGET_LABELS, "le"):
            raise ValueError(f"{metric.name} has the labels {list(metric.labels)}, not {label!r}")
