"""The store of an application: live numbers, readers at scrape time, the page."""

import gc
import weakref
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics_families
from prometheus_client.parser import text_string_to_metric_families

from exporter.catalog import Metric
from exporter.instrument._page import Page
from exporter.store import Store, live

ORDERS = Metric("orders_total", "counter", "Orders taken.", ("shop",))
DEPTH = Metric("depth", "gauge", "Depth of the queue.", ("queue",))
WAIT = Metric("wait_seconds", "histogram", "Time waited.", buckets=(0.1, 1))


@pytest.fixture
def registry():
    return CollectorRegistry()


def values(page):
    """Return {(name, labels): value} as prometheus_client's own parser reads the page."""
    families = text_string_to_metric_families(page.decode())
    samples = [s for f in families for s in f.samples if not s.name.startswith("watchkeeper_")]
    return {(s.name, tuple(s.labels.items())): s.value for s in samples}


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
    with pytest.raises(ValueError, match="orders_total has the labels"):
        ORDERS.on(Store.of(registry)).labels("north", "south")


def test_label_values_are_bounded(registry, monkeypatch):
    """Beyond the limit everything is counted as `other`: no label can fill the memory."""
    monkeypatch.setattr(live, "MAX_SERIES", 3)
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
    assert values(store.page()) == {("depth", (("queue", "mail"),)): 0}


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


@pytest.mark.parametrize("first", ["theirs", "ours"])
def test_a_name_that_the_application_has_taken_stays_its_own(registry, caplog, first):
    """An application with a metric of our name starts and keeps it; ours is left off the page."""
    store = Store.of(registry)
    if first == "ours":
        ORDERS.on(store).labels("north").inc(5)
    Counter("orders_total", "The application's.", registry=registry).inc(7)
    ORDERS.on(store).labels("north").inc(5)
    page = store.page()
    assert values(page) == {("orders_total", ()): 7}
    assert page.count(b"# TYPE orders_total ") == 1
    if first == "theirs":
        assert "orders_total" in caplog.text


def test_a_gauge_that_counts_what_was_created_is_no_timestamp(registry):
    """Only the times that prometheus_client adds to counters and histograms are left out."""
    Gauge("orders_created", "Orders created today.", registry=registry).set(3)
    assert values(Store.of(registry).page())["orders_created", ()] == 3


def test_several_readers_of_one_series_are_merged_as_it_tells(registry):
    """Two applications in one process: what they have under way is added, ages are not."""
    oldest = Metric("oldest_age_seconds", "gauge", "Age of the oldest.", merge="max")
    store = Store.of(registry)
    for depth, age in ((1, 10), (2, 30), (3, 20)):
        store.at_scrape(lambda depth=depth, age=age: [DEPTH.sample(depth, queue="a"), oldest.sample(age)])
    page = values(store.page())
    assert page["depth", (("queue", "a"),)] == 6
    assert page["oldest_age_seconds", ()] == 30


def test_a_reader_goes_with_its_object(registry):
    """An application that is thrown away is not kept alive, and not counted, by the store."""

    class Application:
        def read(self):
            yield DEPTH.sample(1, queue="a")

    store, app = Store.of(registry), Application()
    store.at_scrape(app.read)
    assert values(store.page())["depth", (("queue", "a"),)] == 1
    gone = weakref.ref(app)
    del app
    gc.collect()
    assert gone() is None
    store.page()
    assert len(list(store._readers)) == 1  # the store's own


def test_the_newest_of_all_wins_for_gauges_that_say_so(registry):
    """A time of last success is not a sum."""
    last = Metric("last_success_timestamp_seconds", "gauge", "When.", merge="newest")
    store = Store.of(registry)
    assert ("last_success_timestamp_seconds", ()) not in values(store.page())
    last.on(store).set(100)
    last.on(store).set(50)
    assert values(store.page())["last_success_timestamp_seconds", ()] == 50


def test_openmetrics_is_what_its_own_parser_accepts(registry):
    """The other format, for those who ask for it, with everything on the page."""
    store = Store.of(registry)
    ORDERS.on(store).labels('odd "name"\\').inc(2)
    WAIT.on(store).observe(0.5)
    Counter("own_total", "The user's own.", registry=registry).inc(5)
    families = {family.name: family for family in openmetrics_families(store.page(openmetrics=True).decode())}
    (sample,) = families["orders"].samples
    assert (sample.name, sample.labels, sample.value) == ("orders_total", {"shop": 'odd "name"\\'}, 2)
    assert families["wait_seconds"].type == "histogram"
    assert families["own"].samples[0].value == 5


def test_one_kind_of_series_refuses_what_another_can(registry):
    """A counter never falls, a gauge is not observed."""
    store = Store.of(registry)
    with pytest.raises(ValueError, match="only rises"):
        ORDERS.on(store).labels("north").inc(-1)
    for wrong in (
        lambda: ORDERS.on(store).labels("north").set(1),
        lambda: DEPTH.on(store).labels("a").observe(1),
        lambda: WAIT.on(store).inc(),
        lambda: ORDERS.on(store).labels("north").dec(),
    ):
        with pytest.raises(TypeError):
            wrong()


def test_what_is_no_text_cannot_spoil_the_page(registry):
    """Half a surrogate in a label, ours or the application's, is written as a question mark."""
    store = Store.of(registry)
    for _ in range(2):
        ORDERS.on(store).labels("a\udcffb").inc()
    Counter("own_total", "Own.", ["name"], registry=registry).labels("a\udcffb").inc(5)
    for page in (
        store.page(),
        b"".join(Page(store).answer(authorization="", accept="", accept_encoding="").body),
    ):
        assert values(page) == {
            ("orders_total", (("shop", "a?b"),)): 2,
            ("own_total", (("name", "a?b"),)): 5,
        }


def test_a_store_that_goes_leaves_no_file_open():
    """Its folder's lock, its file and its file's lock are given back."""
    gc.collect()
    before = sorted(path.name for path in Path("/proc/self/fd").iterdir())
    store = Store.of(CollectorRegistry())
    ORDERS.on(store).labels("north").inc()
    path = store._place._path
    assert path.exists()
    del store
    gc.collect()
    assert sorted(path.name for path in Path("/proc/self/fd").iterdir()) == before
    assert not path.exists()
