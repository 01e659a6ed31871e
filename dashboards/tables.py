"""The table: several queries side by side, one line for each combination of their labels."""

from collections.abc import Mapping
from typing import Any

from dashboards.colours import Colours, thresholds
from dashboards.panels import NO_DATA, REFS, Json, Panel, by_name, describe
from dashboards.queries import Query


def table(
    title: str,
    *columns: Query,
    note: str = "",
    colours: Mapping[str, Colours] | None = None,
    links: Mapping[str, str] | None = None,
    width: int = 24,
    height: int = 8,
) -> Panel:
    """Show one line for each combination of the columns' labels, the greatest first column on top.

    A column's heading is its query's legend. `links` leads from a label's cell to a board.
    """
    labels = columns[0].labels
    headings = [column.legend for column in columns]
    if not labels or any(set(column.labels) != set(labels) for column in columns):
        raise ValueError(f"table {title!r}: its columns must be grouped by the same labels")
    if len(set(headings)) < len(headings) or any("{{" in heading for heading in headings):
        raise ValueError(f"table {title!r}: each column needs a heading of its own; use named()")
    # Grafana's names for the value columns.
    values = (
        ["Value"] if len(columns) == 1 else [f"Value #{ref}" for ref, _ in zip(REFS, columns, strict=False)]
    )
    order = [*labels, *values]
    # A label that arrived under another name has its own again; links still read the name that arrived.
    renamed = dict(zip(values, headings, strict=True))
    renamed |= {label: label.removeprefix("exported_") for label in labels if label.startswith("exported_")}
    transformations: list[Json] = [{"id": "merge", "options": {}}] if len(columns) > 1 else []
    transformations.append(
        {
            "id": "organize",
            "options": {
                "excludeByName": {"Time": True},
                "indexByName": {name: place for place, name in enumerate(order)},
                "renameByName": renamed,
            },
        }
    )
    overrides = []
    for column in columns:
        told: list[tuple[str, Any]] = [("unit", column.unit)]
        if colours and column.legend in colours:
            told.append(("thresholds", thresholds(colours[column.legend])))
            told.append(("custom.cellOptions", {"type": "color-text"}))
        overrides.append(by_name(column.legend, *told))
    for label, url in (links or {}).items():
        overrides.append(
            by_name(renamed.get(label, label), ("links", [{"title": "Show only this", "url": url}]))
        )
    options = {
        "cellHeight": "sm",
        "frameIndex": 0,
        "showHeader": True,
        "sortBy": [{"desc": True, "displayName": headings[0]}],
    }
    defaults: Json = {
        "color": {"mode": "thresholds"},
        "custom": {"align": "auto", "filterable": False, "inspect": False},
        "mappings": [NO_DATA],
        "thresholds": thresholds(()),
    }
    description = describe(note, *columns)
    return Panel(
        title, "table", columns, description, width, height, options, defaults, tuple(overrides),
        tuple(transformations), instant=True,
    )  # fmt: skip
