"""Each kind of panel keeps the promises that grafanalib's own break: colours, grey, units, shapes."""

import pytest

from dashboards import queries
from dashboards.colours import Step, alerting, falling, rising, thresholds
from dashboards.layout import page, row
from dashboards.panels import alertlist, bargauge, gauge, heatmap, stat, timeseries
from dashboards.selectors import metric
from dashboards.tables import table
from tests.dashboards.metrics import FULL, OPEN, REQUESTS, TASKS, TRAFFIC, WAITING

full = queries.value(FULL, agg="max")
requests = queries.rate(REQUESTS, "route")
open_ = queries.value(OPEN, "route")


def drawn(panel):
    """The panel as Grafana gets it."""
    return page("uid", "title", row("row", panel), description="d")["panels"][1]


@pytest.mark.parametrize("make", [stat, bargauge, lambda *args: gauge(*args, colours=rising(0.8, 0.9))])
def test_a_figure_without_data_is_grey(make):
    """Neither null nor NaN takes the colour of the base, which may be green."""
    defaults = drawn(make("t", full))["fieldConfig"]["defaults"]
    mapping = next(m for m in defaults["mappings"] if m["type"] == "special")
    assert mapping["options"]["match"] == "null+nan"
    assert mapping["options"]["result"]["color"] == "#808080"
    assert mapping["options"]["result"]["text"] == defaults["noValue"] == "no data"


def test_the_base_of_thresholds_is_null():
    """Text in place of null would switch all colours off."""
    steps = drawn(stat("t", full, colours=rising(0.8, 0.9)))["fieldConfig"]["defaults"]["thresholds"]["steps"]
    assert steps == [
        {"color": "green", "value": None},
        {"color": "orange", "value": 0.8},
        {"color": "red", "value": 0.9},
    ]


def test_without_thresholds_there_is_no_verdict():
    """Grafana's usual red from 80 on means nothing for most figures."""
    panel = drawn(stat("t", full))
    assert panel["fieldConfig"]["defaults"]["thresholds"]["steps"] == [{"color": "text", "value": None}]
    assert panel["options"]["colorMode"] == "none"


def test_steps_that_do_not_ascend_are_refused():
    """Grafana would colour by whichever comes first."""
    assert [step.value for step in falling(0.5, 0.8)] == [None, 0.5, 0.8]
    for wrong in ((Step(None, "green"), Step(2, "red"), Step(1, "orange")), (Step(1, "red"),)):
        with pytest.raises(ValueError, match="steps"):
            thresholds(wrong)


def test_colours_change_where_alerts_fire():
    """Yellow, orange, red and dark red begin at the thresholds of P3, P2, P1 and P0."""
    steps = alerting("threshold:http_errors:ratio")
    assert [step.colour for step in steps] == ["green", "yellow", "orange", "red", "dark-red"]
    assert alerting("threshold:http_request_duration_seconds:p95")[-1] == Step(2.0, "red")


def test_a_figure_shows_now():
    """The last value of a range would show what stopped an hour ago."""
    assert drawn(stat("t", full))["targets"][0] == {
        "datasource": {"type": "prometheus", "uid": "${datasource}"},
        "editorMode": "code",
        "expr": full.expr,
        "format": "time_series",
        "instant": True,
        "legendFormat": full.legend,
        "range": False,
        "refId": "A",
    }


def test_known_values_become_words():
    """0 and 1 say what they mean, beside the grey for no data."""
    words = drawn(stat("t", full, words={1: ("up", "green"), 0: ("DOWN", "red")}))
    value = words["fieldConfig"]["defaults"]["mappings"][1]
    assert value["options"]["0"] == {"color": "red", "index": 2, "text": "DOWN"}


def test_unit_and_description_come_from_the_query():
    """The note says what to do, the declaration's sentence what it is."""
    panel = drawn(timeseries("t", requests, note="Look at the routes."))
    assert panel["fieldConfig"]["defaults"]["unit"] == "ops"
    assert panel["description"] == "Look at the routes.\n\nRequests to the shop."


def test_units_are_not_mixed_on_one_axis():
    """Bytes drawn as requests would be wrong by a glance."""
    with pytest.raises(ValueError, match="mixes the units"):
        timeseries("t", requests, queries.rate(TRAFFIC))


def test_a_panel_without_a_description_is_refused():
    """Recorded series bring no sentence of their own, so the board must."""
    with pytest.raises(ValueError, match="no description"):
        stat("t", queries.recorded("service:http_errors:ratio_rate5m", "percentunit"))


def test_a_limit_is_a_dashed_red_line():
    """It takes the panel's unit, is not filled and not stacked."""
    line = queries.limit("threshold:http_errors:ratio", "ErrorRateWarning")
    override = drawn(timeseries("t", full, line))["fieldConfig"]["overrides"][0]
    assert override["matcher"] == {"id": "byFrameRefID", "options": "B"}
    told = {p["id"]: p["value"] for p in override["properties"]}
    assert told["color"] == {"fixedColor": "red", "mode": "fixed"}
    assert told["custom.lineStyle"]["fill"] == "dash"


