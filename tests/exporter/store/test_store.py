"""The store of an application: live numbers, readers at scrape time, the page."""

import gc
import weakref

import pytest
from prometheus_client import CollectorRegistry, Counter, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from exporter import store as store_module
from exporter.catalog import Metric
from exporter.store import Store

ORDERS = Metric("orders_total", "counter", "Orders taken.", ("shop",))
DEPTH = Metric("depth", "gauge", "Depth of the queue.", ("queue",))
WAIT = Metric("wait_seconds", "histogram", "Time waited.", buckets=(0.1, 1))


@pytest.fixture
def registry():
    return CollectorRegistry()


def values(page):
    """Return {(name, labels): value} as prometheus_client's own parser reads the page."""
    families = text_string_to_metric_families(page.decode())
    return {(s.name, tuple(s.labels.items())): s.value for f in families for s in f.samples}


def test_what_is_recorded_stands_on_the_page(registry):
    """Counters, gauges and histograms come out as the field's parser expects them."""
    store = Store.of(registry)
    ORDERS.on(store).labels("north").inc(2)
    DEPTH.on(store).labels("mail").set(7)
    WAIT.on(store).observe(0.5)
    page = values(store.page())
    assert page["orders_total", (("shop", "north"),)] == 2
    assert page["depth", (("queue", "mail"),)] == 7
    assert page["wait_seconds_bucket", (("le", "0.1"),)] == 0
    assert page["wait_seconds_bucket", (("le", "1.0"),)] == 1
    assert page["wait_seconds_sum", ()] == 0.5


def test_the_fields_own_tools_see_the_store(registry):
    """generate_latest, push gateways and a user's tests work with the registry as before."""
    store = Store.of(registry)
    ORDERS.on(store).labels("north").inc()
    store.at_scrape(lambda: [DEPTH.sample(3, queue="mail")])
    assert registry.get_sample_value("orders_total", {"shop": "north"}) == 1
    assert b'depth{queue="mail"} 3.0' in generate_latest(registry)


def test_the_page_has_what_the_application_records_by_itself(registry):
    """A metric made with prometheus_client stands on the same page."""
    Counter("own_total", "The user's own.", registry=registry).inc(5)
    assert values(Store.of(registry).page())["own_total", ()] == 5


def test_one_name_cannot_mean_two_things(registry):
    """A second declaration with other words is refused instead of being counted into the first."""
    store = Store.of(registry)
    ORDERS.on(store)
    with pytest.raises(ValueError, match="orders_total"):
        Metric("orders_total", "counter", "Something else.", ("shop",)).on(store)


def test_the_wrong_number_of_label_values_is_refused(registry):
    """A forgotten label is an error, not a series with the wrong meaning."""
    with pytest.raises(ValueError, match="expected 1"):
        ORDERS.on(Store.of(registry)).labels("north", "south")


def test_label_values_are_bounded(registry, monkeypatch):
    """Beyond the limit everything is counted as `other`: no label can fill the memory."""
    monkeypatch.setattr(store_module, "MAX_SERIES", 3)
    store = Store.of(registry)
    for number in range(10):
        ORDERS.on(store).labels(f"shop{number}").inc()
    page = values(store.page())
    assert len(page) == 4
    assert page["orders_total", (("shop", "other"),)] == 7


def test_a_reader_that_fails_loses_only_its_own_part(registry):
    """A pool that is closing does not take the page down."""
    store = Store.of(registry)

    def broken():
        yield DEPTH.sample(1, queue="never")
        raise RuntimeError("closing")

    store.at_scrape(broken)
    stop = store.at_scrape(lambda: [DEPTH.sample(2, queue="mail")])
    assert values(store.page()) == {("depth", (("queue", "mail"),)): 2}
    stop()
    assert values(store.page()) == {}


def test_readers_of_one_metric_share_its_family(registry):
    """Two watched pools give one family, as the text format demands."""
    store = Store.of(registry)
    store.at_scrape(lambda: [DEPTH.sample(1, queue="a")])
    store.at_scrape(lambda: [DEPTH.sample(2, queue="b")])
    assert store.page().count(b"# TYPE depth gauge") == 1


def test_a_store_goes_with_its_registry():
    """Tests that make a registry each do not pile up stores."""
    store = weakref.ref(Store.of(CollectorRegistry()))
    gc.collect()
    assert store() is None
