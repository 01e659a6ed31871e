"""The boards that are shipped: committed as built, readable by Prometheus, and complete."""

import ast
import json
import re
from pathlib import Path

import pytest
import yaml

import dashboards
from dashboards import __main__ as command
from dashboards import panels_of, queries_of
from tests import promql

BOARDS = dashboards.built()
SHOWN = [(name, shown) for name, board in BOARDS.items() for shown in queries_of(board)]
FOLDER = Path(dashboards.__file__).parent
BUILT_IN = {"__rate_interval", "__range", "__data", "__url_time_range"}


def test_the_six_boards_are_there():
    """Their addresses are what alerts and runbooks link to."""
    for name in ("system", "api", "business", "ai", "database", "monitoring"):
        assert BOARDS[name]["uid"] == f"watchkeeper-{name}"


def test_committed_files_are_what_the_code_makes(capsys):
    """Who takes the JSON without Python gets what the code says."""
    assert command.main(["--check"]) == 0, capsys.readouterr().err


def test_check_names_what_differs_and_what_to_run(tmp_path, capsys):
    """A changed, a missing and a leftover file are each named; writing heals all three."""
    command.write(tmp_path)
    (tmp_path / "api.json").write_text("{}")
    (tmp_path / "ai.json").unlink()
    (tmp_path / "old.json").write_text("{}")
    assert command.main(["--check", "--output", str(tmp_path)]) == 1
    complaint = capsys.readouterr().err
    assert "api.json differs from what dashboards/api.py makes" in complaint
    assert "ai.json differs" in complaint
    assert "old.json belongs to no board" in complaint
    assert "Run: python -m dashboards" in complaint
    assert command.main(["--output", str(tmp_path)]) == 0
    assert command.main(["--check", "--output", str(tmp_path)]) == 0


def test_uids_and_titles_are_unique():
    """Grafana would show one of two, now this, now that."""
    for key in ("uid", "title"):
        values = [board[key] for board in BOARDS.values()]
        assert len(set(values)) == len(values)
    assert all(re.fullmatch(r"[a-z0-9-]{1,40}", board["uid"]) for board in BOARDS.values())


def test_panel_numbers_are_unique_and_rows_are_few():
    """Numbers across open and closed rows, for links to single panels."""
    for board in BOARDS.values():
        numbers = [p["id"] for p in [*panels_of(board), *(p for p in board["panels"] if p["type"] == "row")]]
        assert len(set(numbers)) == len(numbers)
        assert sum(p["type"] == "row" and not p["collapsed"] for p in board["panels"]) <= 3


def test_every_panel_has_a_description_and_a_unit():
    """A reader at night learns what it is, what is bad, and what to do."""
    for board in BOARDS.values():
        for panel in panels_of(board):
            assert len(panel["description"]) > 20, panel["title"]
            if panel["type"] == "table":
                columns = [o for o in panel["fieldConfig"]["overrides"] if o["properties"][0]["id"] == "unit"]
                assert len(columns) == len(panel["targets"])
            elif panel.get("targets"):
                assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]


def test_the_first_row_answers_what_the_one_on_call_asks():
    """What fires, and since when, is on every board's first screen: above line 23 of the grid."""
    for name, board in BOARDS.items():
        second = [p for p in board["panels"] if p["type"] == "row"][1]
        first = [p for p in board["panels"] if p["gridPos"]["y"] < second["gridPos"]["y"]]
        assert "alertlist" in [p["type"] for p in first], name
        assert "Urgent alerts" in [p["title"] for p in first], name
        assert second["gridPos"]["y"] < 23, name


def test_the_overview_leads_to_every_other_board():
    """Where a number is bad, a click shows why; services and time are kept."""
    urls = [link["url"] for panel in panels_of(BOARDS["system"]) for link in panel.get("links", [])]
    uids = {url.removeprefix("/d/").partition("?")[0] for url in urls}
    assert uids == {board["uid"] for name, board in BOARDS.items() if name != "system"}
    assert all("${service:queryparam}" in url and "${__url_time_range}" in url for url in urls)


@pytest.mark.parametrize("name", BOARDS)
def test_every_expression_is_promql(name):
    """Panels and annotations parse once Grafana has filled in its variables."""
    board = BOARDS[name]
    for expr in [s.expr for s in queries_of(board)] + [a["expr"] for a in board["annotations"]["list"]]:
        promql.parse(expr)
    for variable in board["templating"]["list"]:
        if variable["type"] == "query":
            promql.parse(re.fullmatch(r"label_values\((.*), \w+\)", variable["query"])[1])


@pytest.mark.parametrize("name", BOARDS)
def test_every_variable_is_defined_and_used(name):
    """An undefined one would be sent to Prometheus as text; an unused one misleads the reader."""
    board = BOARDS[name]
    defined = {variable["name"] for variable in board["templating"]["list"]}
    used = set(re.findall(r"\$\{?(\w+)", json.dumps({**board, "templating": {}}, ensure_ascii=False)))
    assert used - BUILT_IN <= defined
    assert defined <= used


def test_rates_are_as_wide_as_grafana_says():
    """A fixed window breaks at another zoom; only counts per period name their own."""
    for name, shown in SHOWN:
        for window in re.findall(r"\brate\([^\[]*\[([^\]]*)\]", shown.expr):
            assert window in ("$__rate_interval", "$__range", "15m"), (name, shown)


def test_thresholds_ascend_from_null():
    """Also those inside tables' columns."""
    for board in BOARDS.values():
        for steps in re.findall(r'"steps": (\[\{.*?\}\])', json.dumps(board)):
            numbers = [step["value"] for step in json.loads(steps)]
            assert numbers[0] is None
            assert numbers[1:] == sorted(set(numbers[1:]))


def test_boards_hold_no_promql_and_no_grafanalib():
    """A board reads like its page; what Grafana and Prometheus want is decided in one place each."""
    for path in FOLDER.glob("*.py"):
        tree = ast.parse(path.read_text("utf-8"))
        imported = {
            node.module or "" if isinstance(node, ast.ImportFrom) else node.names[0].name
            for node in ast.walk(tree)
            if isinstance(node, ast.Import | ast.ImportFrom)
        }
        if path.name != "layout.py":
            assert not any(module.startswith("grafanalib") for module in imported), path.name
        if path.stem in BOARDS:
            texts = [
                n.value for n in ast.walk(tree) if isinstance(n, ast.Constant) and isinstance(n.value, str)
            ]
            assert not [t for t in texts if re.search(r"\{\w+=|\w\(\w+\[|\bby \(", t)], path.name


def test_provisioning_shows_what_is_generated():
    """Files are the truth, one source with a fixed address, and its step is the scrape interval."""
    source = yaml.safe_load((FOLDER / "provisioning/datasources/prometheus.yml").read_text())["datasources"][
        0
    ]
    assert source["uid"] == "prometheus"
    assert source["jsonData"]["timeInterval"] == "15s"
    (traces,) = source["jsonData"]["exemplarTraceIdDestinations"]
    assert traces["name"] == "trace_id"  # the label of our exemplars
    provider = yaml.safe_load((FOLDER / "provisioning/dashboards/watchkeeper.yml").read_text())["providers"][
        0
    ]
    assert provider["allowUiUpdates"] is False
    assert provider["options"]["path"] == "/var/lib/grafana/dashboards"
