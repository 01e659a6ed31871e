"""What holds the rooms together: names on both sides of Prometheus, light imports, a small public face."""

import json
import subprocess
import sys
import tomllib
import zipfile
from functools import cache
from pathlib import Path

import pytest
import yaml

import exporter
from exporter import inventory
from tests import promql

ROOT = Path(__file__).parents[1]

# What Prometheus, Alertmanager and the client libraries make themselves, with the labels that they give.
FOREIGN = {
    "up": set(),
    "ALERTS": {"alertname", "alertstate"},
    "process_start_time_seconds": set(),
    "process_resident_memory_bytes": set(),
    "process_cpu_seconds_total": set(),
    "process_open_fds": set(),
    "process_max_fds": set(),
    "scrape_duration_seconds": set(),
    "alertmanager_notification_requests_failed_total": {"integration"},
}
# Labels that prometheus.yml gives every target.
TARGET = {"job", "instance", "service"}


def rule_files():
    return {
        path.name: yaml.safe_load(path.read_text()) for path in sorted((ROOT / "alert_rules").glob("*.yml"))
    }


def rules():
    return [
        (name, rule)
        for name, content in rule_files().items()
        for group in content["groups"]
        for rule in group["rules"]
    ]


def boards():
    return {
        path.name: json.loads(path.read_text())
        for path in sorted((ROOT / "dashboards/generated").glob("*.json"))
    }


def expressions():
    """Every PromQL expression that the project ships, with its place."""
    from dashboards import queries_of

    for name, rule in rules():
        yield f"{name} {rule.get('alert') or rule.get('record')}", rule["expr"]
    for name, board in boards().items():
        for query in queries_of(board):
            yield f"{name} {query.panel} {query.ref}", query.expr
        for annotation in board["annotations"]["list"]:
            if annotation.get("expr"):
                yield f"{name} annotation {annotation['name']}", annotation["expr"]


@cache  # hundreds of expressions ask the same
def series():
    """Every series name that may be asked for, with its own labels (None: not known here)."""
    from dashboards import foreign

    names = {name: set(labels) for name, labels in FOREIGN.items()}
    names |= {m.name: set(m.labels) for m in vars(foreign).values() if isinstance(m, exporter.Metric)}
    for name, metric in inventory.everything().items():
        labels = set(metric.labels)
        if metric.kind == "histogram":
            names |= {f"{name}_bucket": labels | {"le"}, f"{name}_count": labels, f"{name}_sum": labels}
        else:
            names[name] = labels
    names |= {rule["record"]: None for _, rule in rules() if "record" in rule}
    return names


@pytest.mark.parametrize(("place", "expr"), [pytest.param(*e, id=e[0]) for e in expressions()])
def test_every_name_and_label_that_is_asked_for_is_made(place, expr):
    """Right of Prometheus only names that are declared, recorded or foreign, with labels they have."""
    known = series()
    for name, labels in promql.names_and_labels(expr):
        assert name in known, f"{place}: nothing publishes {name!r}"
        own = known[name]
        if own is not None:
            # Alerts carry the labels of their rules on top.
            allowed = (
                own | TARGET | ({"priority", "severity", "family", "team"} if name == "ALERTS" else set())
            )
            assert labels <= allowed, f"{place}: {name} has no label {sorted(labels - allowed)}"


def test_there_is_something_to_check():
    """Five boards and every rule family are among the expressions."""
    places = [place for place, _ in expressions()]
    assert len(boards()) >= 5
    assert len(places) > 100


def test_every_job_that_is_asked_for_is_scraped():
    """A job name in rules or boards is one of prometheus.yml."""
    jobs = {
        job["job_name"] for job in yaml.safe_load((ROOT / "prometheus.yml").read_text())["scrape_configs"]
    }
    for place, expr in expressions():
        for selector in promql.selectors(expr):
            for matcher in selector.matchers.matchers:
                if matcher.name == "job" and "$" not in expr and str(matcher.op) in {"MatchOp.Equal", "="}:
                    assert matcher.value in jobs, f"{place}: no job {matcher.value!r}"


def test_metrics_md_is_what_the_code_declares():
    """Change a declaration and run: watchkeeper metrics --markdown > METRICS.md"""
    assert (ROOT / "METRICS.md").read_text() == inventory.markdown()


def test_the_seed_metrics_are_there_to_the_letter():
    """The seven names of the contract, with their types and labels."""
    found = {name: (m.kind, m.labels) for name, m in inventory.everything().items()}
    contract = {
        "http_requests_total": ("counter", ("method", "route", "status")),
        "http_request_duration_seconds": ("histogram", ("method", "route", "status_class")),
        "active_connections": ("gauge", ("route",)),
        "workflow_executions_total": ("counter", ("workflow", "status")),
        "ai_api_calls_total": ("counter", ("provider", "model", "operation", "outcome")),
        "database_connections_active": ("gauge", ("database",)),
        "cache_hit_ratio": ("gauge", ("cache",)),
    }
    assert {name: found[name] for name in contract} == contract


def test_the_latency_buckets_carry_the_documented_thresholds():
    """An alert on a threshold between two bounds would be a guess."""
    buckets = inventory.everything()["http_request_duration_seconds"].buckets
    assert {0.2, 0.5, 1, 2, 5} <= set(buckets)
    assert max(buckets) > 5


LIGHT = """
import sys

class Only:
    allowed = {"exporter", "prometheus_client", *sys.stdlib_module_names}
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] not in self.allowed:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Only())
from exporter import instrument
obs = instrument()
with obs.workflow("x") as run, run.step("y"):
    obs.cache("c").hit()
obs.ai.record(provider="p", model="m", operation="o", duration_seconds=1)
from exporter.cli import main
sys.exit(main(["check"]))
"""


def test_an_application_needs_prometheus_client_alone():
    """The in-app half works with nothing else installed, and the command says what to install."""
    result = subprocess.run([sys.executable, "-c", LIGHT], capture_output=True, text=True, cwd=ROOT)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.strip().endswith("pip install 'watchkeeper[exporter]'")


def test_the_dependencies_are_the_promised_ones():
    """prometheus-client alone for an application; the rest are extras."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert [d.partition(">")[0] for d in project["dependencies"]] == ["prometheus-client"]
    assert set(project["optional-dependencies"]) == {
        "exporter",
        "dashboards",
        "prices",
        "sentry",
        "testing",
        "all",
    }


def test_the_public_face_is_small():
    """What is not in __all__ is not promised."""
    assert sorted(exporter.__all__) == ["Metric", "__version__", "instrument"]
    for name in exporter.__all__:
        assert hasattr(exporter, name)


def test_the_wheel_holds_the_package_and_nothing_else(tmp_path):
    """Dashboards, scripts, examples and tests stay out; data files of collectors are in."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.partition("/")[0].partition("-")[0] for name in names} == {"exporter", "watchkeeper"}
    assert "exporter/collectors/sql/business.yml" in names
    assert "exporter/py.typed" in names
    assert "exporter/Dockerfile" not in names


def test_the_changelog_knows_the_version():
    """A release without its lines in the changelog is not one."""
    assert f"## {exporter.__version__}" in (ROOT / "CHANGELOG.md").read_text()
