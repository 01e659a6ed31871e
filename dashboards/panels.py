"""Every kind of panel, once: what it shows comes from its queries, how it looks is decided here."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from dashboards.colours import GREY, Colour, Colours, Step, thresholds
from dashboards.queries import Query

Json = dict[str, Any]
REFS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"  # the names of a panel's queries, in their order
# A figure without data would keep the colour of its base, often green: a dead exporter would look healthy.
NO_DATA: Json = {
    "type": "special",
    "options": {"match": "null+nan", "result": {"text": "no data", "color": GREY, "index": 0}},
}
# The last value of a range would show a series that died an hour ago; figures ask for now (see `instant`).
_NOW: Json = {"calcs": ["lastNotNull"], "fields": "", "values": False}


@dataclass(frozen=True)
class Panel:
    """A panel before it has a place: its queries, and what Grafana's panel of that type is told."""

    title: str
    type: str
    queries: tuple[Query, ...]
    description: str
    width: int
    height: int
    options: Json
    defaults: Json = field(default_factory=dict)
    overrides: tuple[Json, ...] = ()
    transformations: tuple[Json, ...] = ()
    interval: str | None = None
    instant: bool = False
    leads_to: str = ""

    def __post_init__(self) -> None:
        if not self.description.strip():
            raise ValueError(f"panel {self.title!r} has no description: give it a note")
        if not 1 <= self.width <= 24 or self.height < 1:
            raise ValueError(f"panel {self.title!r} is {self.width} wide and {self.height} high")


def stat(
    title: str,
    query: Query,
    note: str = "",
    *,
    colours: Colours = (),
    words: Mapping[float, tuple[str, Colour]] | None = None,
    decimals: int | None = None,
    leads_to: str = "",
    width: int = 4,
    height: int = 4,
) -> Panel:
    """Show one number as it is now; with `words`, a word in place of known values.

    `leads_to` is the address of a board that says more; see `layout.link`.
    """
    options = {
        # Colour means a verdict, so a number without thresholds has none.
        "colorMode": "value" if colours or words else "none",
        "graphMode": "none",  # a sparkline needs the history, and the history hides that data stopped
        "justifyMode": "auto",
        "orientation": "auto",
        "percentChangeColorMode": "standard",
        "reduceOptions": _NOW,
        "showPercentChange": False,
        "textMode": "auto",
        "wideLayout": True,
    }
    defaults = _figure(query, colours, words, decimals)
    return Panel(
        title, "stat", (query,), describe(note, query), width, height, options, defaults, instant=True,
        leads_to=leads_to,
    )  # fmt: skip


def gauge(
    title: str, query: Query, note: str = "", *, colours: Colours, width: int = 4, height: int = 4
) -> Panel:
    """Show a share of something that can be used up, from 0 to 1."""
    options = {
        "minVizHeight": 75,
        "minVizWidth": 75,
        "orientation": "auto",
        "reduceOptions": _NOW,
        "showThresholdLabels": False,
        "showThresholdMarkers": True,
        "sizing": "auto",
    }
    defaults = {**_figure(query, colours), "min": 0, "max": 1}
    return Panel(
        title, "gauge", (query,), describe(note, query), width, height, options, defaults, instant=True
    )


def bargauge(
    title: str,
    *queries: Query,
    note: str = "",
    colours: Colours = (),
    top: float | None = None,
    width: int = 12,
    height: int = 8,
) -> Panel:
    """Compare a few labelled values as they are now; `top` fixes what a full bar is."""
    if len({query.unit for query in queries}) != 1:
        raise ValueError(f"panel {title!r} mixes the units {[query.unit for query in queries]}")
    options = {
        "displayMode": "basic",  # a gradient suggests a scale of good and bad that is not there
        "legend": {"calcs": [], "displayMode": "list", "placement": "bottom", "showLegend": False},
        "maxVizHeight": 300,
        "minVizHeight": 16,
        "minVizWidth": 8,
        "namePlacement": "auto",
        "orientation": "horizontal",  # names are longer than numbers
        "reduceOptions": _NOW,
        "showUnfilled": True,
        "sizing": "auto",
        "valueMode": "text",
    }
    defaults = {**_figure(queries[0], colours or (Step(None, "blue"),)), "min": 0}
    if top is not None:
        defaults["max"] = top
    description = describe(note, *queries)
    return Panel(title, "bargauge", queries, description, width, height, options, defaults, instant=True)


