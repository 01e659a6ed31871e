"""What a query may return, and what it may not do."""

import asyncio

import pytest

from exporter.collectors import Keep
from exporter.collectors import sql as collector
from exporter.collectors._reasons import advice, reason
from exporter.collectors.sql._seen import Seen
from tests.exporter.collectors.driving import execute, failure, read, read_once, with_keep
from tests.exporter.collectors.sql_files import gauge, told, write


@pytest.fixture
def own(tmp_path, postgres):
    """Makes the settings for one gauge with this query."""

    def settings(query: str, *, dsn: str = "", **more: object):
        path = write(tmp_path / "own.yml", gauge("own_things", query, **more))
        return collector.Settings(dsn=dsn or postgres.monitor_dsn, file=path, rows=10)

    return settings


FAULTS = {
    "select 'many' as value": "the column 'value' holds text, not a number",
    "select true as value": "the column 'value' holds true or false, not a number",
    "select now() as value": "the column 'value' holds a time, not a number",
    "select interval '1 day' as value": "the column 'value' holds a span of time, not a number",
    "select '12.5'::money as value": "the column 'value' holds money",
    "select array[1] as value": "the column 'value' holds int4[], not a number",
    "select 'NaN'::float as value": "the column 'value' holds nan, which is not finite",
    "select '-Infinity'::float as value": "the column 'value' holds -inf, which is not finite",
    "select 'NaN'::numeric as value": "the column 'value' holds nan, which is not finite",
    "select 1e400::numeric as value": "the column 'value' holds inf",
    "select 1 / 0 as value": "division by zero: write nullif(divisor, 0)",
    "select 1 as number": "the query returns no column 'value'",
    'select 1 as "Value"': "the query returns no column 'value'",
    "select generate_series(1, 1000000000) as value": "more than 10 rows",
    "select generate_series(1, 2) as value": "two rows with the same labels for own_things",
    "select 1 as value; select 2": "it must be one query",
    "select 1 as value) as a; drop table x; --": 'syntax error at or near ")"',
    "with a as (\nselect 1)\nselect b from a": 'column "b" does not exist, in line 3 of it',
    "select length(set_config('transaction_read_only', 'off', false)) as value": "read-write mode",
    "select $1 as value": "a parameter such as $1 stands in the query",
}


@pytest.mark.parametrize("query", FAULTS)
def test_a_faulty_query_is_told_with_its_metric(own, query: str):
    """Whatever is wrong with a query, the message names its metric, file and line, and what is wrong."""
    settings = own(query)
    error = failure(collector, settings)
    assert str(error).startswith(f"metric own_things ({settings.file[0]}, line 2): ")
    assert FAULTS[query] in str(error)
    assert reason(error) == "invalid"
    assert FAULTS[query] in advice(error)


def test_a_column_of_the_wrong_type_is_told_before_there_are_rows(own, database):
    """An empty table hides nothing: what will fail with the first row fails at once."""
    asyncio.run(execute(database.dsn, "create table a (b text)", "grant select on a to public"))
    error = failure(collector, own("select b as value from a", dsn=database.monitor_dsn))
    assert "holds text" in str(error)


def test_what_stands_in_a_row_is_in_no_message(own):
    """A server's text that quotes a value stays away from logs."""
    error = failure(collector, own("select (array['hunter2'])[1]::int as value"))
    assert "SQLSTATE 22P02" in str(error)
    assert "hunter2" not in repr(error) + advice(error)
    assert error.__cause__ is None


def test_null_is_no_sample_and_decimals_are_numbers(own):
    """A NULL number leaves its row out; a NULL label is empty."""
    settings = own(
        "select * from (values (null, 1.5), ('b', null), ('c', 2)) as v (kind, value)", labels=["kind"]
    )
    assert told(read_once(collector, settings)) == {("own_things", ""): 1.5, ("own_things", "c"): 2}


def test_any_type_can_be_a_label(own):
    """Numbers, days, booleans and the like are written as Postgres writes them."""
    settings = own("select 7 as a, date '2026-01-02' as b, true as c, 1 as value; \n", labels=["a", "b", "c"])
    assert list(told(read_once(collector, settings))) == [("own_things", "7", "2026-01-02", "true")]


def test_a_text_is_no_label(own):
    """A label of more than 200 characters is refused, and not fetched whole."""
    assert read_once(collector, own("select repeat('x', 200) as kind, 1 as value", labels=["kind"]))
    error = failure(collector, own("select repeat('x', 10000000) as kind, 1 as value", labels=["kind"]))
    assert "the label 'kind' has more than 200 characters" in str(error)


def test_one_query_fills_several_metrics(postgres, tmp_path):
    """Columns become metrics, and the values of a label; rows become series."""
    path = write(
        tmp_path / "own.yml",
        queries=[
            {
                "name": "things",
                "query": "select * from (values ('x', 1, 2, 3), ('y', 4, null, 6))"
                ' as v (kind, n, good, "bad one")',
                "metrics": [
                    {
                        "name": "own_things",
                        "help": "Things.",
                        "type": "gauge",
                        "labels": ["kind"],
                        "value": "n",
                    },
                    {
                        "name": "own_checks_total",
                        "help": "Checks.",
                        "type": "counter",
                        "labels": ["kind"],
                        "value_label": "result",
                        "values": ["good", "bad one"],
                    },
                ],
            }
        ],
    )
    samples = read_once(collector, collector.Settings(dsn=postgres.monitor_dsn, file=path))
    assert told(samples) == {
        ("own_things", "x"): 1,
        ("own_things", "y"): 4,
        ("own_checks_total", "x", "good"): 2,
        ("own_checks_total", "x", "bad one"): 3,
        ("own_checks_total", "y", "bad one"): 6,
    }


