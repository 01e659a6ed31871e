"""The lint finds each fault that Grafana would hide, says where it is, and leaves right boards alone."""

import copy
import json

import pytest

import dashboards
from dashboards import __main__ as command
from dashboards.lint import RULES, lint, lint_files
from dashboards.lint.walk import drawn, panels

RIGHT = {
    "uid": "shop",
    "title": "Shop",
    "editable": False,
    "panels": [
        {
            "id": 1,
            "type": "stat",
            "title": "Orders",
            "description": "Orders a second.",
            "gridPos": {"x": 0, "y": 0, "w": 12, "h": 4},
            "datasource": {"type": "prometheus", "uid": "${datasource}"},
            "fieldConfig": {
                "defaults": {
                    "unit": "ops",
                    "thresholds": {
                        "mode": "absolute",
                        "steps": [{"color": "green", "value": None}, {"color": "red", "value": 5}],
                    },
                    "mappings": [
                        {"type": "special", "options": {"match": "null+nan", "result": {"color": "#808080"}}}
                    ],
                },
                "overrides": [],
            },
            "options": {"reduceOptions": {"calcs": ["lastNotNull"]}},
            "transformations": [{"id": "merge"}],
            "targets": [
                {
                    "refId": "A",
                    "datasource": {"type": "prometheus", "uid": "${datasource}"},
                    "expr": 'sum by (shop) (rate(orders_total{instance=~"$instance"}[$__rate_interval]))',
                    "legendFormat": "{{shop}}",
                }
            ],
        },
        {
            "id": 2,
            "type": "row",
            "title": "More",
            "collapsed": True,
            "gridPos": {"x": 0, "y": 4, "w": 24, "h": 1},
            "panels": [
                {
                    "id": 3,
                    "type": "timeseries",
                    "title": "Waiting",
                    "description": "One in twenty waits longer.",
                    "gridPos": {"x": 0, "y": 5, "w": 24, "h": 8},
                    "datasource": {"type": "prometheus", "uid": "${datasource}"},
                    "fieldConfig": {"defaults": {"unit": "s"}, "overrides": []},
                    "targets": [
                        {
                            "refId": "A",
                            "expr": "histogram_quantile(0.95, sum by (le) "
                            "(rate(wait_seconds_bucket[$__rate_interval])))",
                            "legendFormat": "p95",
                        }
                    ],
                }
            ],
        },
    ],
    "templating": {
        "list": [
            {"name": "datasource", "type": "datasource", "query": "prometheus"},
            {
                "name": "instance",
                "type": "query",
                "query": "label_values(up, instance)",
                "refresh": 2,
                "includeAll": True,
                "allValue": ".+",
            },
        ]
    },
}


def put(*path):
    """A change of the board: the last of the path is the new value, the one before it the key."""
    *way, key, value = path

    def change(board):
        for step in way:
            board = board[step]
        board[key] = value

    return change


def expr(text, legend="{{shop}}"):
    """The first panel asks something else."""
    return put("panels", 0, "targets", 0, {"refId": "A", "expr": text, "legendFormat": legend})


def steps(*pairs):
    """The first panel's thresholds."""
    told = {"steps": [{"color": colour, "value": value} for colour, value in pairs]}
    return put("panels", 0, "fieldConfig", "defaults", "thresholds", told)


