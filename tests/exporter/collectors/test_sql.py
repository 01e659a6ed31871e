"""Figures from SQL: the shipped set on the demo's tables, and files of one's own."""

import asyncio
from pathlib import Path

import pytest
from pydantic import ValidationError

from exporter.catalog import Metric
from exporter.collectors import Keep
from exporter.collectors import sql as collector
from exporter.collectors._reasons import reason
from tests.exporter.collectors.driving import execute, failure, read, read_once, with_keep

BAD = Path(__file__).with_name("bad_sql")


def prepare(shop):
    """For the contract: the demo's tables with a customer."""
    asyncio.run(
        execute(
            shop.dsn,
            "insert into users (email) values ('a@example.com')",
            "insert into subscriptions (user_id, plan, monthly_price_cents)"
            " select id, 'pro', 1900 from users",
            "insert into payments (user_id, amount_cents, status) select id, 1900, 'succeeded' from users",
        )
    )
    yield {"dsn": shop.monitor_dsn}


class Clock:
    """Seconds that only pass when told."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def told(samples) -> dict[tuple[str, ...], float]:
    return {(sample.metric.name, *sample.labels): sample.value for sample in samples}


@pytest.fixture
def own(tmp_path):
    """Writes a file with one gauge, and returns its path."""

    def write(query: str, **more: object) -> Path:
        entry = {"name": "own_things", "help": "Things.", "type": "gauge", "query": query, **more}
        lines = [f"{key}: {value}" for key, value in entry.items()]
        path = tmp_path / "own.yml"
        path.write_text("metrics:\n  - " + "\n    ".join(lines) + "\n")
        return path

    return write


PEOPLE = [
    "insert into users (email, last_seen_at) values"
    " ('a', now() - interval '1 hour'), ('b', now() - interval '3 days'), ('c', now() - interval '90 days')",
    "insert into subscriptions (user_id, plan, status, monthly_price_cents, cancelled_at) values"
    " (1, 'pro', 'active', 1950, null), (2, 'team', 'active', 9900, null),"
    " (3, 'pro', 'cancelled', 1950, now())",
    "insert into payments (user_id, amount_cents, status) values"
    " (1, 1950, 'succeeded'), (2, 9900, 'succeeded'), (3, 1950, 'failed'), (3, 1950, 'refunded')",
]


def test_the_shipped_figures_are_right(shop):
    """Every business metric, on three accounts with known payments."""
    asyncio.run(execute(shop.dsn, *PEOPLE))
    assert told(read_once(collector, collector.Settings(dsn=shop.monitor_dsn))) == {
        ("business_users",): 3,
        ("business_active_users", "1d"): 1,
        ("business_active_users", "7d"): 2,
        ("business_active_users", "30d"): 2,
        ("business_signups_total",): 3,
        ("business_subscriptions", "pro", "active"): 1,
        ("business_subscriptions", "team", "active"): 1,
        ("business_subscriptions", "pro", "cancelled"): 1,
        ("business_subscriptions_cancelled_total",): 1,
        ("business_mrr", "USD"): 118.5,
        ("business_revenue_total", "USD"): 138.0,
        ("business_payments_total", "succeeded"): 3,
        ("business_payments_total", "failed"): 1,
        ("business_payments_total", "refunded"): 1,
    }


def test_a_refund_lowers_no_counter(shop):
    """What came in stays counted when it is paid back: to Prometheus a fall would be a restart."""
    asyncio.run(execute(shop.dsn, *PEOPLE))
    settings = collector.Settings(dsn=shop.monitor_dsn)
    before = told(read_once(collector, settings))
    asyncio.run(execute(shop.dsn, "update payments set status = 'refunded' where id = 2"))
    after = told(read_once(collector, settings))
    assert after["business_payments_total", "refunded"] == 2
    counters = [series for series in before if series[0].endswith("_total")]
    assert [series for series in counters if after[series] < before[series]] == []


def test_an_empty_shop_has_figures(shop):
    """Before the first customer the counts are 0, and the page is no error."""
    figures = told(read_once(collector, collector.Settings(dsn=shop.monitor_dsn)))
    assert figures["business_users",] == 0
    assert figures["business_payments_total", "succeeded"] == 0


def test_the_shipped_metrics_are_declared_once():
    """The inventory gets the same objects each time, with kind and labels from the file."""
    declared = list(collector.declared_metrics())
    assert all(isinstance(metric, Metric) for metric in declared)
    assert [id(metric) for metric in declared] == [id(metric) for metric in collector.declared_metrics()]
    assert {m.name: (m.kind, m.labels) for m in declared}["business_mrr"] == ("gauge", ("currency",))


def test_a_query_runs_again_only_when_it_is_due(shop):
    """Between two runs the last figures are given; afterwards the new ones."""
    settings, clock = collector.Settings(dsn=shop.monitor_dsn, query_interval=30), Clock()

    async def scenario(keep: Keep):
        async def users() -> float:
            return told(await read(collector, settings, keep, clock=clock))["business_users",]

        assert await users() == 0
        await execute(shop.dsn, "insert into users (email) values ('a')")
        clock.now += 29.9
        assert await users() == 0
        clock.now += 0.1
        assert await users() == 1

    with_keep(scenario)


def test_an_entry_can_have_its_own_interval(database, own):
    """`interval` of the entry counts more than `query_interval`."""
    path = own("select extract(epoch from clock_timestamp()) as value", interval=5)
    settings, clock = collector.Settings(dsn=database.monitor_dsn, file=path, query_interval=3600), Clock()

    async def scenario(keep: Keep):
        first = told(await read(collector, settings, keep, clock=clock))
        clock.now += 4
        assert told(await read(collector, settings, keep, clock=clock)) == first
        clock.now += 1
        assert told(await read(collector, settings, keep, clock=clock)) != first

    with_keep(scenario)


def test_a_missing_table_is_told_with_its_metric(database):
    """The message names the metric and what Postgres misses; the reason is `invalid`."""
    error = failure(collector, collector.Settings(dsn=database.monitor_dsn))
    assert str(error) == 'metric business_users: relation "users" does not exist'
    assert reason(error) == "invalid"


FAULTS = {
    "select 'many' as value": "the column 'value' holds no number",
    "select 1 as number": "the query returns no column 'value'",
    "select generate_series(1, 11) as value": "the query returns more than 10 rows",
    "select generate_series(1, 2) as value": "the query returns two rows with the same labels",
    "select 1 as value; select 2": "cannot insert multiple commands into a prepared statement",
    "selec 1": 'syntax error at or near "selec"',
    "select set_config('transaction_read_only', 'off', false) as value": "transaction read-write mode",
    "select $1 as value": "the server expects 1 argument",
}


@pytest.mark.parametrize("query", FAULTS)
def test_a_faulty_query_is_told_with_its_metric(database, own, query: str):
    """Whatever is wrong with a query, the message names its metric, and nothing is published."""
    error = failure(collector, collector.Settings(dsn=database.monitor_dsn, file=own(query), rows=10))
    assert str(error).startswith("metric own_things: ")
    assert FAULTS[query] in str(error)
    assert reason(error) == "invalid"


def test_a_query_cannot_write(database, own):
    """Even the owner's login changes nothing: the transaction is read-only."""
    asyncio.run(execute(database.dsn, "create table a (id int)"))
    path = own("with made as (insert into a values (1) returning id) select count(*) as value from made")
    error = failure(collector, collector.Settings(dsn=database.dsn, file=path))
    assert "read-only transaction" in str(error)


