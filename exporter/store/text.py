"""The page that Prometheus reads: samples to families, families to text format 0.0.4."""

import math
from collections.abc import Iterable, Iterator

from prometheus_client import metrics_core

from exporter.catalog import Metric, Sample

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_TYPES = {"unknown": "untyped", "info": "gauge", "stateset": "gauge", "gaugehistogram": "histogram"}


def families(samples: Iterable[Sample]) -> Iterator[metrics_core.Metric]:
    """Group samples by metric, in order of first appearance: a family must stand in one piece."""
    grouped: dict[Metric, list[Sample]] = {}
    for sample in samples:
        grouped.setdefault(sample.metric, []).append(sample)
    for metric, readings in grouped.items():
        yield metric.family(readings)


def page(collected: Iterable[metrics_core.Metric]) -> bytes:
    """Return families as text. `_created` series are left out: Prometheus has no use for them."""
    lines: list[str] = []
    for family in collected:
        samples = [s for s in family.samples if not s.name.endswith("_created")]
        if not samples:
            continue
        # prometheus_client calls a counter by its stem; a borrowed name may have no _total at all.
        name = samples[0].name if family.type == "counter" else family.name
        if family.type == "info":
            name += "_info"
        lines.append(f"# HELP {name} {_escape_help(family.documentation)}\n")
        lines.append(f"# TYPE {name} {_TYPES.get(family.type, family.type)}\n")
        for sample in samples:
            labels = ",".join(f'{k}="{_escape(v)}"' for k, v in sample.labels.items())
            lines.append(
                f"{sample.name}{{{labels}}} {number(sample.value)}\n"
                if labels
                else f"{sample.name} {number(sample.value)}\n"
            )
    return "".join(lines).encode()


def number(value: float) -> str:
    """Write a float as Prometheus reads it."""
    value = float(value)
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return "NaN" if math.isnan(value) else repr(value)


def _escape(value: str) -> str:
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


def _escape_help(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n")
