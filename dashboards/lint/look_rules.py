"""Rules on how numbers look: units, reducers, transformations, thresholds, and grey where there is none."""

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from dashboards.lint.facts import FREE_UNITS, REDUCERS, TRANSFORMATIONS, UNITS
from dashboards.lint.walk import Finding, Json, drawn, settings

NUMBERS = {"stat", "gauge", "bargauge", "timeseries", "heatmap", "histogram", "barchart", "piechart"}
FIGURES = {"stat", "gauge", "bargauge"}
NEUTRAL = {"#808080", "gray", "grey", "text", "transparent", "rgba(0,0,0,0)"}


def unit(board: Json) -> Iterator[Finding]:
    """A unit that Grafana knows: it shows an unknown one behind the number and never complains."""
    for part in drawn(board):
        told = [(path, value) for name, path, value in settings(part) if name == "unit"]
        for path, value in told:
            if value not in UNITS and not FREE_UNITS.fullmatch(str(value)):
                yield part.finding("unit", f"Grafana knows no unit {value!r}", path)
        words = any(
            mapping.get("type") != "special" for mapping in _defaults(part.json).get("mappings") or []
        )
        if part.json.get("type") in NUMBERS and not told and not words:
            yield part.finding("unit", "has no unit", ".fieldConfig.defaults.unit")


def reducer(board: Json) -> Iterator[Finding]:
    """Reducers that Grafana knows, in figures, legends and tables."""
    for part in drawn(board):
        options = part.json.get("options") or {}
        for name in ("reduceOptions", "legend", "footer"):
            box = options.get(name)
            box = box if isinstance(box, dict) else {}
            for key in ("calcs", "reducer"):
                for place, calc in enumerate(box.get(key) or []):
                    if calc not in REDUCERS:
                        path = f".options.{name}.{key}[{place}]"
                        yield part.finding("reducer", f"Grafana knows no reducer {calc!r}", path)


def transformation(board: Json) -> Iterator[Finding]:
    """Transformations that Grafana knows."""
    for part in drawn(board):
        for place, step in enumerate(part.json.get("transformations") or []):
            if step.get("id") not in TRANSFORMATIONS:
                path = f".transformations[{place}].id"
                yield part.finding(
                    "transformation", f"Grafana knows no transformation {step.get('id')!r}", path
                )


def thresholds(board: Json) -> Iterator[Finding]:
    """Steps begin at null and ascend; anything else colours wrongly or not at all."""
    for part in drawn(board):
        for name, path, told in settings(part):
            if name != "thresholds":
                continue
            steps = told.get("steps") if isinstance(told, dict) else None
            if not isinstance(steps, list) or not steps:
                yield part.finding("thresholds", "has no list of steps", f"{path}.steps")
                continue
            values = [step.get("value") for step in steps]
            if values[0] is not None:
                message = f"the first step must have the value null, not {values[0]!r}"
                yield part.finding("thresholds", message, f"{path}.steps[0].value")
            rest = values[1:]
            if not all(isinstance(value, int | float) and not isinstance(value, bool) for value in rest):
                yield part.finding(
                    "thresholds", f"steps after the first need numbers: {rest}", f"{path}.steps"
                )
            elif any(one >= other for one, other in pairwise(rest)):
                yield part.finding("thresholds", f"steps must ascend: {rest}", f"{path}.steps")


def default_thresholds(board: Json) -> Iterator[Finding]:
    """Not Grafana's own green below 80 and red above, which fits no unit but percent."""
    for part in drawn(board):
        for name, path, told in settings(part):
            steps = told.get("steps") if name == "thresholds" and isinstance(told, dict) else None
            if not isinstance(steps, list):
                continue
            pairs = [(step.get("color"), step.get("value")) for step in steps]
            if pairs == [("green", None), ("red", 80)] and _defaults(part.json).get("unit") != "percent":
                yield part.finding("default-thresholds", "are Grafana's own, red from 80 on", path)


def grey(board: Json) -> Iterator[Finding]:
    """A figure without data is grey: it takes the colour of the base, and green would be good news."""
    for part in drawn(board):
        if part.json.get("type") not in FIGURES:
            continue
        told = _defaults(part.json)
        steps = (
            (told.get("thresholds") or {}).get("steps") if isinstance(told.get("thresholds"), dict) else None
        )
        base = steps[0].get("color") if isinstance(steps, list) and steps else "green"
        mapped = any(_catches_nothing(mapping) for mapping in told.get("mappings") or [])
        if base not in NEUTRAL and not mapped:
            message = f"without data it is {base}: map null+nan to grey"
            yield part.finding("grey-no-data", message, ".fieldConfig.defaults.mappings")


RULES = (unit, reducer, transformation, thresholds, default_thresholds, grey)


def _defaults(panel: Json) -> Json:
    return (panel.get("fieldConfig") or {}).get("defaults") or {}


def _catches_nothing(mapping: dict[str, Any]) -> bool:
    options = mapping.get("options") or {}
    if mapping.get("type") != "special" or options.get("match") not in ("null", "null+nan"):
        return False
    return (options.get("result") or {}).get("color") in NEUTRAL
