"""The inventory: everything that is declared, once, found without a list."""

import ast
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from exporter import collectors, inventory
from exporter.catalog import Metric
from exporter.collectors import found


def test_metrics_are_found_where_they_are_declared():
    """Each metric belongs to the module that declares it, not to those that import it."""
    found = inventory.by_module()
    assert "watchkeeper_build_info" in [m.name for m in found["exporter.server"]]
    assert [module for module, metrics in found.items() if "http_requests_total" in [m.name for m in metrics]]


def test_one_name_declared_twice_is_refused(monkeypatch):
    """Two declarations of one name would make two series, of which Prometheus keeps one without a word."""
    extra = ModuleType("exporter.extra")
    extra.AGAIN = Metric("pg_up", "gauge", "Declared again.")
    monkeypatch.setitem(sys.modules, "exporter.extra", extra)
    modules = [*inventory.modules(), extra]
    monkeypatch.setattr(inventory, "modules", lambda: modules)
    with pytest.raises(ValueError, match=r"pg_up is declared in .*postgres and in exporter\.extra"):
        inventory.by_module()


def test_every_help_text_is_short_enough_for_a_panel():
    """A description that nobody reads to its end helps nobody."""
    assert [name for name, metric in inventory.everything().items() if len(metric.help) > 160] == []


def imported(path, package):
    """Every module that a file imports, with the names taken from it, as if those were modules too."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            source = importlib.util.resolve_name("." * node.level + (node.module or ""), package)
            yield from (f"{source}.{alias.name}" for alias in node.names)


def breaches(folder, names):
    """The imports by which a collector of these names, or what they share, reaches into a collector."""
    for path in sorted(folder.rglob("*.py")):
        parts = path.relative_to(folder).with_suffix("").parts
        owner = parts[0]
        package = ".".join([collectors.__name__, *parts[:-1]])
        for module in imported(path, package):
            target = f"{module}.".removeprefix(f"{collectors.__name__}.").partition(".")[0]
            if target in names and target != owner and module.startswith(f"{collectors.__name__}."):
                yield f"{path.relative_to(folder)} imports {module}"


def test_a_collector_never_imports_another():
    """Each can be taken out or replaced alone; what two share is in a file with an underscore."""
    assert list(breaches(Path(collectors.__file__).parent, set(found()))) == []


@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("smtp.py", "import exporter.collectors.redis"),
        ("smtp.py", "from exporter.collectors.redis._info import parse"),
        ("smtp.py", "from exporter.collectors import Keep, redis"),
        ("smtp.py", "from . import redis"),
        ("smtp/__init__.py", "from ..redis._info import parse"),
        ("smtp/deep.py", "def late():\n    from exporter.collectors import redis"),
        ("_shared.py", "from .redis import UP"),
    ],
)
def test_such_an_import_is_found(tmp_path, file, line):
    """However it is written, and in a collector that is new."""
    path = tmp_path / file
    path.parent.mkdir(exist_ok=True)
    path.write_text(line)
    assert len(list(breaches(tmp_path, {"smtp", "redis"}))) == 1
    path.write_text("import redis\nfrom exporter.collectors import Keep, _postgres, smtp\n")
    assert list(breaches(tmp_path, {"redis", "smtp"} if file.startswith("smtp") else {"redis"})) == []
