"""Every metric that the package declares, found by walking it; nobody keeps a list."""

import importlib
import pkgutil
from collections.abc import Iterator
from types import ModuleType

import exporter
from exporter.catalog import Metric, declared

_HEAD = """\
# Metrics

Made by `watchkeeper metrics --markdown`; do not edit. Counters end in `_total` and are read with `rate()`
or `increase()`. Histograms have the series `_bucket`, `_sum` and `_count`. A name marked with an exporter
is that exporter's own, so its dashboards and rules work here too.
"""


def modules() -> Iterator[ModuleType]:
    """Import and yield every module of the package."""
    yield exporter
    for info in pkgutil.walk_packages(exporter.__path__, "exporter."):
        if not info.name.endswith("__main__"):
            yield importlib.import_module(info.name)


def by_module() -> dict[str, list[Metric]]:
    """Return the declared metrics of each module, by its name.

    A module may also declare metrics that it reads from a file: its `declared_metrics()` yields them.
    Raises ValueError when one name is declared twice.
    """
    found: dict[str, list[Metric]] = {}
    owner: dict[str, tuple[str, Metric]] = {}
    for module in modules():
        metrics = [*declared(module), *getattr(module, "declared_metrics", tuple)()]
        for metric in metrics:
            first, known = owner.setdefault(metric.name, (module.__name__, metric))
            if known is not metric:
                raise ValueError(f"{metric.name} is declared in {first} and in {module.__name__}")
            if first == module.__name__:  # elsewhere it is only imported
                found.setdefault(first, []).append(metric)
    return found


def everything() -> dict[str, Metric]:
    """Return all declared metrics by name."""
    return {metric.name: metric for metrics in by_module().values() for metric in metrics}


def markdown() -> str:
    """Return METRICS.md: one table a module, with type, labels, unit and meaning."""
    parts = [_HEAD]
    for module, metrics in by_module().items():
        title = (importlib.import_module(module).__doc__ or module).strip().splitlines()[0]
        parts.append(f"\n## {title.rstrip('.')}\n\nDeclared in `{module}`.\n\n")
        parts.append("| metric | type | labels | unit | meaning |\n|---|---|---|---|---|\n")
        for metric in metrics:
            labels = " ".join(f"`{label}`" for label in metric.labels)
            origin = f" *({metric.origin})*" if metric.origin else ""
            parts.append(
                f"| `{metric.name}` | {metric.kind} | {labels} | {metric.unit} | {metric.help}{origin} |\n"
            )
    return "".join(parts)