DEFAULTS = ("panels", 0, "fieldConfig", "defaults")
NESTED = ("panels", 1, "panels", 0)
VARIABLE = ("templating", "list", 1)
# name: (change, rule, where, part of the message)
FAULTS = {
    "too wide": (put("panels", 0, "gridPos", "w", 30), "grid", "$.panels[0].gridPos", "24 columns"),
    "no place": (put("panels", 0, "gridPos", {}), "grid", "$.panels[0].gridPos", "whole numbers"),
    "one over another": (put("panels", 1, "gridPos", "y", 3), "overlap", "$.panels[1].gridPos", "'Orders'"),
    "a number twice": (put(*NESTED, "id", 1), "id", "$.panels[1].panels[0].id", "'Orders' as well"),
    "no number": (put("panels", 0, "id", None), "id", "$.panels[0].id", "needs a number"),
    "hidden in an open row": (
        put("panels", 1, "collapsed", False),
        "open-row",
        "$.panels[1].panels",
        "not show",
    ),
    "no title": (put("panels", 0, "title", " "), "title", "$.panels[0].title", "no title"),
    "no description": (
        put("panels", 0, "description", ""),
        "description",
        "$.panels[0].description",
        "has no",
    ),
    "no queries": (put("panels", 0, "targets", []), "targets", "$.panels[0].targets", "nothing"),
    "no refId": (
        put(*NESTED, "targets", 0, "refId", ""),
        "ref-id",
        "$.panels[1].panels[0].targets[0].refId",
        "",
    ),
    "a removed panel": (put("panels", 0, "type", "singlestat"), "panel-type", "$.panels[0].type", "'stat'"),
    "no uid": (put("uid", "a b"), "uid", "$.uid", "letters"),
    "a number of another Grafana": (put("id", 7), "id", "$.id", "leave it out"),
    "inputs": (put("__inputs", [{}]), "inputs", "$.__inputs", "variable"),
    "editable": (put("editable", True), "editable", "$.editable", "false"),
    "unknown unit": (put(*DEFAULTS, "unit", "USD"), "unit", "$.panels[0].fieldConfig.defaults.unit", "'USD'"),
    "no unit": (put(*NESTED, "fieldConfig", {}), "unit", "$.panels[1].panels[0]", "no unit"),
    "unknown unit in a column": (
        put("panels", 0, "fieldConfig", "overrides", [{"properties": [{"id": "unit", "value": "wiggle"}]}]),
        "unit",
        "$.panels[0].fieldConfig.overrides[0].properties[0].value",
        "'wiggle'",
    ),
    "unknown reducer": (
        put("panels", 0, "options", "reduceOptions", "calcs", ["p950"]),
        "reducer",
        "$.panels[0].options.reduceOptions.calcs[0]",
        "'p950'",
    ),
    "unknown transformation": (
        put("panels", 0, "transformations", [{"id": "mrege"}]),
        "transformation",
        "$.panels[0].transformations[0].id",
        "'mrege'",
    ),
    "a base that is text": (steps(("green", "null"), ("red", 5)), "thresholds", "steps[0].value", "null"),
    "thresholds that fall": (
        steps(("green", None), ("red", 5), ("blue", 2)),
        "thresholds",
        "steps",
        "ascend",
    ),
    "thresholds without numbers": (steps(("green", None), ("red", "5")), "thresholds", "steps", "numbers"),
    "no steps": (put(*DEFAULTS, "thresholds", "steps", ""), "thresholds", "steps", "no list"),
    "Grafana's thresholds": (
        steps(("green", None), ("red", 80)),
        "default-thresholds",
        "$.panels[0].fieldConfig.defaults.thresholds",
        "80",
    ),
    "green without data": (
        put(*DEFAULTS, "mappings", []),
        "grey-no-data",
        "defaults.mappings",
        "it is green",
    ),
    "a fixed source": (
        put("panels", 0, "datasource", {"type": "prometheus", "uid": "P1809F7CD"}),
        "datasource",
        "$.panels[0].datasource",
        "P1809F7CD",
    ),
    "a source by name": (
        put("panels", 0, "targets", 0, "datasource", "Prometheus"),
        "datasource",
        "$.panels[0].targets[0].datasource",
        "'Prometheus'",
    ),
    "no PromQL": (expr("sum(rate(orders_total[5m])"), "promql", "$.panels[0].targets[0].expr", "sum(rate("),
    "no PromQL in an annotation": (
        put("annotations", {"list": [{"expr": "changes(up"}]}),
        "promql",
        "$.annotations.list[0].expr",
        "changes(up",
    ),
    "a fixed window": (
        expr("sum by (shop) (rate(orders_total[5m]))"),
        "rate-interval",
        "targets[0].expr",
        "rate() over [5m]",
    ),
    "a bare counter": (
        expr("sum by (shop) (orders_total)"),
        "counter",
        "targets[0].expr",
        "orders_total needs",
    ),
    "a counter averaged": (
        expr("sum by (shop) (avg_over_time(orders_total[1h]))"),
        "counter",
        "targets[0].expr",
        "orders_total",
    ),
    "a quantile without le": (
        expr("histogram_quantile(0.9, sum by (shop) (rate(w_bucket[$__rate_interval])))"),
        "quantile",
        "targets[0].expr",
        "without `le`",
    ),
    "a legend of nothing": (
        expr("sum by (shop) (rate(orders_total[$__rate_interval]))", "{{shp}}"),
        "legend",
        "$.panels[0].targets[0].legendFormat",
        "only ['shop']",
    ),
    "a fixed currency": (
        lambda board: (
            expr("max by (currency) (mrr)", "{{currency}}")(board),
            put(*DEFAULTS, "unit", "currencyUSD")(board),
        ),
        "currency",
        "$.panels[0].fieldConfig.defaults.unit",
        "currencyUSD",
    ),
    "no variable for the source": (
        put("templating", "list", 0, "name", "ds"),
        "datasource-variable",
        "$.templating.list",
        "datasource",
    ),
    "an undefined variable": (
        put("panels", 0, "title", "of $shop"),
        "undefined-variable",
        "$.panels[0].title",
        "$shop",
    ),
    "an unused variable": (put(*VARIABLE, "name", "job"), "unused-variable", "$.templating.list[1]", "$job"),
    "a variable's query": (
        put(*VARIABLE, "query", "values(up)"),
        "variable-query",
        "$.templating.list[1].query",
        "values(up)",
    ),
    "no PromQL in a variable": (
        put(*VARIABLE, "query", "label_values(up{, instance)"),
        "variable-query",
        "list[1].query",
        "up{",
    ),
    "an old choice": (
        put(*VARIABLE, "refresh", 1),
        "variable-refresh",
        "$.templating.list[1].refresh",
        "say 2",
    ),
    "All as a list": (
        put(*VARIABLE, "allValue", None),
        "variable-all",
        "$.templating.list[1].allValue",
        ".+",
    ),
    "a link to nowhere": (
        put(*DEFAULTS, "links", [{"url": "/d/shpo?x=1"}]),
        "link",
        "defaults.links[0].url",
        "'shpo'",
    ),
    "an unknown metric": (
        expr("sum by (shop) (rate(odrers_total[$__rate_interval]))"),
        "unknown-metric",
        "expr",
        "'odrers_total'",
    ),
    "an unknown label": (
        expr('sum by (shop) (rate(orders_total{shp="x"}[$__rate_interval]))'),
        "unknown-label",
        "expr",
        "'shp'",
    ),
}
KNOWN = {
    "orders_total": {"instance", "shop"},
    "wait_seconds_bucket": {"le"},
    "mrr": {"currency"},
    "w_bucket": None,
}


