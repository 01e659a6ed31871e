"""The declaration of a metric: what is accepted, what is refused, and its three exits."""

import pytest
from prometheus_client import CollectorRegistry

from exporter.catalog import Metric, declared
from exporter.store import Store
from exporter.store.readings import blocks, grouped, page
from exporter.store.text import rendered

HELP = "A sentence."


@pytest.mark.parametrize(
    ("metric", "complaint"),
    [
        ({"name": "bad-name", "kind": "gauge", "help": HELP}, "letters, digits"),
        ({"name": "a:b", "kind": "gauge", "help": HELP}, "letters, digits"),
        ({"name": "things", "kind": "set", "help": HELP}, "unknown kind"),
        ({"name": "things", "kind": "untyped", "help": HELP}, "counter or a gauge"),
        ({"name": "things", "kind": "counter", "help": HELP}, "_total"),
        ({"name": "things_total", "kind": "gauge", "help": HELP}, "_total"),
        ({"name": "Things", "kind": "gauge", "help": HELP}, "lower case"),
        ({"name": "wait_ms", "kind": "gauge", "help": HELP}, "base units"),
        ({"name": "used_percent", "kind": "gauge", "help": HELP}, "base units"),
        ({"name": "wait_minutes_total", "kind": "counter", "help": HELP}, "base units"),
        ({"name": "wait_seconds", "kind": "histogram", "help": HELP}, "buckets"),
        ({"name": "things", "kind": "gauge", "help": HELP, "buckets": (1,)}, "buckets"),
        ({"name": "wait_seconds", "kind": "histogram", "help": HELP, "buckets": (2, 1)}, "ascend"),
        ({"name": "wait_count", "kind": "histogram", "help": HELP, "buckets": (1,)}, "must not end"),
        ({"name": "things", "kind": "gauge", "help": "no sentence"}, "sentence"),
        ({"name": "things", "kind": "gauge", "help": HELP, "labels": ("le",)}, "reserved"),
        ({"name": "things", "kind": "gauge", "help": HELP, "labels": ("__x",)}, "reserved"),
        ({"name": "things", "kind": "gauge", "help": HELP, "labels": ("a", "a")}, "twice"),
    ],
)
def test_a_declaration_that_breaks_the_fields_naming_is_refused(metric, complaint):
    """Each rule says which metric breaks it and how."""
    with pytest.raises(ValueError, match=complaint) as error:
        Metric(**metric)
    assert repr(metric["name"]) in str(error.value)


def test_a_borrowed_name_is_kept_to_the_letter():
    """What a standard exporter publishes keeps its name, even a counter without _total."""
    metric = Metric(
        "pg_stat_database_xact_commit", "counter", HELP, ("datid", "datname"), origin="postgres_exporter"
    )
    (sample,) = metric.family([metric.sample(1, datid="1", datname="app")]).samples
    assert (sample.name, sample.labels) == ("pg_stat_database_xact_commit", {"datid": "1", "datname": "app"})


def test_a_type_that_a_standard_exporter_leaves_open_stays_open():
    """It is `untyped` in the text format and `unknown` in OpenMetrics, and nobody can record into it."""
    metric = Metric("node_vmstat_pgfault", "untyped", HELP, origin="node_exporter")
    family = metric.family([metric.sample(3)])
    assert "# TYPE node_vmstat_pgfault untyped\nnode_vmstat_pgfault 3.0\n" in rendered([family])
    assert "# TYPE node_vmstat_pgfault unknown\n" in rendered([family], openmetrics=True)
    assert "# TYPE node_vmstat_pgfault untyped\n" in page([blocks(grouped([metric.sample(3)]))])
    with pytest.raises(ValueError, match="untyped"):
        metric.on(Store(CollectorRegistry()))


@pytest.mark.parametrize(
    ("name", "unit"),
    [
        ("process_start_timestamp_seconds", "timestamp_seconds"),
        ("wait_seconds", "seconds"),
        ("sent_bytes_total", "bytes"),
        ("hit_ratio", "ratio"),
        ("ai_cost_usd_total", "usd"),
        ("things_total", ""),
    ],
)
def test_the_unit_is_read_from_the_name(name, unit):
    """Dashboards take the unit of a panel from the metric, so nobody types it again."""
    kind = "counter" if name.endswith("_total") else "gauge"
    assert Metric(name, kind, HELP).unit == unit


@pytest.mark.parametrize("labels", [{}, {"a": "1"}, {"a": "1", "b": "2", "c": "3"}, {"a": "1", "x": "2"}])
def test_a_sample_needs_exactly_the_declared_labels(labels):
    """A missing, wrong or extra label is an error on the spot and names the metric."""
    with pytest.raises(ValueError, match="things"):
        Metric("things", "gauge", HELP, ("a", "b")).sample(1, **labels)


def test_a_sample_keeps_the_declared_order_of_labels():
    """Label values stand in the order of the declaration, however they were given."""
    assert Metric("things", "gauge", HELP, ("a", "b")).sample(1, b="2", a="1").labels == ("1", "2")


def test_a_histogram_cannot_be_read_as_one_number():
    """A histogram is recorded live; one number for it would be wrong whatever it was."""
    with pytest.raises(ValueError, match="histogram"):
        Metric("wait_seconds", "histogram", HELP, buckets=(1,)).sample(1)


def test_the_live_form_is_the_same_object_for_the_same_store():
    """Two applications or a rebuilt middleware stack never meet "Duplicated timeseries"."""
    metric = Metric("things_total", "counter", HELP)
    store = Store.of(CollectorRegistry())
    assert metric.on(store) is metric.on(store)
    assert metric.on(store) is not metric.on(Store.of(CollectorRegistry()))


def test_only_constants_are_declarations():
    """A metric that a function makes for itself does not enter the catalogue."""

    class Module:
        THINGS = Metric("things", "gauge", HELP)
        helper = Metric("other_things", "gauge", HELP)

    assert [metric.name for metric in declared(Module)] == ["things"]
