"""Places, numbers and the head of a board: nothing overlaps, and links to a panel outlive changes."""

import itertools
import random

import pytest

from dashboards import layout, panels_of, queries
from dashboards.layout import page, panel_ids, row
from dashboards.panels import stat, timeseries
from tests.dashboards.metrics import OPEN, REQUESTS

query = queries.value(OPEN)


def figures(count, **size):
    return [stat(f"figure {number}", query, **size) for number in range(count)]


def made(*rows, **options):
    return page("uid", "title", *rows, description="d", **options)


def overlapping(placed):
    """Pairs of panels that share a cell of the grid."""
    cells = [
        {(x, y) for x in range(p["x"], p["x"] + p["w"]) for y in range(p["y"], p["y"] + p["h"])}
        for p in (panel["gridPos"] for panel in placed)
    ]
    return [(one, other) for (one, a), (other, b) in itertools.combinations(enumerate(cells), 2) if a & b]


def test_panels_flow_into_lines_and_never_overlap():
    """Whatever their sizes, each panel has its own cells within the 24 columns."""
    dice = random.Random(1)
    for _ in range(20):
        sizes = [(dice.randint(1, 24), dice.randint(1, 9)) for _ in range(15)]
        many = [stat(f"{n}", query, width=w, height=h) for n, (w, h) in enumerate(sizes)]
        board = made(row("one", *many[:7]), row("two", *many[7:]))
        assert not overlapping(board["panels"])
        assert all(0 <= p["gridPos"]["x"] <= 24 - p["gridPos"]["w"] for p in board["panels"])


def test_a_closed_row_holds_its_panels():
    """Grafana looks for them inside; the row after it stands right below."""
    board = made(
        row("open", *figures(1)), row("closed", *figures(2), collapsed=True), row("last", *figures(1))
    )
    kinds = [(panel["type"], panel["title"]) for panel in board["panels"]]
    assert kinds == [
        ("row", "open"), ("stat", "figure 0"), ("row", "closed"), ("row", "last"), ("stat", "figure 0"),
    ]  # fmt: skip
    closed, last = board["panels"][2:4]
    assert closed["collapsed"]
    assert [panel["title"] for panel in closed["panels"]] == ["figure 0", "figure 1"]
    assert not overlapping(closed["panels"])
    assert last["gridPos"]["y"] == closed["gridPos"]["y"] + 1
    assert board["panels"][0]["panels"] == []


def test_more_than_three_open_rows_are_refused():
    """A board that loads slowly is not looked at."""
    rows = [row(str(number), *figures(1)) for number in range(4)]
    with pytest.raises(ValueError, match="at most 3"):
        made(*rows)


def test_numbers_survive_a_new_panel_before_them():
    """A link to a panel still leads there after others were added, moved or removed."""
    before = {p["title"]: p["id"] for p in panels_of(made(row("row", *figures(5))))}
    shuffled = [stat("new", query), *reversed(figures(5))]
    after = {p["title"]: p["id"] for p in panels_of(made(row("row", *shuffled)))}
    assert before.items() <= after.items()
    assert len(set(after.values())) == 6
    assert all(0 < number <= 100_000 for number in after.values())


def test_colliding_numbers_do_not_depend_on_order(monkeypatch):
    """With few numbers to draw from all keys still get their own, the same in any order."""
    monkeypatch.setattr(layout, "_number", lambda key, draw: hash_of(key, draw) % 40)
    keys = [f"key {number}" for number in range(20)]
    numbers = panel_ids(keys)
    assert len(set(numbers.values())) == 20
    assert panel_ids(reversed(keys)) == numbers


def hash_of(key, draw):
    return random.Random(f"{key}{draw}").randrange(1000)


def test_two_panels_of_one_name_in_a_row_are_refused():
    """Their numbers and links could not be told apart."""
    with pytest.raises(ValueError, match="stands 2 times"):
        made(row("row", stat("same", query), stat("same", query)))


def test_every_board_has_the_same_head():
    """Source, service, job and instance to choose; each narrows the next; All finds everything."""
    board = made(row("row", *figures(1)), variables=[layout.variable("route", REQUESTS)])
    variables = {v["name"]: v for v in board["templating"]["list"]}
    assert list(variables) == ["datasource", "service", "job", "instance", "route"]
    assert variables["instance"]["query"] == 'label_values(up{service=~"$service", job=~"$job"}, instance)'
    for name in ("job", "instance", "route"):
        assert variables[name]["allValue"] == ".+"
        assert variables[name]["multi"]
        assert variables[name]["includeAll"]
        assert variables[name]["refresh"] == 2
    assert variables["service"]["allValue"] == ".*"
    assert variables["route"]["datasource"]["uid"] == "${datasource}"


def test_alerts_and_restarts_are_marked_in_every_graph():
    """Since when, and after what."""
    marks = {a["name"]: a["expr"] for a in made(row("r", *figures(1)))["annotations"]["list"]}
    assert marks["Alerts"].startswith('count by (alertname, priority, service) (ALERTS{alertstate="firing"')
    assert marks["Restarts"].startswith("changes(process_start_time_seconds{")


def test_links_keep_source_service_and_time():
    """From a cell to a board: the same services and the same hour."""
    assert layout.link("other", route=layout.cell("route")) == (
        "/d/other?${datasource:queryparam}&${service:queryparam}"
        "&var-route=${__data.fields.route:percentencode}&${__url_time_range}"
    )


def test_grafanalibs_defects_are_healed():
    """No keys of Grafana before 7, no nulls, a modern schema: its own breaks colours and tooltips."""
    board = made(row("row", timeseries("t", query)), row("closed", *figures(1), collapsed=True))
    assert board["schemaVersion"] == 41
    assert board["graphTooltip"] == 1
    assert board["editable"] is False
    assert board["timezone"] == "browser"
    assert not board.keys() & {"__inputs", "gnetId", "hideControls", "id", "rows", "sharedCrosshair", "style"}
    for panel in panels_of(board):
        assert not panel.keys() & {"editable", "error", "height", "span", "minSpan", "maxDataPoints", "links"}
        assert None not in panel.values()
    for target in board["panels"][1]["targets"]:
        assert not target.keys() & {"intervalFactor", "step", "metric", "target", "query", "hide"}
    assert board["panels"][2].keys() == {"collapsed", "gridPos", "id", "panels", "title", "type"}