def found(board):
    return lint(board, known=KNOWN, uids=["shop"])


def test_a_right_board_has_no_findings():
    """What each fault below is a change of."""
    assert found(RIGHT) == []


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_found_with_its_place(name):
    """The rule, the JSON path and the reason, for each fault alone."""
    change, rule, path, message = FAULTS[name]
    board = copy.deepcopy(RIGHT)
    change(board)
    hits = [finding for finding in found(board) if finding.rule == rule]
    assert hits, found(board)
    assert any(path in hit.path and message in hit.message for hit in hits), hits


@pytest.mark.parametrize("value", [None, "x", 7, [], {}])
@pytest.mark.parametrize(
    "path",
    [
        ("panels", 0),
        ("panels", 0, "gridPos"),
        ("panels", 0, "targets"),
        ("panels", 0, "targets", 0, "expr"),
        (*DEFAULTS, "mappings"),
        (*DEFAULTS, "thresholds"),
        (*NESTED, "fieldConfig"),
        VARIABLE,
    ],
)
def test_a_part_of_the_wrong_shape_is_a_finding(path, value):
    """Boards come from anywhere: the lint says that it could not read a part, and goes on with the rest."""
    board = copy.deepcopy(RIGHT)
    board["editable"] = True
    put(*path, value)(board)
    rules = {finding.rule for finding in found(board)}
    assert "editable" in rules
    assert len(rules) > 1 or value in ([], {}, None)


