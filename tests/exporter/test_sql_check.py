"""`watchkeeper sql check`: what it prints of good files, faulty queries and servers that are away."""

import asyncio
from pathlib import Path

import pytest

from exporter import sql_check
from exporter.collectors.sql import SHIPPED
from exporter.config import ConfigError
from tests.exporter.collectors.conftest import database, shop  # noqa: F401 - fixtures of the neighbours
from tests.exporter.collectors.driving import execute
from tests.exporter.collectors.sql_files import gauge, write
from tests.exporter.collectors.test_sql import FIGURES, FILLED

SECRET = "hunter2"


@pytest.fixture
def dsn_file(shop, tmp_path) -> Path:  # noqa: F811
    """The address of the demo's tables, filled, for the monitoring role."""
    asyncio.run(execute(shop.dsn, *FILLED))
    path = tmp_path / "dsn"
    path.write_text(shop.monitor_dsn)
    return path


def rows(text: str) -> dict[str, list[str]]:
    """The cells of each metric."""
    return {line.split()[0]: line.split()[1:] for line in text.splitlines()[1:]}


def test_each_metric_of_a_good_file_has_its_line(dsn_file):
    """Rows, series, the planner's cost and the time of each query, and the exit code 0."""
    code, text = sql_check.main(SHIPPED, dsn_file=dsn_file)
    assert code == 0
    assert text.splitlines()[0].split() == ["METRIC", "ROWS", "SERIES", "COST", "SECONDS", "RESULT"]
    told = rows(text)
    assert set(told) == {name for name, *_ in FIGURES}
    subscriptions = told["business_subscriptions"]
    assert subscriptions[:2] == ["3", "3"]
    assert float(subscriptions[2]) > 0
    assert 0 < float(subscriptions[3]) < 5
    assert subscriptions[4] == "ok"
    assert told["business_active_users"] == ["3", "with", "business_users"]


def test_a_faulty_query_is_told_with_reason_file_and_line(dsn_file, tmp_path):
    """The other queries run all the same, and the exit code is 1."""
    path = write(
        tmp_path / "own.yml",
        gauge("own_good", "select 1 as value"),
        gauge("own_bad", "select count(*) as value from nowhere"),
        gauge("own_slow", "select 1 as value from pg_sleep(9)", timeout=0.1),
        gauge(
            "own_many", "select i as kind, i as value from generate_series(1, 9) i", labels=["kind"], series=8
        ),
    )
    code, text = sql_check.main([path], dsn_file=dsn_file)
    assert code == 1
    lines = text.splitlines()
    assert lines[1].endswith("ok")
    assert lines[2].endswith(f'invalid: {path}:6: relation "nowhere" does not exist, in line 1 of it')
    assert lines[3].endswith(f"timeout: {path}:10: canceling statement due to statement timeout")
    assert f"invalid: {path}:15: 9 series within a day, 8 are allowed" in lines[4]


def test_a_slow_query_is_pointed_out(dsn_file, tmp_path):
    """What takes most of its time today fails tomorrow."""
    path = write(tmp_path / "own.yml", gauge("own_slow", "select 1 as value from pg_sleep(0.6)", timeout=1))
    code, text = sql_check.main([path], dsn_file=dsn_file)
    assert code == 0
    assert "more than half of its 1 s" in text


def test_nothing_is_written(dsn_file, tmp_path, shop):  # noqa: F811
    """A check is a reading, whatever stands in the file."""
    dsn_file.write_text(shop.dsn)
    path = write(tmp_path / "own.yml", gauge("own_next", "select nextval('users_id_seq') as value"))
    code, text = sql_check.main([path], dsn_file=dsn_file)
    assert code == 1
    assert "read-only transaction" in text


def test_a_server_that_is_away_is_told_once_and_without_its_password(postgres, tmp_path):
    """Down, a wrong password and a malformed address: one line each, and no secret in it."""
    dsn = tmp_path / "dsn"
    for address, told in {
        f"postgresql://u:{SECRET}@127.0.0.1:1/x": "Postgres at 127.0.0.1:1: down: ",
        f"postgresql://watchkeeper:{SECRET}@127.0.0.1:{postgres.port}/postgres": ": auth: ",
        f"postgres {SECRET}": f"the text of {dsn} must look like postgresql://",
    }.items():
        dsn.write_text(address)
        code, text = sql_check.main(["flags"], dsn_file=dsn)
        assert code == 1
        assert told in text
        assert SECRET not in text
        assert len(text.splitlines()) == 1
    assert "nowhere: cannot be read" in sql_check.main(["flags"], dsn_file=tmp_path / "nowhere")[1]


def test_address_and_limits_can_come_from_the_settings(dsn_file, tmp_path):
    """With the settings a query runs as it will run there; a file of the command goes over theirs."""
    settings = tmp_path / "watchkeeper.yml"
    write(tmp_path / "own.yml", gauge("own_rows", "select generate_series(1, 3) as value"))
    settings.write_text("collectors:\n  sql: {dsn_file: dsn, file: [flags, own.yml], rows: 2}\n")
    code, text = sql_check.main([], config=settings)
    assert code == 1
    assert "more than 2 rows" in text
    assert "feature_flag_enabled" in text
    assert set(rows(sql_check.main(["accounts"], config=settings)[1])) == {
        "auth_logins_total",
        "auth_sessions_active",
        "auth_mfa_enrolled_ratio",
        "audit_log_entries_total",
    }


def test_a_faulty_file_is_told_as_the_exporter_would(dsn_file, tmp_path):
    """Faults of the file, names that are taken, and a missing address are errors of the configuration."""
    path = tmp_path / "own.yml"
    path.write_text("metrics: 5\n")
    with pytest.raises(ConfigError) as caught:
        sql_check.main([path], dsn_file=dsn_file)
    assert caught.value.problems == (f"{path}:1: metrics: Input should be a valid list",)
    write(path, gauge("pg_up", "select 1 as value"))
    with pytest.raises(ConfigError, match="choose another name: 'pg_up'"):
        sql_check.main([path], dsn_file=dsn_file)
    (tmp_path / "x.yml").write_text("collectors:\n  host:\n")
    with pytest.raises(ConfigError, match="name --dsn-file"):
        sql_check.main([path], config=tmp_path / "x.yml")
