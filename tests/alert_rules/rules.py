"""The rule files and the Alertmanager configuration as the tests read them."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
RULE_FILES = sorted((ROOT / "alert_rules").glob("*.yml"))
UNIT_TESTS = sorted(Path(__file__).parent.glob("*_test.yml"))
RUNBOOKS = sorted((ROOT / "docs" / "runbooks").glob("*.md"))
ALERTMANAGER = ROOT / "alertmanager.yml"
PROMETHEUS = ROOT / "prometheus.yml"

_DURATION = re.compile(r"(\d+)([smhd])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_MATCHER = re.compile(r'(\w+)(=~|!~|!=|=)"(.*)"')


@dataclass(frozen=True)
class Rule:
    """One recording or alerting rule; `wait` is the alert's `for` in seconds."""

    file: str
    name: str
    expr: str
    labels: dict[str, str]
    annotations: dict[str, str]
    wait: int
    is_alert: bool

    def __str__(self) -> str:
        return self.name

    def fired(self, **series: str) -> dict[str, str]:
        """Return the labels that Alertmanager sees when the alert fires for a series with these labels."""
        series = {"service": "demo", **series}
        constant = {name: value for name, value in self.labels.items() if "{{" not in value}
        return {"alertname": self.name, **series, **constant}


def seconds(duration: str) -> int:
    """Return a duration such as 2m15s in seconds."""
    return sum(int(number) * _SECONDS[unit] for number, unit in _DURATION.findall(duration))


def load(path: Path) -> Any:
    """Read a YAML file."""
    return yaml.safe_load(path.read_text("utf-8"))


def _rules() -> Iterator[Rule]:
    for path in RULE_FILES:
        for group in load(path)["groups"]:
            for rule in group["rules"]:
                yield Rule(
                    file=path.stem,
                    name=rule.get("alert") or rule["record"],
                    expr=rule["expr"],
                    labels=rule.get("labels", {}),
                    annotations=rule.get("annotations", {}),
                    wait=seconds(rule.get("for", "0s")),
                    is_alert="alert" in rule,
                )


RULES = list(_rules())
ALERTS = [rule for rule in RULES if rule.is_alert]
RECORDINGS = [rule for rule in RULES if not rule.is_alert]
INHIBIT_RULES = load(ALERTMANAGER)["inhibit_rules"]
THRESHOLDS = [rule for rule in RECORDINGS if rule.name.startswith("threshold:")]


def matches(matchers: list[str], labels: dict[str, str]) -> bool:
    """Tell whether labels satisfy matchers as Alertmanager writes them; a missing label is the empty text."""
    for matcher in matchers:
        parts = _MATCHER.fullmatch(matcher)
        assert parts, f'{matcher}: write matchers as label="value", which old and new parsers understand'
        name, operator, value = parts.groups()
        actual = labels.get(name, "")
        equal = re.fullmatch(value, actual) is not None if "~" in operator else actual == value
        if equal == operator.startswith("!"):
            return False
    return True


def inhibits(source: dict[str, str], target: dict[str, str]) -> bool:
    """Tell whether an inhibit rule of alertmanager.yml lets the source keep the target back."""
    return any(
        matches(rule["source_matchers"], source)
        and matches(rule["target_matchers"], target)
        and all(source.get(label, "") == target.get(label, "") for label in rule["equal"])
        for rule in INHIBIT_RULES
    )
