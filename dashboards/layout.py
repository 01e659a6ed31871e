"""From rows of panels to Grafana's JSON: places, ids, variables, links, and the healing of grafanalib."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from grafanalib import core
from grafanalib._gen import DashboardEncoder

from dashboards import foreign, queries
from dashboards.panels import REFS, Json, Panel
from dashboards.queries import Query
from exporter.catalog import Metric

DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
TAG = "watchkeeper"

_COLUMNS = 24
_OPEN_ROWS = 3  # more than one screen of open panels is slow to load and nobody scrolls
# The first version whose JSON needs no migration of what we write; understood from Grafana 10 on.
_SCHEMA_VERSION = 41
_ROW_KEYS = {"collapsed", "gridPos", "id", "panels", "title", "type"}
# What grafanalib writes for Grafana before 7: the schema no longer knows it.
_LEGACY_BOARD = {"__inputs", "gnetId", "hideControls", "rows", "sharedCrosshair", "style"}
_LEGACY_PANEL = {
    "cacheTimeout", "editable", "error", "height", "hideTimeOverride", "maxPerRow", "minSpan",
    "repeatDirection", "span",
}  # fmt: skip


@dataclass(frozen=True)
class Row:
    """A heading and the panels under it."""

    title: str
    panels: tuple[Panel, ...]
    collapsed: bool = False


@dataclass(frozen=True)
class Variable:
    """A choice at the head of a board: the values of a label."""

    name: str
    label: str
    query: str
    everything: str = ".+"  # what "All" stands for


def row(title: str, *panels: Panel, collapsed: bool = False) -> Row:
    """Put panels under a heading; a collapsed row loads when it is opened."""
    return Row(title, panels, collapsed)


def variable(label: str, metric: Metric, title: str | None = None, *, name: str = "") -> Variable:
    """Let the reader choose among a label's values; queries use it as `like("$label")`, or by its name."""
    query = queries.label_values(metric, label, "job", "instance", "service")
    return Variable(name or label, title or label.capitalize(), query)


def page(
    uid: str,
    title: str,
    *rows: Row,
    description: str,
    variables: Sequence[Variable] = (),
    since: str = "now-3h",
    refresh: str = "30s",
) -> Json:
    """Return a board as the JSON that Grafana reads. Raises ValueError where rows or titles are wrong."""
    still_open = [r.title for r in rows if not r.collapsed]
    if len(still_open) > _OPEN_ROWS:
        raise ValueError(
            f"board {title!r} has {len(still_open)} open rows, at most {_OPEN_ROWS}: {still_open}"
        )
    dashboard = core.Dashboard(
        title=title,
        uid=uid,
        description=description,
        tags=[TAG],
        panels=list(_placed(rows)),
        templating=core.Templating(list=[_datasource(), *map(_variable, [*_targets(), *variables])]),
        annotations=core.Annotations(list=_annotations()),
        links=[_other_boards()],
        time=core.Time(since, "now"),
        refresh=refresh,
        timezone="browser",
        editable=False,  # edits would be lost with the next provisioning; Grafana offers a copy instead
        graphTooltip=core.GRAPH_TOOLTIP_MODE_SHARED_CROSSHAIR,
        schemaVersion=_SCHEMA_VERSION,
    )
    return finish(dashboard)


def link(uid: str, **variables: str) -> str:
    """Return the address of a board for a table's cell: same source, services, time, and these."""
    chosen = [f"var-{name}={given}" for name, given in variables.items()]
    return f"/d/{uid}?" + "&".join(
        ["${datasource:queryparam}", "${service:queryparam}", *chosen, "${__url_time_range}"]
    )


def cell(label: str) -> str:
    """Return what stands for the clicked line's value of a label, in a link."""
    return f"${{__data.fields.{label}:percentencode}}"