def timeseries(
    title: str,
    *queries: Query,
    note: str = "",
    stacked: bool = False,
    bars: bool = False,
    mirrored: Query | None = None,
    top: float | None = None,
    colours: Mapping[str, Colour] | None = None,
    interval: str | None = None,
    width: int = 12,
    height: int = 8,
) -> Panel:
    """Draw histories. `mirrored` is drawn downwards: sent below received. `top` fixes the axis's end."""
    custom = {
        "axisSoftMin": 0,  # an axis that starts at 98 % makes noise look like an outage
        "drawStyle": "bars" if bars else "line",
        "fillOpacity": 60 if bars or stacked else 8,
        "lineInterpolation": "linear",  # smooth curves show values that never were
        "lineWidth": 1,
        "pointSize": 4,
        "showPoints": "auto",  # a lone sample after a restart is still seen
        "spanNulls": False,  # a gap is a gap
        "stacking": {"group": "A", "mode": "normal" if stacked else "none"},
    }
    drawn = queries if mirrored is None else (*queries, mirrored)
    several = len(drawn) > 1 or "{{" in drawn[0].legend
    options = {
        "legend": {"calcs": [], "displayMode": "list", "placement": "bottom", "showLegend": several},
        # All lines at the moment under the pointer, the greatest first: the culprit is on top.
        "tooltip": {"mode": "multi", "sort": "desc"},
    }
    defaults: Json = {"color": {"mode": "palette-classic"}, "custom": custom, "unit": drawn[0].unit}
    if top is not None:
        defaults |= {"min": 0, "max": top}
    overrides = [by_name(name, _fixed(colour)) for name, colour in (colours or {}).items()]
    for ref, query in zip(REFS, drawn, strict=False):
        if query.limit:
            line = {"fill": "dash", "dash": [10, 10]}
            overrides.append(
                _by_ref(
                    ref,
                    _fixed("red"),
                    ("custom.lineStyle", line),
                    ("custom.fillOpacity", 0),
                    ("custom.drawStyle", "line"),
                    ("custom.stacking", {"group": "limit", "mode": "none"}),
                )
            )
        elif query.past:
            overrides.append(
                _by_ref(
                    ref,
                    _fixed(GREY),
                    ("custom.lineStyle", {"fill": "dash", "dash": [4, 6]}),
                    ("custom.fillOpacity", 0),
                    ("custom.drawStyle", "line"),
                    ("custom.stacking", {"group": "past", "mode": "none"}),
                )
            )
        elif query is mirrored:
            overrides.append(_by_ref(ref, ("custom.transform", "negative-Y")))
        elif query.unit != drawn[0].unit:
            raise ValueError(f"panel {title!r} mixes the units {drawn[0].unit!r} and {query.unit!r}")
    description = describe(note, *drawn)
    return Panel(
        title, "timeseries", drawn, description, width, height, options, defaults, tuple(overrides),
        interval=interval,
    )  # fmt: skip


def heatmap(title: str, query: Query, note: str = "", *, width: int = 12, height: int = 8) -> Panel:
    """Draw how a histogram's observations are spread over its buckets."""
    if not query.buckets:
        raise ValueError(f"panel {title!r} needs a query made by heat()")
    options = {
        "calculate": False,  # Prometheus has the buckets already
        "cellGap": 1,
        "color": {
            "exponent": 0.5, "fill": "dark-orange", "mode": "scheme", "reverse": False,
            "scale": "exponential", "scheme": "Oranges", "steps": 64,
        },
        "exemplars": {"color": "rgba(255,0,255,0.7)"},
        "filterValues": {"le": 1e-9},
        "legend": {"show": True},
        "rowsFrame": {"layout": "auto"},
        "showValue": "never",
        "tooltip": {"mode": "single", "showColorScale": False, "yHistogram": False},
        "yAxis": {"axisPlacement": "left", "reverse": False, "unit": query.unit},
    }  # fmt: skip
    defaults: Json = {"custom": {"scaleDistribution": {"type": "linear"}}, "unit": query.unit}
    return Panel(title, "heatmap", (query,), describe(note, query), width, height, options, defaults)


def alertlist(title: str = "Alerts", family: str = "", *, width: int = 12, height: int = 6) -> Panel:
    """List the alerts that fire or are about to, longest first; `family` is a regular expression."""
    wanted = ['alertname!="Watchdog"', 'service=~"${service:regex}"']
    if family:
        wanted.append(f'family=~"{family}"')
    options = {
        "alertInstanceLabelFilter": ",".join(wanted),
        "alertName": "",
        "dashboardAlerts": False,
        # No data source is named: Grafana takes a name here, not the variable, and a wrong one means an
        # empty list that looks like good news.
        "datasource": "",
        "groupBy": [],
        "groupMode": "default",
        "maxItems": 20,
        "showInactiveAlerts": False,
        "sortOrder": 4,  # since when, the oldest first
        "stateFilter": {"error": True, "firing": True, "noData": False, "normal": False, "pending": True},
        "viewMode": "list",
    }
    note = "What fires now or is about to (pending), and since when. An alert's links lead to its runbook."
    return Panel(title, "alertlist", (), note, width, height, options)


def describe(note: str, *queries: Query) -> str:
    sentences = [note, *(query.help for query in queries)]
    return "\n\n".join(dict.fromkeys(sentence for sentence in sentences if sentence))


def _figure(
    query: Query,
    colours: Colours,
    words: Mapping[float, tuple[str, Colour]] | None = None,
    decimals: int | None = None,
) -> Json:
    mappings = [NO_DATA]
    if words:
        options = {
            f"{number:g}": {"text": word, "color": colour, "index": place}
            for place, (number, (word, colour)) in enumerate(words.items(), start=1)
        }
        mappings.append({"type": "value", "options": options})
    return {
        "color": {"mode": "thresholds"},
        "decimals": decimals,
        "mappings": mappings,
        "noValue": "no data",
        "thresholds": thresholds(colours),
        "unit": query.unit,
    }


def _fixed(colour: Colour) -> tuple[str, Any]:
    return ("color", {"mode": "fixed", "fixedColor": colour})


def by_name(name: str, *properties: tuple[str, Any]) -> Json:
    return _override("byName", name, properties)


def _by_ref(ref: str, *properties: tuple[str, Any]) -> Json:
    return _override("byFrameRefID", ref, properties)


def _override(matcher: str, target: str, properties: tuple[tuple[str, Any], ...]) -> Json:
    return {
        "matcher": {"id": matcher, "options": target},
        "properties": [{"id": name, "value": value} for name, value in properties],
    }