def test_a_counter_is_not_negative(own):
    """Below 0 nothing has been counted."""
    settings = own("select -1 as value")
    assert read_once(collector, settings)
    write(settings.file[0], gauge("own_things_total", "select -1 as value") | {"type": "counter"})
    error = failure(collector, collector.Settings(dsn=settings.dsn, file=settings.file))
    assert "the counter own_things_total is below 0" in str(error)


WRITES = {
    "with b as (insert into a values (1) returning id) select id as value from b": "at the top level",
    "select id as value from a for update": "FOR UPDATE",
    "select nextval('s') as value": "read-only transaction",
    "select write_it() as value": "read-only transaction",
    "select 1 as value into b": "INTO",
}


@pytest.mark.parametrize("query", WRITES)
def test_a_query_cannot_write(own, database, query: str):
    """Even the owner's login changes nothing: the transaction is read-only."""
    table = ["create table a (id int)", "create sequence s", "insert into a values (1)"]
    function = (
        "create function write_it() returns int language sql as $$ insert into a values (2) returning id $$"
    )
    asyncio.run(execute(database.dsn, *table, function))
    error = failure(collector, own(query, dsn=database.dsn))
    assert WRITES[query] in str(error)
    assert reason(error) == "invalid"


def test_what_a_read_only_transaction_lets_through_is_undone(own, database):
    """Before Postgres 16 a large object can be made in one; no run is ever committed."""
    settings = own("select lo_create(0)::bigint as value", dsn=database.dsn)
    try:
        read_once(collector, settings)
    except Exception as error:
        assert "read-only transaction" in str(error)
    path = write(
        settings.file[0], gauge("own_things", "select count(*) as value from pg_largeobject_metadata")
    )
    assert told(read_once(collector, collector.Settings(dsn=database.dsn, file=path))) == {("own_things",): 0}


SETTINGS = {
    "role": "select set_config('role', 'pg_read_all_data', false)",
    "transaction_read_only": "select set_config('default_transaction_read_only', 'off', false)",
    "statement_timeout": "select set_config('statement_timeout', '0', false)",
    "search_path": "select set_config('search_path', 'elsewhere', false)",
}


@pytest.mark.parametrize("setting", SETTINGS)
def test_what_a_query_sets_is_gone_after_it(database, tmp_path, setting: str):
    """A role or a limit that a query gives itself does not reach the next one, on the same connection."""
    path = tmp_path / "own.yml"
    read_it = f"select current_setting('{setting}') as is, pg_backend_pid() as value"
    before = gauge("own_before", read_it, labels=["is"])
    changes = gauge("own_change", f"select length(x) as value from ({SETTINGS[setting]} as x) as y")
    after = gauge("own_after", read_it, labels=["is"])
    write(path, before, changes, after)
    figures = told(read_once(collector, collector.Settings(dsn=database.dsn, file=path)))
    assert len(figures) == 3
    series = {
        name: (value, pid) for (name, value), pid in ((k, v) for k, v in figures.items() if len(k) == 2)
    }
    assert series["own_before"] == series["own_after"]


def test_a_slow_query_is_stopped_by_the_server(own):
    """The entry's `timeout` ends the query in Postgres itself, and the reason is `timeout`."""
    error = failure(collector, own("select 1 as value from pg_sleep(30)", timeout=0.1))
    assert "statement timeout" in str(error)
    assert reason(error) == "timeout"


def test_a_query_cannot_lift_its_own_limit(own):
    """Setting the time-out inside of the statement comes too late for it."""
    query = "select length(set_config('statement_timeout', '0', true)) as value from pg_sleep(30)"
    assert reason(failure(collector, own(query, timeout=0.1))) == "timeout"


def test_a_new_label_each_time_comes_to_an_end(own):
    """Runs that are small add up: beyond `series` in a day the query fails, and says why."""
    query = "select clock_timestamp() as moment, 1 as value"
    settings = own(query, labels=["moment"], series=3)

    async def scenario(keep: Keep):
        for _ in range(3):
            assert len(await read(collector, settings, keep)) == 1
        with pytest.raises(Exception, match="4 series within a day, 3 are allowed") as caught:
            await read(collector, settings, keep)
        assert reason(caught.value) == "invalid"

    with_keep(scenario)


def test_series_are_forgotten_after_a_day():
    """What has not been given for a day makes room; what is given again stays."""
    now = [0.0]
    seen = Seen(lambda: now[0])
    settings = collector.Settings(dsn="postgresql://db/x")
    query = settings.queries[0]
    sample = query.metrics[0][1].sample

    def check(*values: float) -> None:
        seen.check([sample(1)._replace(labels=(str(value),)) for value in values], query, 2)

    check(1, 2)
    now[0] = 50_000
    check(1)
    with pytest.raises(Exception, match="3 series"):
        check(3)
    now[0] = 86_500
    check(3)
    with pytest.raises(Exception, match="3 series"):
        check(2)
