"""Postgres in trouble: gone, frozen, full, locked out; and what is told of it."""

import asyncio
import time

import asyncpg
import pytest
from pydantic import ValidationError

from exporter.collectors import Keep
from exporter.collectors import postgres as collector
from exporter.collectors._reasons import reason
from exporter.collectors.postgres import instance
from tests.exporter.collectors.driving import failure, read, read_once, values, with_keep
from tests.waiting import wait_for_async

SECRET = "hunter2"


def test_a_restarted_server_costs_no_run(own_postgres):
    """The first run after a restart finds the connection gone and opens another."""
    settings = collector.Settings(dsn=own_postgres.monitor_dsn)

    async def scenario(keep: Keep):
        await read(collector, settings, keep)
        await asyncio.to_thread(own_postgres.restart)
        return await read(collector, settings, keep)

    assert values(with_keep(scenario), instance.START_TIME)


def test_a_server_that_is_down_is_called_down(own_postgres):
    """A refused connection is an error at once, with the reason `down`."""
    own_postgres.stop()
    assert reason(failure(collector, collector.Settings(dsn=own_postgres.monitor_dsn))) == "down"


@pytest.mark.parametrize("held", [True, False], ids=["with a connection", "without one"])
def test_a_frozen_server_holds_nobody_and_nothing_is_left_behind(own_postgres, held: bool):
    """Each run ends in time, dropping takes no time, and after the thaw no connection of ours remains."""
    settings = collector.Settings(dsn=own_postgres.monitor_dsn, timeout=0.5)

    async def scenario(keep: Keep):
        if held:
            await read(collector, collector.Settings(dsn=own_postgres.monitor_dsn), keep)
        own_postgres.freeze()
        begun = time.monotonic()
        for _ in range(4):
            with pytest.raises(TimeoutError) as caught:
                async with asyncio.timeout(settings.timeout):
                    await read(collector, settings, keep)
            assert reason(caught.value) == "timeout"
            await keep.drop()
        took = time.monotonic() - begun
        own_postgres.thaw()
        assert took < 4 * 0.5 + 1

        async def gone():
            other = await asyncpg.connect(own_postgres.dsn)
            try:
                return not await other.fetchval(
                    "select count(*) from pg_stat_activity where usename = 'watchkeeper'"
                )
            finally:
                await other.close()

        await wait_for_async(gone)

    with_keep(scenario)


def test_a_full_server_is_called_full(start_postgres):
    """Without a free connection the reason is `too_many_connections`, not `down`."""
    server = start_postgres(settings={"max_connections": "5", "superuser_reserved_connections": "1"})

    async def scenario(keep: Keep):
        clients = [await asyncpg.connect(server.monitor_dsn) for _ in range(4)]
        try:
            await read(collector, collector.Settings(dsn=server.monitor_dsn), keep)
        finally:
            for client in clients:
                client.terminate()

    with pytest.raises(asyncpg.PostgresError) as caught:
        with_keep(scenario)
    assert reason(caught.value) == "too_many_connections"


def test_a_wrong_password_is_called_auth_and_not_shown(postgres):
    """A refused login says so, and the password is in no message."""
    dsn = f"postgresql://watchkeeper:{SECRET}@127.0.0.1:{postgres.port}/postgres"
    error = failure(collector, collector.Settings(dsn=dsn))
    assert reason(error) == "auth"
    assert SECRET not in repr(error)


@pytest.mark.parametrize(
    "dsn",
    [
        f"postgresql://u:{SECRET}/x@db/shop",
        f"postgresql://u:{SECRET}#x@db/shop",
        f"postgresql://u:{SECRET}?x@db/shop",
        f"mysql://u:{SECRET}@db/shop",
        f"postgresql://u:{SECRET}@db:port/shop",
        f"host=db password={SECRET}",
        f"postgresql://u:{SECRET} @db/shop",
    ],
)
def test_a_malformed_address_is_refused_and_not_shown(dsn: str):
    """The settings say what an address looks like, and quote nothing of the one that was given."""
    with pytest.raises(ValidationError) as caught:
        collector.Settings(dsn=dsn)
    assert "must look like postgresql://" in str(caught.value)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    "dsn",
    [
        "postgresql://u:p%40ss@db:5432/shop",
        "postgres://u@db/shop",
        "postgresql://u:p@ss@db/shop",
        "postgresql://u:p@[::1]:5432/shop?sslmode=require",
        "postgresql:///shop?host=/run/postgresql",
        "postgresql://u:p@a:5432,b:5433/shop",
    ],
)
def test_addresses_of_every_usual_form_are_taken(dsn: str):
    """Sockets, IPv6, several hosts and parameters are all addresses."""
    assert collector.Settings(dsn=dsn).address() == dsn


def test_an_address_can_come_from_a_file(postgres, tmp_path):
    """`dsn_file` is read at each connecting; a bad text in it is refused without being shown."""
    file = tmp_path / "dsn"
    file.write_text(postgres.monitor_dsn + "\n")
    settings = collector.Settings(dsn_file=file)
    assert read_once(collector, settings)
    file.write_text(f"{SECRET}\n")
    error = failure(collector, settings)
    assert reason(error) == "invalid"
    assert str(file) in str(error)
    assert SECRET not in str(error)


@pytest.mark.parametrize("given", [{}, {"dsn": "postgresql://db/x", "dsn_file": "/run/dsn"}])
def test_exactly_one_address_is_needed(given):
    """None, or two, is an error of the configuration."""
    with pytest.raises(ValidationError, match="give either dsn or dsn_file"):
        collector.Settings(**given)


def test_a_role_without_rights_is_told_of_pg_monitor(postgres, database):
    """Without pg_monitor the run fails with the reason `permission`."""
    from exporter.collectors._reasons import advice
    from tests.exporter.collectors.driving import execute

    asyncio.run(execute(postgres.dsn, "create role nobody_special login password 'p'"))
    try:
        dsn = f"postgresql://nobody_special:p@127.0.0.1:{postgres.port}/{database.name}"
        error = failure(collector, collector.Settings(dsn=dsn))
    finally:
        asyncio.run(execute(postgres.dsn, "drop role nobody_special"))
    assert reason(error) == "permission"
    assert "pg_monitor" in advice(error)