def panel_ids(keys: Iterable[str]) -> dict[str, int]:
    """Return a number for each key that only depends on the key, so that links to a panel outlive changes.

    Keys whose numbers collide all draw again, so that their order plays no part.
    """
    numbers: dict[str, int] = {}
    pending, draw = set(keys), 0
    while pending:
        drawn = {key: _number(key, draw) for key in pending}
        count = Counter(drawn.values())
        settled = {k: n for k, n in drawn.items() if count[n] == 1 and n not in numbers.values()}
        numbers |= settled
        pending -= settled.keys()
        draw += 1
    return numbers


def finish(dashboard: core.Dashboard) -> Json:
    """Return grafanalib's dashboard as Grafana reads it today: no legacy keys, no nulls but in thresholds."""
    # Through text, as the encoder does it; NaN and Infinity are not JSON.
    raw: Json = json.loads(json.dumps(dashboard, cls=DashboardEncoder, allow_nan=False))
    healed = {key: value for key, value in raw.items() if key not in _LEGACY_BOARD and value is not None}
    healed["panels"] = [_healed(panel) for panel in raw["panels"]]
    healed["timepicker"] = {}
    return healed


def _healed(panel: Json) -> Json:
    if panel["type"] == "row":
        inner = [_healed(nested) for nested in panel["panels"]]
        return {key: value for key, value in panel.items() if key in _ROW_KEYS} | {"panels": inner}
    kept = {key: value for key, value in panel.items() if key not in _LEGACY_PANEL}
    for key in ("links", "targets", "transformations", "transparent"):
        if not kept[key]:
            del kept[key]
    return _without_nulls(kept)  # type: ignore[no-any-return]


def _without_nulls(value: Any) -> Any:
    if isinstance(value, list):
        return [_without_nulls(item) for item in value]
    if not isinstance(value, dict):
        return value
    if value.keys() == {"color", "value"}:  # a step without a number: the base of the colours
        return value
    return {key: _without_nulls(item) for key, item in value.items() if item is not None}


def _number(key: str, draw: int) -> int:
    digest = hashlib.sha256(f"{key}#{draw}".encode()).digest()
    return int.from_bytes(digest[:8], "big") % 100_000 + 1


def _placed(rows: Sequence[Row]) -> Iterator[core.Panel]:
    keys = [key for r in rows for key in (r.title, *(f"{r.title}/{panel.title}" for panel in r.panels))]
    for key, times in Counter(keys).items():
        if times > 1:
            raise ValueError(f"{key!r} stands {times} times on the board: a row's panels need unlike titles")
    ids = panel_ids(keys)
    y = 0
    for r in rows:
        heading = core.RowPanel(
            title=r.title, collapsed=r.collapsed, id=ids[r.title], gridPos=core.GridPos(1, _COLUMNS, 0, y)
        )
        places, height = _flow(r.panels, y + 1)
        drawn = [
            Drawn(panel, ids[f"{r.title}/{panel.title}"], place)
            for panel, place in zip(r.panels, places, strict=True)
        ]
        y += 1
        yield heading
        if r.collapsed:
            heading.panels = (
                drawn  # Grafana looks for a closed row's panels inside it, an open one's beside it
            )
        else:
            y += height
            yield from drawn


def _flow(panels: Sequence[Panel], y: int) -> tuple[list[core.GridPos], int]:
    """Place panels from left to right, in lines as high as their highest panel."""
    places, x, line, top = [], 0, 0, y
    for panel in panels:
        if x + panel.width > _COLUMNS:
            x, y, line = 0, y + line, 0
        places.append(core.GridPos(panel.height, panel.width, x, y))
        x, line = x + panel.width, max(line, panel.height)
    return places, y + line - top


def _datasource() -> Json:
    return {
        "label": "Data source",
        "name": "datasource",
        "query": "prometheus",
        "type": "datasource",
    }


def _targets() -> Iterator[Variable]:
    """Yield the choice of targets that every board has; each narrows the next."""
    # ".*" also finds targets without a `service` label: an exporter that somebody else configured.
    yield Variable("service", "Service", queries.label_values(foreign.UP, "service"), ".*")
    yield Variable("job", "Job", queries.label_values(foreign.UP, "job", "service"))
    yield Variable("instance", "Instance", queries.label_values(foreign.UP, "instance", "service", "job"))


