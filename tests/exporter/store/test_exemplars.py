"""Exemplars: the trace in which a number can be looked into, from every worker, and never a wrong one."""

import pytest
from prometheus_client import CollectorRegistry, Histogram
from prometheus_client.openmetrics.exposition import generate_latest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from exporter.catalog import Metric
from exporter.store import Store, exemplars, live
from tests.exporter.store.simulated import Worker

WAIT = Metric("wait_seconds", "histogram", "Time waited.", ("queue",), buckets=(0.1, 1))
ORDERS = Metric("orders_total", "counter", "Orders.", ("shop",))
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
OTHER = "0af7651916cd43dd8448eb211c80319c"


@pytest.fixture
def store():
    return Store.of(CollectorRegistry())


def noted(page):
    """Return {(sample, labels): (trace id, value)} as the field's own parser reads an OpenMetrics page."""
    families = text_string_to_metric_families(page)
    found = [sample for family in families for sample in family.samples if sample.exemplar]
    return {
        (s.name, *sorted(s.labels.values(), key=s.labels.get("le").__eq__)): (
            s.exemplar.labels["trace_id"],
            s.exemplar.value,
        )
        for s in found
        if float(s.exemplar.timestamp) > 1e9
    }


def test_exemplars_stand_on_the_openmetrics_page(store):
    """On the bucket that counted the value, and on counters; what had no trace has none."""
    WAIT.on(store).labels('odd "#"\\').observe(0.5, TRACE)
    WAIT.on(store).labels('odd "#"\\').observe(0.05)
    WAIT.on(store).labels("b").observe(0.5)
    for _ in range(5):
        ORDERS.on(store).labels("north").inc()
    ORDERS.on(store).labels("south").inc(2.5, trace_id=OTHER)
    expected = {
        ("wait_seconds_bucket", 'odd "#"\\', "1.0"): (TRACE, 0.5),
        ("orders_total", "south"): (OTHER, 2.5),
    }
    page = store.page(openmetrics=True).decode()
    assert noted(page) == expected
    assert all(len(line.partition(" # ")[2].partition(" ")[0]) <= 128 for line in page.splitlines())


def test_the_other_format_has_none(store):
    """Text 0.0.4 has no place for them, and stays as it was."""
    WAIT.on(store).labels("a").observe(0.5)
    before = store.page()
    WAIT.on(store).labels("b").observe(0.5, TRACE)
    assert b"trace_id" not in store.page()
    assert set(before.splitlines()) <= set(store.page().splitlines())


def test_prometheus_clients_own_renderer_has_them(store):
    """The registry gives them as its Exemplar objects."""
    WAIT.on(store).labels("a").observe(7, TRACE)
    ORDERS.on(store).labels("north").inc(trace_id=OTHER)
    assert noted(generate_latest(store._registry).decode()) == {
        ("wait_seconds_bucket", "a", "+Inf"): (TRACE, 7),
        ("orders_total", "north"): (OTHER, 1),
    }


def test_what_the_application_notes_by_itself_is_passed_on():
    """An exemplar of a histogram made with prometheus_client stands on our page too."""
    registry = CollectorRegistry()
    Histogram("own_seconds", "Own.", registry=registry, buckets=(1,)).observe(0.5, {"trace_id": TRACE})
    assert noted(Store.of(registry).page(openmetrics=True).decode()) == {
        ("own_seconds_bucket", "1.0"): (TRACE, 0.5)
    }


def test_short_ids_are_filled_up_and_nonsense_is_refused(store):
    """64 bits are a trace id too; the observation counts in any case."""
    series = WAIT.on(store).labels("a")
    series.observe(0.5, "c0ffee")
    assert noted(store.page(openmetrics=True).decode()) == {
        ("wait_seconds_bucket", "a", "1.0"): ("c0ffee".zfill(32), 0.5)
    }
    for wrong in ("nonsense", "a b", "ab" * 17):
        with pytest.raises(ValueError, match="32 hexadecimal digits"):
            series.observe(0.5, wrong)
    assert store._registry.get_sample_value("wait_seconds_count", {"queue": "a"}) == 4


def newest(worker):
    """Return {bucket: (trace id, value)} of the only series."""
    (found,) = worker.numbers().exemplars().values()
    return {bucket: (exemplar.trace.hex(), exemplar.value) for bucket, exemplar in found.items()}


def test_the_newest_of_all_workers_is_kept(tmp_path, monkeypatch):
    """Each worker's page has it; it outlives its worker, and the fold of its file."""
    monkeypatch.setattr(live.time, "time", iter(range(1, 99)).__next__)
    here, there = Worker(tmp_path), Worker(tmp_path)
    here.on(WAIT).labels("a").observe(0.5, TRACE)
    there.on(WAIT).labels("a").observe(0.7, OTHER)
    there.on(WAIT).labels("a").observe(0.05, OTHER)
    assert newest(here) == newest(there) == {1: (OTHER, 0.7), 0: (OTHER, 0.05)}
    here.on(WAIT).labels("a").observe(0.05, TRACE)
    there.die()
    for _ in range(2):
        assert newest(here) == {1: (OTHER, 0.7), 0: (TRACE, 0.05)}
    here.die()
    third = Worker(tmp_path)
    third.on(WAIT)
    assert newest(third) == {1: (OTHER, 0.7), 0: (TRACE, 0.05)}
    third.die()


def test_half_an_exemplar_is_none():
    """A reader, or a kill, may come after any byte of a write over an older one."""
    old = exemplars.packed(1.0, 0.5, bytes.fromhex(TRACE))
    new = exemplars.packed(2.0, 0.7, bytes.fromhex(OTHER))
    assert exemplars.unpacked(bytes(len(old))) is None
    for at in range(len(old) + 1):
        for torn in (new[:at] + old[at:], old[:at] + new[at:]):
            found = exemplars.unpacked(torn)
            assert found is None or torn in (old, new)


def test_a_worker_killed_while_it_writes_one_loses_this_one_only(tmp_path):
    """Its counts stay, and the page stands; the next exemplar takes the place."""
    here, there = Worker(tmp_path), Worker(tmp_path)
    series = there.on(WAIT).labels("a")
    series.observe(0.5, TRACE)
    (place,) = there.on(WAIT)._exemplars.values()
    place[:20] = bytes(20)
    for _ in range(2):
        assert here.numbers().exemplars() == {}
        assert here.page()["wait_seconds", ("a",)] == [0, 1, 0, 0.5]
        there.die()
    here.on(WAIT).labels("a").observe(0.6, OTHER)
    assert newest(here) == {1: (OTHER, 0.6)}
    here.die()
