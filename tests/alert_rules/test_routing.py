"""Who hears of which alert: Alertmanager's configuration, asked by its own tool and in a real server."""

import json
import re
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
import yaml

from scripts.stack.servers import alertmanager, run_folder
from tests.alert_rules.rules import ALERTMANAGER, ALERTS, inhibits, load
from tests.waiting import wait_for

RECEIVERS = {
    "P0": "email-all,p0-page",
    "P1": "email-all,p1-chat",
    "P2": "email-all,p2-chat",
    "P3": "email-all,p3-chat",
    "none": "heartbeat",
}
# Families that ApiDown keeps back: what requests tell while there are none.
SYMPTOMS = {"errors", "error_count", "latency", "slo", "traffic_low"}


@pytest.fixture
def amtool(programs):
    """Runs amtool and fails with what it printed."""

    def run(*words):
        done = subprocess.run(
            [programs["amtool"].path, *words],
            capture_output=True,
            text=True,
            timeout=30,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


def routes(config):
    """Yield every route of the tree."""
    waiting = [config["route"]]
    while waiting:
        route = waiting.pop()
        yield route
        waiting += route.get("routes", [])


def test_the_configuration_is_valid(amtool):
    """Alertmanager accepts the file as it is."""
    amtool("check-config", ALERTMANAGER)


@pytest.mark.parametrize("alert", ALERTS, ids=str)
def test_an_alert_reaches_its_receivers(amtool, alert):
    """E-mail hears of everything, the pager of P0, the chat of the rest, the heartbeat of Watchdog alone."""
    labels = [f"{name}={value}" for name, value in alert.fired().items()]
    expected = RECEIVERS[alert.labels["priority"]]
    amtool(
        "config", "routes", "test", "--config.file", ALERTMANAGER, f"--verify.receivers={expected}", *labels
    )


def test_an_alert_of_nobody_knows_which_priority_still_reaches_somebody(amtool):
    """A user's own alert without our labels goes to e-mail."""
    amtool(
        "config",
        "routes",
        "test",
        "--config.file",
        ALERTMANAGER,
        "--verify.receivers=email-all",
        "alertname=Own",
    )


def test_every_receiver_has_a_route_and_every_interval_a_use():
    """Alertmanager accepts receivers that no alert can reach; we do not."""
    config = load(ALERTMANAGER)
    used = list(routes(config))
    assert {receiver["name"] for receiver in config["receivers"]} == {route["receiver"] for route in used}
    asked = {name for route in used for name in route.get("active_time_intervals", ())}
    assert {interval["name"] for interval in config["time_intervals"]} == asked


def test_only_the_chat_of_p2_and_p3_keeps_business_hours():
    """After hours P0 and P1 still notify, and e-mail is never held back."""
    quiet = {route["receiver"] for route in routes(load(ALERTMANAGER)) if "active_time_intervals" in route}
    assert quiet == {"p2-chat", "p3-chat"}


def test_secrets_come_from_files_only():
    """No secret stands in the file by its value, and the files that hold them lie in one folder."""
    lines = [line.split("#")[0] for line in ALERTMANAGER.read_text("utf-8").splitlines()]
    keys = re.findall(r"^\s*-?\s*(\w+):\s*(\S*)", "\n".join(lines), re.MULTILINE)
    secret = re.compile(r"password|secret|token|credentials|routing_key|service_key|api_url|webhook_url")
    files = {key: Path(value) for key, value in keys if secret.search(key)}
    assert files
    assert [key for key in files if not key.endswith("_file")] == []
    assert {str(path.parent) for path in files.values()} == {"/etc/alertmanager/secrets"}


def texts(value):
    """Yield every template in a part of the configuration."""
    if isinstance(value, str) and "{{" in value:
        yield value
    elif isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from texts(part)


@pytest.mark.parametrize("text", sorted(set(texts(load(ALERTMANAGER)["receivers"]))))
def test_notifications_say_something(amtool, tmp_path, text):
    """Every text of a receiver renders, with nothing missing from what Alertmanager hands to it."""
    alert = next(alert for alert in ALERTS if alert.labels["priority"] == "P0")
    labels = alert.fired()
    data = {
        "status": "firing",
        "groupLabels": {name: labels[name] for name in ("family", "service")},
        "commonLabels": labels,
        "commonAnnotations": alert.annotations,
        "alerts": [{"status": "firing", "labels": labels, "annotations": alert.annotations}],
    }
    (tmp_path / "data.json").write_text(json.dumps(data))
    (tmp_path / "none.tmpl").write_text("")  # amtool asks for a file of templates, needed or not
    said = amtool(
        "template",
        "render",
        f"--template.glob={tmp_path / 'none.tmpl'}",
        f"--template.data={tmp_path / 'data.json'}",
        f"--template.text={text}",
    )
    assert said.strip()
    assert "<no value>" not in said
    assert not re.search(r": *$|\[ | \]", said, re.MULTILINE), "a field is empty"


@pytest.fixture
def running(programs):
    """URL of a real Alertmanager with our routes and inhibit rules, and receivers that send nothing."""
    config = load(ALERTMANAGER)
    config["receivers"] = [{"name": receiver["name"]} for receiver in config["receivers"]]
    with run_folder() as folder:
        path = folder / "alertmanager.yml"
        path.write_text(yaml.safe_dump(config), "utf-8")
        server = alertmanager(programs["alertmanager"], path, folder / "data")
        try:
            server.start()
            yield server.url
        finally:
            server.stop()


def test_a_real_alertmanager_silences_what_the_rules_say(running):
    """With everything firing at once, exactly causes and highest tiers are left, service by service."""
    firing = [
        *(alert.fired(instance="a") for alert in ALERTS),
        *(
            alert.fired(instance="a", collector=collector)
            for alert in ALERTS
            if alert.name == "CollectorFailing"
            for collector in ("postgres", "redis", "pgbouncer")
        ),
        # `slow` is up, so its symptoms are its own.
        *(a.fired(service="slow") for a in ALERTS if a.labels["family"] in {"errors", "latency"}),
        # A second machine of the same service, in less trouble than the first.
        *(a.fired(instance="b") for a in ALERTS if a.name == "MemoryElevated"),
    ]
    now = datetime.now(UTC)
    times = {"startsAt": now.isoformat(), "endsAt": (now + timedelta(hours=1)).isoformat()}
    with httpx.Client(base_url=running, trust_env=False, timeout=10) as client:
        client.post(
            "/api/v2/alerts", json=[{"labels": labels, **times} for labels in firing]
        ).raise_for_status()

        def silenced():
            found = client.get("/api/v2/alerts").raise_for_status().json()
            assert len(found) == len(firing)
            return {_key(alert["labels"]) for alert in found if alert["status"]["inhibitedBy"]}

        expected = {_key(t) for t in firing if any(inhibits(s, t) for s in firing if s != t)}
        wait_for(lambda: silenced() == expected, message="the silenced alerts")

    heard = [labels for labels in firing if _key(labels) not in expected]
    assert sorted((f["alertname"], f["instance"]) for f in heard if f.get("instance") == "b") == [
        ("MemoryElevated", "b")
    ]
    assert {f["alertname"] for f in heard if f["service"] == "slow"} == {"ErrorRateCritical", "LatencySevere"}
    # ApiDown explains what requests show; every other family is heard once, by the highest of its tiers.
    families = {alert.labels["family"] for alert in ALERTS}
    once = [f for f in heard if f["service"] in {"demo", "monitoring"} and f.get("instance") == "a"]
    assert sorted(f["family"] for f in once) == sorted(families - SYMPTOMS)
    for labels in once:
        tiers = [alert.labels["priority"] for alert in ALERTS if alert.labels["family"] == labels["family"]]
        assert labels["priority"] == min(tiers)


def _key(labels):
    return frozenset(labels.items())
