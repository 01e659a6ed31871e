"""The whole product on real servers: the demo under load, scraped, shown, and alarming."""

import json
import os
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

import psutil
import pytest

import dashboards
from scripts.stack import leftovers, targets
from scripts.stack.demo import WORKERS
from scripts.stack.options import Options
from scripts.stack.process import get, post
from scripts.stack.stack import Stack
from tests.waiting import wait_for

SCALE = 60  # five minutes become five seconds
MEMORY = ("threshold:node_memory_used:ratio", frozenset({("alert", "MemoryHigh")}))
TRAFFIC = ("threshold:http_requests:increase5m", frozenset())
RISE_SECONDS, FALL_SECONDS = (
    40,
    60,
)  # a range of 5 s, `for` of 2 to 5 s and Alertmanager's 5 s; the rest is a busy machine

SEED_METRICS = {
    "http_requests_total": {"method", "route", "status"},
    "http_request_duration_seconds_bucket": {"method", "route", "status_class", "le"},
    "active_connections": {"route"},
    "workflow_executions_total": {"workflow", "status"},
    "ai_api_calls_total": {"provider", "model", "operation", "outcome"},
    "database_connections_active": {"database"},
    "cache_hit_ratio": {"cache"},
}
ADDED_BY_PROMETHEUS = {"__name__", "job", "instance", "service"}

# Queries that rightly find nothing here, as "board: panel", each with its reason.
# Panels that the demo has nothing for, each with its reason.
EMPTY_HERE = {
    "ai: Calls without a price": "the demo knows the price of every call",
    "ai: Time to the first piece of an answer": "the demo's answers come in one piece",
    "api: Log lines": "the demo writes its log as plain text",
    "business: Scheduled jobs": "the demo's jobs are tasks of its own, without a scheduler",
    "business: Runs that failed or were missed": "no scheduler",
    "business: Jobs planned": "no scheduler",
    "business: Jobs in queues": "no queue",
    "business: Oldest job in the queue": "no queue",
    "business: Waiting in the queue": "no queue",
    "business: Jobs taken": "no queue",
    "database: Sequences near their end": "the exporter's role may read no sequence of the demo",
    "database: Replicas' lag": "one Postgres alone",
    "database: Not replayed yet": "one Postgres alone",
    "database: Kept back by slots": "one Postgres alone",
    "database: Clients of PgBouncer": "no PgBouncer",
    "database: Longest wait at PgBouncer": "no PgBouncer",
    "database: Server connections of PgBouncer": "no PgBouncer",
    "database: Queries through PgBouncer": "no PgBouncer",
    "database: Mean query through PgBouncer": "no PgBouncer",
    "database: Clients kept waiting": "no PgBouncer",
    "database: Latency spikes": "Redis has had none, or no threshold for them",
    "database: Replicas of Redis": "one Redis alone",
    "monitoring: Failed runs by reason": "nothing has failed",
    "monitoring: Failures of the instrumentation": "nothing has failed",
    "monitoring: Log lines lost": "none was lost",
    "system: CPU of containers": "not every machine has control groups with limits",
    "system: Memory of containers against their limit": "not every machine has control groups with limits",
    "system: Held back by their quota": "not every machine has control groups with limits",
    "system: Tasks of containers": "not every machine has control groups with limits",
    "system: Temperatures": "not every machine has sensors",
}
# The same for single queries, by a part of their legends.
EMPTY_LEGENDS = {"a week ago": "the demo is minutes old", "(17+)": "of Postgres 17 and newer"}


