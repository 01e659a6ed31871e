"""PgBouncer: its console read as a user of stats_users, and its bad days."""

import asyncio
import logging
import subprocess
import sys
import threading
import time

import psycopg
import pytest
from pydantic import ValidationError

from exporter.collectors import Keep
from exporter.collectors import pgbouncer as collector
from exporter.collectors._reasons import advice, reached, reason
from exporter.collectors.pgbouncer import _tables
from exporter.collectors.pgbouncer._tables import MOST_ROWS, OTHER
from tests.exporter.collectors.driving import (
    connections_at,
    failure,
    read,
    read_once,
    value,
    values,
    with_keep,
)
from tests.waiting import wait_for

SECRET = "hunter2"


def settings_for(pgbouncer, user: str = "stats", **more):
    return collector.Settings(dsn=pgbouncer.dsn_of(user), **more)


def prepare(pgbouncer):
    """For the contract: a pool that was used."""
    query(pgbouncer)
    yield {"dsn": pgbouncer.dsn_of("stats")}


def query(pgbouncer) -> None:
    with psycopg.connect(pgbouncer.app_dsn, autocommit=True) as client:
        client.execute("select 1")


def refused(pgbouncer) -> None:
    with pytest.raises(psycopg.Error):
        query(pgbouncer)


def test_pools_traffic_and_limits_are_read(pgbouncer):
    """What passed through, who waits, what is configured: with the rights of stats_users alone."""
    query(pgbouncer)
    samples = read_once(collector, settings_for(pgbouncer))
    assert value(samples, _tables.QUERIES, database="app") == 1
    assert 0 < value(samples, _tables.QUERY_SECONDS, database="app") < 10
    assert value(samples, _tables.SERVERS_IDLE, database="app", user="postgres") == 1
    assert value(samples, _tables.POOL_SIZE, name="app", database="postgres") == 1
    assert value(samples, _tables.RESERVE_POOL, name="app") == 0
    assert values(samples, _tables.POOL_SIZE, name="other", pool_mode="transaction") == [20]
    assert value(samples, _tables.CONFIG_MAX_CLIENTS) == 100
    assert value(samples, _tables.USED_CLIENTS) >= 1


def test_a_waiting_client_is_seen_with_its_time(pgbouncer):
    """A pool of one connection that is taken makes the next client wait, and the wait grows."""
    settings = settings_for(pgbouncer)
    with psycopg.connect(pgbouncer.app_dsn, autocommit=True) as client:
        client.execute("select 1")
        waiting = threading.Thread(target=query, args=[pgbouncer])
        waiting.start()

        def waits():
            samples = read_once(collector, settings)
            return values(samples, _tables.CLIENTS_WAITING, database="app") == [1] and samples

        assert 0 < value(wait_for(waits), _tables.MAX_WAIT, database="app") < 60
    waiting.join()


def test_a_paused_database_is_seen(pgbouncer):
    """PAUSE is no outage of PgBouncer: everything is read, and the database is marked."""
    pgbouncer.order("PAUSE other")
    samples = read_once(collector, settings_for(pgbouncer))
    assert value(samples, _tables.PAUSED, name="other") == 1
    assert value(samples, _tables.PAUSED, name="app") == 0


def test_its_postgres_may_be_gone(start_pgbouncer, own_postgres):
    """Without the server behind it PgBouncer is still read; the client that waits for it is seen."""
    pgbouncer = start_pgbouncer(own_postgres)
    own_postgres.stop()
    waiting = threading.Thread(target=refused, args=[pgbouncer])
    waiting.start()

    def waits():
        samples = read_once(collector, settings_for(pgbouncer))
        return values(samples, _tables.CLIENTS_WAITING, database="app") == [1]

    assert wait_for(waits)
    pgbouncer.stop()
    waiting.join()


def test_one_connection_serves_many_runs_and_survives_a_restart(pgbouncer):
    """Runs share a connection; one that a restart has closed costs no run."""
    settings = settings_for(pgbouncer)

    async def scenario(keep: Keep):
        for _ in range(3):
            samples = await read(collector, settings, keep)
        assert value(samples, _tables.USED_CLIENTS) == 1
        await asyncio.to_thread(pgbouncer.restart)
        return value(await read(collector, settings, keep), _tables.USED_CLIENTS)

    assert with_keep(scenario) == 1


@pytest.mark.parametrize("held", [True, False], ids=["with a connection", "without one"])
def test_a_frozen_server_holds_nobody_and_gets_one_connection(pgbouncer, held: bool):
    """Each run ends in time, all runs share the one connection, and it serves after the thaw."""
    settings = settings_for(pgbouncer)

    async def scenario(keep: Keep):
        if held:
            await read(collector, settings, keep)
        pgbouncer.freeze()
        begun = time.monotonic()
        for _ in range(4):
            with pytest.raises(TimeoutError) as caught:
                async with asyncio.timeout(0.2):
                    await read(collector, settings, keep)
            assert reason(caught.value) == "timeout"
            await keep.drop()
            assert connections_at(pgbouncer.port) == 1
        assert time.monotonic() - begun < 4 * 0.2 + 1
        pgbouncer.thaw()
        return value(await read(collector, settings, keep), _tables.USED_CLIENTS)

    assert with_keep(scenario) == 1