def _variable(chosen: Variable) -> Json:
    return {
        "allValue": chosen.everything,
        "current": {"selected": True, "text": ["All"], "value": ["$__all"]},
        "datasource": DATASOURCE,
        "definition": chosen.query,
        "includeAll": True,
        "label": chosen.label,
        "multi": True,
        "name": chosen.name,
        "query": chosen.query,
        "refresh": 2,  # with the time range: yesterday's instances are found when looking at yesterday
        "sort": 1,
        "type": "query",
    }


def _annotations() -> list[Json]:
    return [
        _annotation("Alerts", queries.firing("alertname", "priority", "service"), "red", "{{alertname}}"),
        _annotation("Restarts", queries.restarts(), "blue", "{{job}} restarted"),
    ]


def _annotation(name: str, query: Query, colour: str, title: str) -> Json:
    return {
        "datasource": DATASOURCE,
        "enable": True,
        "expr": query.expr,
        "iconColor": colour,
        "name": name,
        "step": "60s",
        "tagKeys": ",".join(query.labels),
        "titleFormat": title,
    }


def _other_boards() -> core.DashboardLink:
    return core.DashboardLink(
        asDropdown=True, includeVars=True, keepTime=True, tags=[TAG], title="Watchkeeper", type="dashboards"
    )


def _more(url: str) -> Json:
    # All that Grafana's schema asks for; services and time are in the address already.
    switches = dict.fromkeys(("asDropdown", "includeVars", "keepTime", "targetBlank"), False)
    return {
        "icon": "",
        "tags": [],
        "title": "Show more",
        "tooltip": "",
        "type": "link",
        "url": url,
        **switches,
    }


class Drawn(core.Panel):  # type: ignore[misc]  # grafanalib has no types
    """grafanalib's panel under our options; its own classes write shapes that Grafana no longer reads."""

    def __init__(self, panel: Panel, number: int, place: core.GridPos) -> None:
        super().__init__(
            dataSource=DATASOURCE if panel.queries else None,
            description=panel.description,
            gridPos=place,
            id=number,
            interval=panel.interval,
            links=[_more(panel.leads_to)] if panel.leads_to else [],
            maxDataPoints=None,  # as many as the panel has pixels; grafanalib would say 100
            targets=[Target(query, ref, panel) for ref, query in zip(REFS, panel.queries, strict=False)],
            title=panel.title,
            transformations=list(panel.transformations),
        )
        self.panel = panel

    def to_json_data(self) -> Json:
        """Return Grafana's form of the panel."""
        result: Json = self.panel_json({"type": self.panel.type, "options": self.panel.options})
        result["fieldConfig"] = {
            "defaults": self.panel.defaults,
            "overrides": list(self.panel.overrides),
        }
        return result


class Target(core.Target):  # type: ignore[misc]  # grafanalib has no types
    """grafanalib's target, with what Grafana's Prometheus queries have gained since."""

    def __init__(self, query: Query, ref: str, panel: Panel) -> None:
        super().__init__(expr=query.expr, legendFormat=query.legend, refId=ref, datasource=DATASOURCE)
        self.instant = panel.instant or query.instant
        self.exemplar = query.exemplar and not self.instant  # a moment has none
        self.format = "table" if panel.type == "table" else "heatmap" if query.buckets else "time_series"

    def to_json_data(self) -> Json:
        """Return Grafana's form of the query; grafanalib's own doubles the step."""
        return {
            "datasource": self.datasource,
            "editorMode": "code",
            "expr": self.expr,
            "format": self.format,
            "instant": self.instant,
            "legendFormat": self.legendFormat,
            "range": not self.instant,
            "refId": self.refId,
            **({"exemplar": True} if self.exemplar else {}),
        }
