"""The repository's own configuration files, with this run's addresses put in.

What a user copies to production is what runs here: addresses and receivers differ, and in tests the times.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import yaml

from scripts.stack.errors import SetupError

Override = tuple[str, frozenset[tuple[str, str]]]  # a record's name, and labels that its rule must carry

SHORTEST = 2.0  # seconds: two evaluations of the tests' Prometheus
# Where the links in alert_rules/ lead.
RUNBOOKS = "https://github.com/watchkeeper/watchkeeper/blob/main/docs/runbooks"
GRAFANA = "http://localhost:3000"
_UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800, "y": 31536000}
_PART = re.compile(r"(\d+)(ms|[smhdwy])")
_RANGE = re.compile(r"\[((?:\d+(?:ms|[smhdwy]))+)\]")


@dataclass(frozen=True)
class Links:
    """Where the links of a run's alerts lead: without a Grafana, to Prometheus' graph of when they fired."""

    runbooks: str
    grafana: str | None
    prometheus: str

    def put_into(self, annotations: dict[str, str], alert: str) -> None:
        for name, text in annotations.items():
            annotations[name] = text.replace(RUNBOOKS, self.runbooks)
            if self.grafana:
                annotations[name] = annotations[name].replace(GRAFANA, self.grafana)
            elif text.startswith(GRAFANA):
                # Of all pages this one is found in every Prometheus, in Debian's 2.42 as in 3.
                query = urlencode({"g0.expr": f'ALERTS{{alertname="{alert}"}}', "g0.tab": "0"})
                annotations[name] = f"{self.prometheus}/graph?{query}"


def read(path: Path) -> dict[str, Any]:
    """The file's YAML. Raises SetupError with the line of a fault."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SetupError(f"{path} cannot be read: {error.strerror}.") from None
    except yaml.YAMLError as error:
        raise SetupError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict):
        raise SetupError(f"{path} must hold keys with values.")
    return content


def write(path: Path, content: Mapping[str, Any]) -> Path:
    path.write_text(yaml.safe_dump(dict(content), sort_keys=False, allow_unicode=True), encoding="utf-8")
    return path


def prometheus(
    source: Path,
    targets: Mapping[str, Sequence[str]],
    alertmanager: str,
    rules: Path,
    *,
    interval: str | None = None,
    service: str | None = None,
) -> dict[str, Any]:
    """prometheus.yml with each job's targets (none: no job), and `service` in place of the demo's name."""
    content = read(source)
    content["rule_files"] = [str(rules / "*.yml")]
    content["alerting"] = {"alertmanagers": [{"static_configs": [{"targets": [alertmanager]}]}]}
    if interval:
        content["global"] |= {"scrape_interval": interval, "evaluation_interval": interval}
    jobs = []
    for job in content["scrape_configs"]:
        if job["job_name"] not in targets:
            raise SetupError(f"{source} has a job {job['job_name']!r} that the set-up does not start.")
        labels = job["static_configs"][0].get("labels", {})
        if service and labels.get("service") == "demo":
            labels = labels | {"service": service}
        if addresses := list(targets[job["job_name"]]):
            jobs.append(job | {"static_configs": [{"targets": addresses, "labels": labels}]})
    content["scrape_configs"] = jobs
    return content


def alertmanager(source: Path, receiver: str, *, scale: float = 1) -> dict[str, Any]:
    """alertmanager.yml with each receiver replaced by a webhook to ours, at /notify/<its name>."""
    content = read(source)
    content.pop("global", None)  # addresses and secrets of the channels that are replaced
    content["receivers"] = [
        {"name": one["name"], "webhook_configs": [{"url": f"{receiver}/notify/{one['name']}"}]}
        for one in content["receivers"]
    ]
    _scale_route(content["route"], scale)
    return content


def _scale_route(route: dict[str, Any], scale: float) -> None:
    for key in ("group_wait", "group_interval", "repeat_interval"):
        if key in route:
            route[key] = duration(max(seconds(route[key]) / scale, 0))
    for child in route.get("routes", ()):
        _scale_route(child, scale)


def rules(
    source: Path, target: Path, *, scale: float, overrides: Mapping[Override, float], links: Links
) -> None:
    """Copy alert_rules/*.yml with all times divided by `scale`, with other thresholds and links.

    A threshold is a recorded constant: `{("threshold:x", frozenset({("alert", "Y")})): 0.5}`.
    """
    target.mkdir(parents=True, exist_ok=True)
    unused = set(overrides)
    for path in sorted(source.glob("*.yml")):
        content = read(path)
        for group in content["groups"]:
            if "interval" in group:
                group["interval"] = shorter(group["interval"], scale)
            for rule in group["rules"]:
                _scale_rule(rule, scale)
                if "annotations" in rule:
                    links.put_into(rule["annotations"], rule["alert"])
                for name, labels in overrides:
                    if rule.get("record") == name and labels <= set(rule.get("labels", {}).items()):
                        rule["expr"] = f"vector({overrides[name, labels]})"
                        unused.discard((name, labels))
        write(target / path.name, content)
    if unused:
        raise SetupError(f"No rule in {source} records {sorted(name for name, _ in unused)}.")


def _scale_rule(rule: dict[str, Any], scale: float) -> None:
    for key in ("for", "keep_firing_for"):
        if key in rule:
            rule[key] = shorter(rule[key], scale)
    rule["expr"] = _RANGE.sub(lambda found: f"[{shorter(found[1], scale)}]", str(rule["expr"]))


def shorter(text: str, scale: float) -> str:
    """A duration divided by `scale`, but not below the shortest that makes sense; 0 stays 0."""
    if scale == 1:
        return str(text)  # as its author wrote it
    given = seconds(str(text))
    return duration(min(given, max(given / scale, SHORTEST)))


def seconds(text: str) -> float:
    """The seconds of a Prometheus duration such as "1h30m"."""
    return sum(int(number) * _UNITS[unit] for number, unit in _PART.findall(text))


def duration(number: float) -> str:
    """A Prometheus duration of that many seconds."""
    whole, rest = divmod(round(number * 1000), 1000)
    return "".join(part for part in (f"{whole}s" if whole else "", f"{rest}ms" if rest else "")) or "0s"


def provisioning(source: Path, target: Path, *, prometheus: str, alertmanager: str, boards: Path) -> None:
    """Copy Grafana's provisioning files with this run's addresses, and the folder of the dashboards."""
    addresses = {"prometheus": prometheus, "alertmanager": alertmanager}
    for path in sorted(source.rglob("*.y*ml")):
        content = read(path)
        for one in content.get("datasources", ()):
            one["url"] = addresses.get(one["type"], one.get("url"))
        for one in content.get("providers", ()):
            one["options"] = one.get("options", {}) | {"path": str(boards)}
        copy = target / path.relative_to(source)
        copy.parent.mkdir(parents=True, exist_ok=True)
        write(copy, content)
