"""The text format: whole pages compared, and read back by the field's own parser."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from exporter.catalog import Metric
from exporter.store.text import families, number, page

SCANS = Metric("pg_stat_user_tables_seq_scan", "counter", "Scans.", ("relname",), origin="postgres_exporter")
UP = Metric("pg_up", "gauge", "Whether it answers.", origin="postgres_exporter")


def test_samples_become_a_page():
    """Families stand in one piece, in the order of their first sample."""
    samples = [
        SCANS.sample(1, relname="users"),
        UP.sample(1),
        SCANS.sample(2.5, relname='odd "name"\\\n'),
    ]
    assert page(families(samples)).decode() == (
        "# HELP pg_stat_user_tables_seq_scan Scans.\n"
        "# TYPE pg_stat_user_tables_seq_scan counter\n"
        'pg_stat_user_tables_seq_scan{relname="users"} 1.0\n'
        'pg_stat_user_tables_seq_scan{relname="odd \\"name\\"\\\\\\n"} 2.5\n'
        "# HELP pg_up Whether it answers.\n"
        "# TYPE pg_up gauge\n"
        "pg_up 1.0\n"
    )


def test_the_page_says_what_prometheus_client_says():
    """Read back by its parser, our page of a registry equals the stock one but for the _created series."""
    registry = CollectorRegistry()
    Counter("a", "A.", ["x"], registry=registry).labels('q"\\').inc(3)
    Gauge("b_bytes", "B.", registry=registry).set(float("inf"))
    Histogram("c_seconds", "C.", registry=registry).observe(0.3)
    Info("d", "D.", registry=registry).info({"version": "1"})

    def read(text):
        found = {}
        for family in text_string_to_metric_families(text.decode()):
            if not family.name.endswith("_created"):
                found[family.name] = (family.type, family.documentation, sorted(map(str, family.samples)))
        return found

    ours, stock = page(registry.collect()), generate_latest(registry)
    assert read(ours) == read(stock)
    assert b"_created" not in ours


def test_numbers_are_written_as_prometheus_reads_them():
    """Infinities and NaN have their own spelling; floats keep every digit."""
    assert [number(x) for x in (1, 0.1, 1e300, float("inf"), float("-inf"), float("nan"))] == [
        "1.0", "0.1", "1e+300", "+Inf", "-Inf", "NaN",
    ]  # fmt: skip
