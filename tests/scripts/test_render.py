"""The repository's configuration files with a run's addresses and times."""

import re
import shutil
import subprocess
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
import yaml

from scripts.stack import render
from scripts.stack.errors import SetupError
from scripts.stack.packages import CHECKOUT

LINKS = render.Links(runbooks="file:///docs/runbooks", grafana=None, prometheus="http://127.0.0.1:3")
TARGETS = {
    "app": ["127.0.0.1:1"],
    "watchkeeper": ["127.0.0.1:2"],
    "prometheus": ["127.0.0.1:3"],
    "alertmanager": ["127.0.0.1:4"],
}


def prometheus(**options) -> dict:
    return render.prometheus(
        CHECKOUT / "prometheus.yml",
        **{"targets": TARGETS, **options},
        alertmanager="127.0.0.1:4",
        rules=Path("/rules"),
    )


def test_every_job_gets_its_targets_and_keeps_its_labels():
    """Only addresses change in prometheus.yml."""
    content = prometheus()
    found = {job["job_name"]: job["static_configs"] for job in content["scrape_configs"]}
    assert found == {
        job: [
            {
                "targets": targets,
                "labels": {"service": "demo" if job in {"app", "watchkeeper"} else "monitoring"},
            }
        ]
        for job, targets in TARGETS.items()
    }
    assert content["rule_files"] == ["/rules/*.yml"]
    assert content["alerting"] == {"alertmanagers": [{"static_configs": [{"targets": ["127.0.0.1:4"]}]}]}
    assert content["global"] == yaml.safe_load((CHECKOUT / "prometheus.yml").read_text())["global"]


def test_a_job_without_targets_is_left_out_and_the_service_is_renamed():
    """Who monitors no application gets no job that is always down; nobody's application is called `demo`."""
    content = prometheus(targets={**TARGETS, "app": []}, service="shop", interval="1s")
    services = {
        job["job_name"]: job["static_configs"][0]["labels"]["service"] for job in content["scrape_configs"]
    }
    assert services == {"watchkeeper": "shop", "prometheus": "monitoring", "alertmanager": "monitoring"}
    assert content["global"]["scrape_interval"] == content["global"]["evaluation_interval"] == "1s"


def test_a_job_that_nobody_serves_is_an_error():
    """A new job in prometheus.yml must be given to the set-up too."""
    with pytest.raises(SetupError, match=r"prometheus.yml has a job 'alertmanager' that the set-up"):
        prometheus(targets={name: TARGETS[name] for name in ("app", "watchkeeper", "prometheus")})


def test_all_receivers_become_webhooks_and_no_secret_is_asked_for():
    """The routes stay; every receiver of alertmanager.yml posts to ours under its own name."""
    source = yaml.safe_load((CHECKOUT / "alertmanager.yml").read_text())
    content = render.alertmanager(CHECKOUT / "alertmanager.yml", "http://127.0.0.1:5")
    assert [one["name"] for one in content["receivers"]] == [one["name"] for one in source["receivers"]]
    assert all(
        one == {"name": one["name"], "webhook_configs": [{"url": f"http://127.0.0.1:5/notify/{one['name']}"}]}
        for one in content["receivers"]
    )
    assert [route["receiver"] for route in content["route"]["routes"]] == [
        route["receiver"] for route in source["route"]["routes"]
    ]
    assert content["inhibit_rules"] == source["inhibit_rules"]
    assert "global" not in content


@pytest.mark.parametrize(
    ("text", "scale", "expected"),
    [
        ("5m", 30, "10s"),
        ("1h", 60, "60s"),
        ("5m", 200, "2s"),
        ("1m30s", 8, "11s250ms"),
        ("1s", 60, "1s"),
        ("0s", 9, "0s"),
    ],
)
def test_times_shrink_but_not_below_two_seconds(text: str, scale: float, expected: str):
    """Divided by the scale; what is shorter than the limit already stays."""
    assert render.shorter(text, scale) == expected


def test_rules_shrink_and_thresholds_are_replaced(tmp_path: Path):
    """Every `for` and range is divided, and the named threshold becomes the given number."""
    override = {("threshold:http_errors:ratio", frozenset({("alert", "ErrorRateCritical")})): 0.5}
    render.rules(CHECKOUT / "alert_rules", tmp_path, scale=60, overrides=override, links=LINKS)
    texts = {path.name: path.read_text() for path in tmp_path.glob("*.yml")}
    assert texts.keys() == {path.name for path in (CHECKOUT / "alert_rules").glob("*.yml")}
    assert not any("[5m]" in text or "for: 5m" in text for text in texts.values())
    assert "[5s]" in texts["errors.yml"]
    thresholds = yaml.safe_load(texts["thresholds.yml"])["groups"][0]["rules"]
    found = {rule.get("labels", {}).get("alert"): rule["expr"] for rule in thresholds}
    assert found["ErrorRateCritical"] == "vector(0.5)"
    assert found["ErrorRateHigh"] == "vector(0.05)"


def test_a_threshold_that_no_rule_records_is_an_error(tmp_path: Path):
    """A misspelt name does not silently leave the real threshold in force."""
    with pytest.raises(SetupError, match="threshold:nothing"):
        render.rules(
            CHECKOUT / "alert_rules",
            tmp_path,
            scale=60,
            overrides={("threshold:nothing", frozenset()): 1},
            links=LINKS,
        )