def test_a_stop_does_not_wait_for_a_frozen_server(pgbouncer):
    """Nor does it open a second connection to cancel what the first one waits for."""
    settings = settings_for(pgbouncer)
    begun = 0.0

    async def scenario(keep: Keep):
        nonlocal begun
        await read(collector, settings, keep)
        pgbouncer.freeze()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await read(collector, settings, keep)
        begun = time.monotonic()

    with_keep(scenario)
    assert time.monotonic() - begun < 1
    assert connections_at(pgbouncer.port) == 1


def test_a_server_that_is_down_is_called_down(pgbouncer):
    """A refused connection is an error at once, not after retries."""
    pgbouncer.stop()
    begun = time.monotonic()
    error = failure(collector, settings_for(pgbouncer))
    assert reason(error) == "down"
    assert not reached(error)
    assert time.monotonic() - begun < 1


@pytest.mark.parametrize("user", ["stats", "stranger"])
def test_a_wrong_password_is_called_auth_and_not_shown(pgbouncer, user: str, caplog):
    """A refused login says so, and the password is in no message and no log, however talkative."""
    caplog.set_level(logging.DEBUG)
    error = failure(collector, collector.Settings(dsn=pgbouncer.dsn_of(user, SECRET)))
    assert reason(error) == "auth"
    assert SECRET not in repr(error) + caplog.text


def test_a_user_without_the_right_is_told_where_to_get_it(pgbouncer):
    """Whoever may use the pools may not ask the console, until stats_users names him."""
    error = failure(collector, settings_for(pgbouncer, "nobody"))
    assert reason(error) == "auth"
    assert not reached(error)
    assert "stats_users" in advice(error)


def test_a_full_server_still_lets_the_console_in(start_pgbouncer):
    """When no client gets in any more, the limit and who fills it can be read."""
    pgbouncer = start_pgbouncer(max_client_conn=1)
    with psycopg.connect(pgbouncer.app_dsn):
        with pytest.raises(psycopg.OperationalError) as caught:
            query(pgbouncer)
        assert reason(caught.value) == "too_many_connections"
        samples = read_once(collector, settings_for(pgbouncer))
    assert value(samples, _tables.USED_CLIENTS) >= value(samples, _tables.CONFIG_MAX_CLIENTS) == 1


@pytest.mark.parametrize("path", ["", "/", "/pgbouncer"])
def test_the_console_is_found_without_its_name(pgbouncer, path: str):
    """The database of the console has one name only, which the address may leave out."""
    dsn = pgbouncer.dsn_of("stats").removesuffix("/pgbouncer")
    assert read_once(collector, collector.Settings(dsn=dsn + path))


@pytest.mark.parametrize(
    ("dsn", "fault"),
    [
        (f"postgresql://stats:{SECRET}@pool/app", "console is pgbouncer, or left out"),
        (f"postgresql://stats:{SECRET}/x@pool/pgbouncer", "must look like postgresql://"),
        (f"redis://stats:{SECRET}@pool/pgbouncer", "must look like postgresql://"),
    ],
)
def test_a_wrong_address_is_refused_and_not_shown(dsn: str, fault: str):
    """The settings say what is wrong with it, and quote no password."""
    with pytest.raises(ValidationError) as caught:
        collector.Settings(dsn=dsn)
    assert fault in str(caught.value)
    assert SECRET not in str(caught.value)


def test_an_address_can_come_from_a_file(pgbouncer, tmp_path):
    """`dsn_file` is as good as `dsn`."""
    file = tmp_path / "dsn"
    file.write_text(pgbouncer.dsn_of("stats") + "\n")
    assert read_once(collector, collector.Settings(dsn_file=file))


def test_its_driver_is_imported_by_those_who_watch_one_only():
    """An exporter without a PgBouncer does not pay the driver's memory."""
    code = "import sys, exporter.inventory as i; i.by_module(); sys.exit('psycopg' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_names_of_databases_are_bounded():
    """Of a thousand pools most have their own series; the rest is one, where waits are not added up."""
    rows = [
        {"database": f"db{n}", "user": "u", "cl_active": 1, "maxwait": n, "maxwait_us": 500_000}
        for n in range(MOST_ROWS + 100)
    ]
    samples = list(_tables.TABLES["SHOW POOLS"](rows))
    assert len(values(samples, _tables.CLIENTS_ACTIVE)) == MOST_ROWS + 1
    assert value(samples, _tables.CLIENTS_ACTIVE, database=OTHER, user=OTHER) == 100
    assert value(samples, _tables.MAX_WAIT, database=OTHER) == MOST_ROWS + 99.5
