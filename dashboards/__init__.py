"""Grafana boards as code: each file here with a function `board()` is one."""

import importlib
import json
import pkgutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

GENERATED = Path(__file__).parent / "generated"


class Shown(NamedTuple):
    """A query as a board's JSON has it."""

    panel: str
    ref: str
    expr: str
    legend: str
    instant: bool


def built() -> dict[str, dict[str, Any]]:
    """Return every board's JSON by the name of its file; the folder is the list of boards."""
    modules = (
        importlib.import_module(f"{__name__}.{info.name}")
        for info in pkgutil.iter_modules(__path__)
        if not info.name.startswith("_")
    )
    return {module.__name__.split(".")[-1]: module.board() for module in modules if hasattr(module, "board")}


def written(board: dict[str, Any]) -> str:
    """Return a board as the text of its file: sorted keys, so that a change shows as what it is."""
    return json.dumps(board, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def panels_of(board: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield a board's panels in their order, rows left out, those of closed rows too."""
    for panel in board["panels"]:
        if panel["type"] == "row":
            yield from panel["panels"]
        else:
            yield panel


def queries_of(board: dict[str, Any]) -> list[Shown]:
    """Return every query of every panel of a board's JSON."""
    return [
        Shown(panel["title"], target["refId"], target["expr"], target["legendFormat"], target["instant"])
        for panel in panels_of(board)
        for target in panel.get("targets", [])
    ]