def test_a_mirrored_query_is_drawn_downwards():
    """Sent below received, with positive numbers in the tooltip."""
    panel = drawn(timeseries("t", requests, mirrored=queries.rate(REQUESTS, "status")))
    assert panel["fieldConfig"]["overrides"][0]["properties"] == [
        {"id": "custom.transform", "value": "negative-Y"}
    ]


def test_a_single_line_has_no_legend():
    """The title says it already; several lines are named."""
    assert not drawn(timeseries("t", queries.rate(REQUESTS)))["options"]["legend"]["showLegend"]
    assert drawn(timeseries("t", requests))["options"]["legend"]["showLegend"]


def test_a_table_joins_its_columns_under_their_legends():
    """Value #A and #B become the headings, each with its unit; time is left out."""
    columns = requests.named("Rate"), open_.named("Open")
    panel = drawn(table("t", *columns, colours={"Open": rising(1, 2)}, links={"route": "/d/x"}))
    merge, organize = panel["transformations"]
    assert merge["id"] == "merge"
    assert organize["options"]["renameByName"] == {"Value #A": "Rate", "Value #B": "Open"}
    assert organize["options"]["excludeByName"] == {"Time": True}
    assert [target["format"] for target in panel["targets"]] == ["table", "table"]
    named = {
        override["matcher"]["options"]: override["properties"]
        for override in panel["fieldConfig"]["overrides"]
    }
    assert {"id": "unit", "value": "ops"} in named["Rate"]
    assert "custom.cellOptions" in [p["id"] for p in named["Open"]]
    assert named["route"][0]["value"][0]["url"] == "/d/x"


def test_a_label_that_arrived_renamed_has_its_own_heading():
    """The reader sees job; the link still takes the cell of the label that arrived."""
    columns = queries.rate(TASKS, "job").named("Runs"), queries.increase(TASKS, "job").named("More")
    panel = drawn(table("t", *columns, links={"exported_job": "/d/x"}))
    assert panel["transformations"][1]["options"]["renameByName"]["exported_job"] == "job"
    assert panel["fieldConfig"]["overrides"][-1]["matcher"]["options"] == "job"


def test_exemplars_are_asked_for_where_there_is_a_history():
    """Dots belong on a graph; a figure of this moment has none."""
    query = queries.quantile(0.95, metric("http_request_duration_seconds"))
    assert drawn(timeseries("t", query))["targets"][0]["exemplar"] is True
    assert "exemplar" not in drawn(stat("t", query))["targets"][0]


def test_the_past_is_drawn_grey_and_behind():
    """A week ago is there to compare with, not a line of its own."""
    panel = drawn(timeseries("t", requests, queries.before(requests, "1w", "a week ago")))
    (override,) = panel["fieldConfig"]["overrides"]
    assert override["matcher"] == {"id": "byFrameRefID", "options": "B"}
    assert {"id": "color", "value": {"mode": "fixed", "fixedColor": "#808080"}} in override["properties"]
    assert {"id": "custom.stacking", "value": {"group": "past", "mode": "none"}} in override["properties"]


def test_bars_are_not_mixed_of_units():
    """Several queries side by side, if they are of one kind."""
    assert len(drawn(bargauge("t", full, full))["targets"]) == 2
    with pytest.raises(ValueError, match="mixes the units"):
        bargauge("t", full, requests)


def test_a_figure_leads_to_the_board_that_says_more():
    """A click on the overview's number, with the same services and time."""
    panel = drawn(stat("t", full, leads_to="/d/other?x"))
    assert [link["url"] for link in panel["links"]] == ["/d/other?x"]
    assert "links" not in drawn(stat("t", full))


def test_a_single_column_has_grafanas_plain_name():
    """With one query the column is Value, without a letter."""
    organize = drawn(table("t", requests.named("Rate")))["transformations"][0]
    assert organize["options"]["renameByName"] == {"Value": "Rate"}


@pytest.mark.parametrize(
    "columns",
    [(requests, open_), (requests.named("A"), open_.named("A")), (requests.named("A"), full.named("B"))],
)
def test_columns_that_cannot_be_joined_are_refused(columns):
    """Headings must be plain and unlike, and all columns grouped alike."""
    with pytest.raises(ValueError, match="table 't'"):
        table("t", *columns)


def test_a_heatmap_takes_buckets_only():
    """Its query asks for the heatmap format; other queries are refused."""
    assert drawn(heatmap("t", queries.heat(WAITING)))["targets"][0]["format"] == "heatmap"
    with pytest.raises(ValueError, match="made by heat"):
        heatmap("t", full)


def test_the_list_of_alerts_depends_on_no_data_sources_name():
    """A wrong name would give an empty list, which reads as good news."""
    options = drawn(alertlist(family="errors|latency"))["options"]
    assert options["datasource"] == ""
    assert options["alertInstanceLabelFilter"] == (
        'alertname!="Watchdog",service=~"${service:regex}",family=~"errors|latency"'
    )
    assert options["stateFilter"]["pending"]
