"""Files of SQL metrics that the tests write, and what comes out of them."""

from pathlib import Path
from typing import Any

import yaml

from exporter.catalog import Sample


def told(samples: list[Sample]) -> dict[tuple[str, ...], float]:
    """The values by name and labels."""
    return {(sample.metric.name, *sample.labels): sample.value for sample in samples}


def gauge(name: str, query: str, **more: Any) -> dict[str, Any]:
    """An entry with a query of its own."""
    return {"name": name, "help": "Things.", "type": "gauge", "query": query, **more}


def write(path: Path, *metrics: dict[str, Any], queries: list[dict[str, Any]] | None = None) -> Path:
    """Write entries to a file, and return its path."""
    content: dict[str, Any] = {"metrics": list(metrics)} if metrics else {}
    path.write_text(yaml.safe_dump(content | ({"queries": queries} if queries else {}), sort_keys=False))
    return path
