"""The inventory: everything that is declared, once, found without a list."""

import sys
from types import ModuleType

import pytest

from exporter import inventory
from exporter.catalog import Metric


def test_metrics_are_found_where_they_are_declared():
    """Each metric belongs to the module that declares it, not to those that import it."""
    found = inventory.by_module()
    assert "http_requests_total" in [m.name for m in found["exporter.instrument.asgi"]]
    assert "watchkeeper_build_info" in [m.name for m in found["exporter.server"]]


def test_one_name_declared_twice_is_refused(monkeypatch):
    """Two declarations of one name would make a page that Prometheus throws away."""
    extra = ModuleType("exporter.extra")
    extra.AGAIN = Metric("http_requests_total", "counter", "Declared again.")
    monkeypatch.setitem(sys.modules, "exporter.extra", extra)
    modules = [*inventory.modules(), extra]
    monkeypatch.setattr(inventory, "modules", lambda: modules)
    with pytest.raises(ValueError, match=r"http_requests_total is declared in .*asgi and in exporter\.extra"):
        inventory.by_module()


def test_every_help_text_is_short_enough_for_a_panel():
    """A description that nobody reads to its end helps nobody."""
    assert [name for name, metric in inventory.everything().items() if len(metric.help) > 160] == []
