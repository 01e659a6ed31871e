"""Every part of a board's JSON with its place, so that a finding says where it is."""

from collections.abc import Iterator
from typing import Any, NamedTuple

Json = dict[str, Any]


class Finding(NamedTuple):
    """One fault: the rule that found it, the panel's title, the JSON path, and what is wrong."""

    rule: str
    panel: str
    path: str
    message: str

    def __str__(self) -> str:
        panel = f"panel {self.panel!r}, " if self.panel else ""
        return f"{panel}{self.path}: {self.message} [{self.rule}]"


class Part(NamedTuple):
    """A piece of JSON, the title of the panel that it belongs to, and its path."""

    panel: str
    path: str
    json: Json

    def finding(self, rule: str, message: str, below: str = "") -> Finding:
        return Finding(rule, self.panel, self.path + below, message)


def panels(board: Json) -> Iterator[Part]:
    """Yield all panels and rows, those inside rows too."""
    for place, panel in enumerate(board.get("panels", [])):
        path = f"$.panels[{place}]"
        yield Part(panel.get("title", ""), path, panel)
        for inner, nested in enumerate(panel.get("panels") or []):
            yield Part(nested.get("title", ""), f"{path}.panels[{inner}]", nested)


def drawn(board: Json) -> Iterator[Part]:
    """Yield all panels that show something: no rows."""
    return (part for part in panels(board) if part.json.get("type") != "row")


def targets(board: Json) -> Iterator[Part]:
    """Yield all queries."""
    for part in drawn(board):
        for place, target in enumerate(part.json.get("targets") or []):
            yield Part(part.panel, f"{part.path}.targets[{place}]", target)


def settings(part: Part) -> Iterator[tuple[str, str, Any]]:
    """Yield a panel's field settings as (name, path, value): the defaults and all overrides."""
    config = part.json.get("fieldConfig") or {}
    for name, value in (config.get("defaults") or {}).items():
        yield name, f".fieldConfig.defaults.{name}", value
    for place, override in enumerate(config.get("overrides") or []):
        for inner, told in enumerate(override.get("properties") or []):
            path = f".fieldConfig.overrides[{place}].properties[{inner}].value"
            yield told.get("id", ""), path, told.get("value")


def strings(value: Any, path: str = "$") -> Iterator[tuple[str, str]]:
    """Yield every text in the JSON with its path."""
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from strings(item, f"{path}.{key}")
    elif isinstance(value, list):
        for place, item in enumerate(value):
            yield from strings(item, f"{path}[{place}]")