class Running:
    """The stack, and questions to it."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack

    def query(self, expr: str) -> list[dict[str, Any]]:
        answer = get(f"{self.stack.server('prometheus').url}/api/v1/query?query={quote(expr)}")
        return json.loads(answer)["data"]["result"] if answer else []

    def alerts(self) -> list[dict[str, Any]]:
        """What Prometheus has pending or firing."""
        answer = get(f"{self.stack.server('prometheus').url}/api/v1/alerts")
        return json.loads(answer)["data"]["alerts"] if answer else []

    def firing(self, name: str) -> bool:
        return any(one["labels"]["alertname"] == name and one["state"] == "firing" for one in self.alerts())

    def arrived(self, name: str, status: str, since: datetime) -> set[str]:
        """The receivers that have heard of the alert in this status since then."""
        answer = get(f"{self.stack.server('receiver').url}/alerts") or b"[]"
        return {
            one["receiver"]
            for one in json.loads(answer)
            if (one["labels"]["alertname"], one["status"]) == (name, status)
            and datetime.fromisoformat(one["arrived"]) > since
        }

    def fault(self, switch: str) -> None:
        post(f"{self.stack.server('app').url}/faults/{switch}")

    def faults_off(self) -> None:
        post(f"{self.stack.server('app').url}/faults", "DELETE")


@pytest.fixture(scope="module")
def running() -> Iterator[Running]:
    said: list[str] = []
    stack = Stack(
        Options(
            free_ports=True,
            interval="1s",
            rules_scale=SCALE,
            thresholds={TRAFFIC: 5},
            load=("--day", "60m", "--peak", "25"),  # the tests' minutes are one morning
            app_env={"DEMO_INVOICE_SECONDS": "2"},
            grafana=False,
        ),
        said.append,
    )
    stack.start()
    try:
        yield Running(stack)
    finally:
        stack.stop()


def test_every_target_is_up(running: Running):
    """Prometheus scrapes the application, our exporter, itself and Alertmanager, each without an error."""
    prometheus = running.stack.server("prometheus").url
    expected = dict.fromkeys(("app", "watchkeeper", "prometheus", "alertmanager"), ("up", ""))

    def found() -> dict[str, tuple[str, str]]:
        return {one["labels"]["job"]: (one["health"], one["lastError"]) for one in targets.read(prometheus)}

    # A scrape each second: on a busy machine one may be late.
    wait_for(lambda: found() == expected, 30, f"all up: {found()}")


def test_the_application_has_four_workers_that_count_together(running: Running):
    """Prometheus sees all of them, whichever answers a scrape; it would keep their exemplars."""
    wait_for(lambda: [one["value"][1] for one in running.query("watchkeeper_workers")] == [str(WORKERS)], 60)
    flags = get(f"{running.stack.server('prometheus').url}/api/v1/status/flags") or b"{}"
    assert "exemplar-storage" in json.loads(flags)["data"]["enable-feature"]


def test_the_links_of_an_alert_lead_somewhere(running: Running):
    """In this run, without a Grafana, the runbook is a file here and the dashboard a page of Prometheus."""
    beat = wait_for(lambda: [one for one in running.alerts() if one["labels"]["alertname"] == "Watchdog"], 30)
    links = beat[0]["annotations"]
    assert Path(unquote(urlsplit(links["runbook_url"]).path)).is_file()
    assert b"Prometheus" in (get(links["dashboard_url"]) or b"")


@pytest.mark.parametrize("name", SEED_METRICS)
def test_a_promised_metric_has_samples_with_its_labels(running: Running, name: str):
    """Each of the seven promised metrics arrives in Prometheus with exactly its labels."""
    series = wait_for(lambda: running.query(name), 30, name)
    assert {frozenset(one["metric"].keys() - ADDED_BY_PROMETHEUS) for one in series} == {
        frozenset(SEED_METRICS[name])
    }


def test_every_rule_evaluates(running: Running):
    """No recording rule and no alert ends in an error."""
    answer = get(f"{running.stack.server('prometheus').url}/api/v1/rules")
    rules = [rule for group in json.loads(answer or b"{}")["data"]["groups"] for rule in group["rules"]]
    assert rules
    assert [(rule["name"], rule["lastError"]) for rule in rules if rule.get("lastError")] == []


def test_every_query_of_every_panel_finds_data_with_its_legend(running: Running):
    """With traffic, errors and a firing alert, no panel is empty and no legend lacks a label."""
    running.fault("errors?ratio=0.2&for=120")
    wait_for(lambda: running.firing("ErrorRateCritical"), RISE_SECONDS)
    left = [
        (board, shown)
        for board, shown in queries()
        if f"{board}: {shown.panel}" not in EMPTY_HERE
        and not any(one in shown.legend for one in EMPTY_LEGENDS)
    ]
    try:
        wait_for(lambda: not unanswered(running, left), 60)
    except AssertionError:
        lines = [f"{board}: {one.panel} {one.ref} [{one.legend}]\n    {one.expr}" for board, one in left]
        pytest.fail("without data or without a label of the legend:\n" + "\n".join(lines))
    finally:
        running.faults_off()
    assert not EMPTY_HERE.keys() - {f"{board}: {shown.panel}" for board, shown in queries()}


def queries() -> list[tuple[str, dashboards.Shown]]:
    """Every query of every board, with the board's name."""
    return [
        (board, shown)
        for board, content in dashboards.built().items()
        for shown in dashboards.queries_of(content)
    ]