def test_every_rule_has_a_fault():
    """A new rule without one would not be known to find anything."""
    seeded = {rule for _, rule, _, _ in FAULTS.values()}
    caught = set()
    for change, *_ in FAULTS.values():
        board = copy.deepcopy(RIGHT)
        change(board)
        caught |= {rule.__name__ for rule in RULES if list(rule(board))}
    assert caught == {rule.__name__ for rule in RULES}
    assert len(seeded) >= len(RULES)


@pytest.mark.parametrize(
    "text",
    [
        "count by (shop) (orders_total)",
        "sum by (shop) (rate(orders_total[$__rate_interval])) / on (shop) group_left () sum by (shop) (mrr)",
        "topk(5, sum by (shop) (rate(orders_total[$__rate_interval])))",
        "sum without (instance) (rate(orders_total[$__rate_interval]))",
        "label_replace(sum(mrr), 'shop', 'x', '', '')",
        "sum by (shop) (increase(orders_total[1h])) or sum by (shop) (mrr) * 0",
        "max_over_time(sum by (shop) (rate(orders_total[$__rate_interval]))[1h:5m])",
    ],
)
def test_right_promql_is_left_alone(text):
    """Rules look at the tree, not at the text: forms that a pattern would misread."""
    board = copy.deepcopy(RIGHT)
    expr(text)(board)
    board["panels"][0]["title"] += " $instance"
    assert lint(board) == []


def test_our_boards_have_no_findings():
    """All rules, and every name declared or recorded."""
    paths = sorted(dashboards.GENERATED.glob("*.json"))
    assert lint_files(paths, command.known()) == []
    assert len(paths) == 6


def test_the_command_prints_file_panel_path_and_rule(tmp_path, capsys):
    """One line each, exit 1; a file that holds no board is named as well."""
    board = copy.deepcopy(RIGHT)
    board["panels"][0]["fieldConfig"]["defaults"]["unit"] = "USD"
    (tmp_path / "shop.json").write_text(json.dumps({"dashboard": board}))
    (tmp_path / "twin.json").write_text(json.dumps(RIGHT))
    (tmp_path / "none.json").write_text("[]")
    files = [str(tmp_path / name) for name in ("shop.json", "twin.json", "none.json", "gone.json")]
    assert command.main(["--lint", *files]) == 1
    told = capsys.readouterr().out
    assert (
        "shop.json: panel 'Orders', $.panels[0].fieldConfig.defaults.unit: Grafana knows no unit 'USD' [unit]"
        in told
    )
    assert "twin.json: $.uid: is that of" in told
    assert "none.json: this is no board" in told
    assert "gone.json" in told
    (tmp_path / "twin.json").rename(tmp_path / "right.json")
    assert command.main(["--lint", str(tmp_path / "right.json")]) == 0


def test_rows_are_walked_into():
    """Panels of closed rows are linted too, with the path through their row."""
    assert [part.path for part in drawn(RIGHT)] == ["$.panels[0]", "$.panels[1].panels[0]"]
    assert len(list(panels(RIGHT))) == 3
