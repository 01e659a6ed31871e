"""What alert_rules/*.yml record: the names that boards may draw, and the alerts' thresholds as numbers."""

import re
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import yaml

FOLDER = Path(__file__).parent.parent / "alert_rules"
_CONSTANT = re.compile(r"vector\(([-+0-9.e]+)\)")


class Record(NamedTuple):
    """One recording rule: its expression, and the labels that it adds."""

    expr: str
    labels: dict[str, str]


@cache
def recorded(folder: Path = FOLDER) -> dict[str, list[Record]]:
    """Return every recorded name with its rules: a threshold has one for each alert that reads it."""
    found: dict[str, list[Record]] = {}
    for path in sorted(folder.glob("*.yml")):
        content: dict[str, Any] = yaml.safe_load(path.read_text("utf-8")) or {}
        for group in content.get("groups", []):
            for rule in group["rules"]:
                if "record" in rule:
                    record = Record(str(rule["expr"]).strip(), rule.get("labels", {}))
                    found.setdefault(rule["record"], []).append(record)
    return found


def records(name: str) -> list[Record]:
    """Return the rules that record `name`. Raises ValueError when none does."""
    if name not in recorded():
        raise ValueError(f"no rule in {FOLDER.name}/ records {name!r}")
    return recorded()[name]


def tiers(name: str) -> list[tuple[str, float]]:
    """Return a threshold's (priority, number) pairs, so that colours change where alerts fire.

    Raises ValueError for a name whose values are not constants with a priority.
    """
    pairs = []
    for expr, labels in records(name):
        match = _CONSTANT.fullmatch(expr)
        if not match or "priority" not in labels:
            raise ValueError(f"{name!r} is not a constant with a priority, but {expr!r} with {labels}")
        pairs.append((labels["priority"], float(match[1])))
    return pairs