def annotations(folder: Path, name: str) -> list[str]:
    """This annotation of every alert in the folder."""
    groups = [group for path in folder.glob("*.yml") for group in yaml.safe_load(path.read_text())["groups"]]
    return [rule["annotations"][name] for group in groups for rule in group["rules"] if "alert" in rule]


def copied(folder: Path, grafana: str | None) -> Path:
    links = render.Links(
        runbooks=(CHECKOUT / "docs/runbooks").as_uri(), grafana=grafana, prometheus="http://p:1"
    )
    render.rules(CHECKOUT / "alert_rules", folder, scale=1, overrides={}, links=links)
    return folder


def test_rules_that_run_as_they_are_keep_their_words(tmp_path: Path):
    """Without a scale a copied rule says "5m" as its author did; only links differ."""
    copied(tmp_path, "http://g:1")
    for path in (CHECKOUT / "alert_rules").glob("*.yml"):
        ours = yaml.safe_load((tmp_path / path.name).read_text())
        theirs = yaml.safe_load(path.read_text())
        for group in (*ours["groups"], *theirs["groups"]):
            for rule in group["rules"]:
                rule.pop("annotations", None)
        assert ours == theirs


def test_an_alert_leads_to_its_runbook_in_this_checkout(tmp_path: Path):
    """Every runbook link of a run names a file that is there."""
    found = annotations(copied(tmp_path, None), "runbook_url")
    assert found
    assert [url for url in found if not Path(unquote(urlsplit(url).path)).is_file()] == []


def test_an_alert_leads_to_the_grafana_that_runs(tmp_path: Path):
    """Board and variables stay, the address is the run's."""
    before = annotations(CHECKOUT / "alert_rules", "dashboard_url")
    found = annotations(copied(tmp_path, "http://127.0.0.1:5"), "dashboard_url")
    assert sorted(found) == sorted(
        url.replace("http://localhost:3000", "http://127.0.0.1:5") for url in before
    )


def test_without_a_grafana_an_alert_leads_to_prometheus(tmp_path: Path):
    """The page shows when this alert fired, instead of an address where nobody listens."""
    found = annotations(copied(tmp_path, None), "dashboard_url")
    assert "http://p:1/graph?g0.expr=ALERTS%7Balertname%3D%22LatencyHigh%22%7D&g0.tab=0" in found
    assert [url for url in found if not url.startswith("http://p:1/graph?")] == []


def test_links_of_ones_own_stay(tmp_path: Path):
    """Who has put his own addresses into the rules keeps them."""
    own = {"runbook_url": "https://wiki.example.com/x", "dashboard_url": "https://grafana.example.com/d/x"}
    rule = {"alert": "X", "expr": "vector(1)", "annotations": own}
    (tmp_path / "from").mkdir()
    render.write(tmp_path / "from" / "x.yml", {"groups": [{"name": "x", "rules": [rule]}]})
    render.rules(tmp_path / "from", tmp_path / "to", scale=1, overrides={}, links=LINKS)
    assert yaml.safe_load((tmp_path / "to" / "x.yml").read_text())["groups"][0]["rules"] == [rule]


def test_the_commands_in_the_thresholds_header_change_every_link(tmp_path: Path):
    """Whoever copies the two lines has no link to our addresses left."""
    shutil.copytree(CHECKOUT / "alert_rules", tmp_path / "alert_rules")
    header = (tmp_path / "alert_rules" / "thresholds.yml").read_text()
    commands = re.findall(r"^#   (sed -i .*)$", header, re.MULTILINE)
    for command in commands:
        subprocess.run(command, shell=True, cwd=tmp_path, check=True)
    found = [
        url
        for name in ("dashboard_url", "runbook_url")
        for url in annotations(tmp_path / "alert_rules", name)
    ]
    assert len(commands) == 2
    assert {urlsplit(url).hostname for url in found} == {"grafana.example.com", "wiki.example.com"}
    assert all(re.search(r"example\.com/(d|runbooks)/", url) for url in found)


def test_grafana_gets_this_runs_addresses(tmp_path: Path):
    """Data sources and the dashboards' folder are those of the run."""
    source = tmp_path / "source"
    (source / "datasources").mkdir(parents=True)
    (source / "dashboards").mkdir()
    render.write(
        source / "datasources" / "one.yml",
        {
            "apiVersion": 1,
            "datasources": [{"name": "P", "uid": "p", "type": "prometheus", "url": "http://prometheus:9090"}],
        },
    )
    render.write(
        source / "dashboards" / "one.yml", {"providers": [{"name": "w", "options": {"path": "/etc/x"}}]}
    )
    render.provisioning(
        source,
        tmp_path / "target",
        prometheus="http://p:1",
        alertmanager="http://a:2",
        boards=Path("/boards"),
    )
    [datasource] = yaml.safe_load((tmp_path / "target/datasources/one.yml").read_text())["datasources"]
    assert datasource == {"name": "P", "uid": "p", "type": "prometheus", "url": "http://p:1"}
    [provider] = yaml.safe_load((tmp_path / "target/dashboards/one.yml").read_text())["providers"]
    assert provider == {"name": "w", "options": {"path": "/boards"}}


def test_a_bad_file_is_named_with_its_line(tmp_path: Path):
    """The message leads to the fault."""
    bad = tmp_path / "alertmanager.yml"
    bad.write_text("route:\n  receiver: [x\n")
    with pytest.raises(SetupError, match=r"alertmanager.yml is not valid YAML.*line 3"):
        render.alertmanager(bad, "http://127.0.0.1:5")