def test_a_slow_query_is_stopped_by_the_server(database, own):
    """The entry's `timeout` ends the query in Postgres itself, and the reason is `timeout`."""
    path = own("select 1 as value from pg_sleep(30)", timeout=0.1)
    error = failure(collector, collector.Settings(dsn=database.monitor_dsn, file=path))
    assert "statement timeout" in str(error)
    assert reason(error) == "timeout"


def test_null_is_no_sample_and_decimals_are_numbers(database, own):
    """A NULL number leaves its row out; a NULL label is empty."""
    path = own(
        "select * from (values (null, 1.5), ('b', null), ('c', 2)) as v (kind, value)", labels="[kind]"
    )
    samples = read_once(collector, collector.Settings(dsn=database.monitor_dsn, file=path))
    assert told(samples) == {("own_things", ""): 1.5, ("own_things", "c"): 2}


MESSAGES = {
    "unknown_key.yml": [
        "5: metrics.0.querry: unknown key; the keys are name, help, type, query, labels, value,",
        "2: metrics.0.query: is missing",
    ],
    "labels_not_a_list.yml": ["7: metrics.0.labels: Input should be a valid list"],
    "counter_without_total.yml": [
        "2: metrics.0: metric 'business_things': counters, and only counters, end in _total"
    ],
    "help_not_a_sentence.yml": ["2: metrics.0: metric 'business_things': help must be a sentence"],
    "name_twice.yml": ["6: a_things stands in the file already, in line 2"],
    "key_twice.yml": ["4: the key 'metrics.0.help' stands here a second time"],
    "open_quote.yml": ["3: is not valid YAML: found unexpected end of stream"],
    "a_list.yml": ["1: must have keys of its own"],
    "wrong_type.yml": ["4: metrics.0.type: Input should be 'gauge' or 'counter'"],
    "interval_not_a_number.yml": ["6: metrics.0.interval: Input should be a valid number"],
    "loop.yml": ["1: contains itself, by an alias"],
    "impossible_date.yml": ["6: is no valid timestamp; text that looks like one needs quotes"],
    "nested_too_deeply.yml": [" is not valid YAML: it is nested too deeply"],
    "empty.yml": ["1: must have keys of its own"],
}


@pytest.mark.parametrize("name", sorted(path.name for path in BAD.iterdir()))
def test_a_bad_file_is_refused_with_file_line_and_key(name: str):
    """A fault in the file is an error of the configuration that says where it stands."""
    with pytest.raises(ValidationError) as caught:
        collector.Settings(dsn="postgresql://db/x", file=BAD / name)
    (problem,) = caught.value.errors()
    lines = problem["msg"].removeprefix("Value error, ").splitlines()
    assert len(lines) == len(MESSAGES[name])
    for line, text in zip(sorted(lines), sorted(MESSAGES[name]), strict=True):
        assert line.startswith(f"{BAD / name}:{text}")


def test_a_missing_file_is_refused():
    """A wrong path is told at the start, not at the first scrape."""
    with pytest.raises(ValidationError, match=r"nowhere\.yml: cannot be read: No such file or directory"):
        collector.Settings(dsn="postgresql://db/x", file="nowhere.yml")