def unanswered(running: Running, left: list[tuple[str, dashboards.Shown]]) -> bool:
    """Remove the queries that have an answer by now; True while some are left."""
    left[:] = [(board, shown) for board, shown in left if not answered(running, shown)]
    return bool(left)


def answered(running: Running, shown: dashboards.Shown) -> bool:
    wanted = set(re.findall(r"{{\s*(\w+)\s*}}", shown.legend))
    series = running.query(interpolated(shown.expr))
    return bool(series) and all(wanted <= one["metric"].keys() for one in series)


def interpolated(expr: str) -> str:
    """The query as Grafana sends it with all variables on All and the last minute in view."""
    for name, value in {
        "__rate_interval": "10s",
        "__interval": "2s",
        "__range": "60s",
        "__range_s": "60",
    }.items():
        expr = re.sub(rf"\${name}\b|\${{{name}}}", value, expr)
    return re.sub(r"\$\{?\w+(?::\w+)?\}?", ".*", expr)


def switched(path: str) -> tuple[Callable[[Running], None], Callable[[Running], None]]:
    return (lambda running: running.fault(path)), Running.faults_off


def away(name: str) -> tuple[Callable[[Running], None], Callable[[Running], None]]:
    return (lambda running: running.stack.server(name).stop()), (
        lambda running: running.stack.server(name).start()
    )


def hog() -> tuple[Callable[[Running], None], Callable[[Running], None]]:
    """Takes 6 % of the memory, against a threshold 3 % above what is in use."""

    def begin(running: Running) -> None:
        memory = psutil.virtual_memory()
        used = float(running.query("max(instance:node_memory_used:ratio)")[0]["value"][1])
        running.stack.set_thresholds({MEMORY: used + 0.03})
        running.fault(f"memory?megabytes={memory.total * 6 // 100_000_000}&for=300")

    return begin, Running.faults_off


@pytest.mark.parametrize(
    ("alert", "receivers", "fault"),
    [
        pytest.param("LatencyHigh", {"email-all", "p1-chat"}, switched("slow?seconds=3&for=300"), id="slow"),
        pytest.param(
            "ErrorRateCritical", {"email-all", "p0-page"}, switched("errors?ratio=0.5&for=300"), id="errors"
        ),
        pytest.param("MemoryHigh", {"email-all", "p1-chat"}, hog(), id="memory"),
        pytest.param("RedisDown", {"email-all", "p1-chat"}, away("redis"), id="redis"),
        pytest.param("DatabaseDown", {"email-all", "p0-page"}, away("postgres"), id="database"),
    ],
)
def test_a_fault_raises_its_alert_and_its_end_resolves_it(
    running: Running, alert: str, receivers: set[str], fault
):
    """It fires in Prometheus, arrives at exactly its receivers, and both hear of the end."""
    begin, end = fault
    wait_for(lambda: not running.firing(alert), FALL_SECONDS, f"{alert} to be silent before")
    since = datetime.now(UTC)
    begin(running)
    try:
        wait_for(lambda: running.firing(alert), RISE_SECONDS, f"{alert} in Prometheus: {running.alerts()}")
        wait_for(
            lambda: running.arrived(alert, "firing", since) >= receivers,
            RISE_SECONDS,
            f"{alert} at {receivers}",
        )
    finally:
        end(running)
    wait_for(
        lambda: running.arrived(alert, "resolved", since) >= receivers, FALL_SECONDS, f"the end of {alert}"
    )
    assert running.arrived(alert, "firing", since) == receivers


def test_a_stopped_stack_leaves_nothing(running: Running):
    """No process, no file and no shared memory; the last test, for it ends what the others use."""
    processes = [psutil.Process(process.pid) for process in running.stack.processes]
    family = processes + [child for process in processes for child in process.children(recursive=True)]
    folder, shared = running.stack.folder, Path(f"/dev/shm/watchkeeper-{os.getuid()}")
    numbers = f"*-{running.stack.server('app').pid}-*"
    assert len(processes) == 9
    assert len(list(shared.glob(numbers))) == 1
    running.stack.stop()
    assert list(shared.glob(numbers)) == []
    assert [process for process in family if leftovers.runs(process)] == []
    assert not folder.exists()
    assert folder != Path()
