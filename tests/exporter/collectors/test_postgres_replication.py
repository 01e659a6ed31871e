"""Replication on real servers: a replica that follows, a failover, and what the collector tells of both."""

import asyncio

import pytest

from exporter.collectors import postgres as collector
from exporter.collectors.postgres import replication, wal, wal_receiver
from tests.exporter.collectors.driving import execute, read_once, value, values
from tests.exporter.collectors.replicas import replica_of
from tests.exporter.collectors.test_postgres_bad_days import Page, scraping
from tests.waiting import wait_for, wait_for_async


@pytest.fixture
def replica(own_postgres, programs):
    """A replica of `own_postgres` by the slot `follower`."""
    asyncio.run(execute(own_postgres.dsn, "select pg_create_physical_replication_slot('follower', true)"))
    with replica_of(own_postgres, programs, slot="follower") as server:
        yield server


def caught_up(server):
    """The samples of a replica that has replayed all that it has received."""

    def reading():
        samples = read_once(collector, collector.Settings(dsn=server.monitor_dsn))
        lines = values(samples, wal_receiver.FLUSHED_LSN)
        return samples if lines and value(samples, replication.LAG) == 0 else None

    return wait_for(reading)


def test_both_sides_of_replication_are_told(own_postgres, replica):
    """The primary has the replica's lag and its slot, the replica its own lag and its line to the primary."""
    of_replica = caught_up(replica)
    assert value(of_replica, replication.IS_REPLICA) == 1
    assert value(of_replica, wal_receiver.RECEIVED_TLI, slot_name="follower", status="streaming") == 1
    assert value(of_replica, wal_receiver.FLUSHED_LSN) > 0
    assert value(of_replica, wal.WRITTEN) > 0

    def followed():
        samples = read_once(collector, collector.Settings(dsn=own_postgres.monitor_dsn))
        return samples if values(samples, replication.REPLICA_LAG_BYTES, replica="follower") == [0] else None

    of_primary = wait_for(followed)
    assert value(of_primary, replication.IS_REPLICA) == 0
    assert value(of_primary, replication.REPLICAS, state="streaming") == 1
    assert value(of_primary, replication.SLOT_IS_ACTIVE, slot_name="follower") == 1
    assert value(of_primary, replication.SLOT_RETAINED, slot="follower") >= 0
    assert value(of_primary, replication.SLOT_CONFIRMED, slot_name="follower") == 0


def test_a_failover_is_followed(own_postgres, replica):
    """With both servers in the address the promoted replica is read at the next scrape, whole."""
    ports = own_postgres.port, replica.port
    both = own_postgres.monitor_dsn.replace(f":{ports[0]}/", f":{ports[0]},127.0.0.1:{ports[1]}/")

    async def scenario(page: Page):
        assert await page.reasons() == {}
        await asyncio.to_thread(own_postgres.kill)
        nobody = await page.reasons()
        await execute(replica.dsn, "select pg_promote()")

        async def whole() -> bool:
            return await page.reasons() == {}

        await wait_for_async(whole)
        return nobody, value(await page.samples(), replication.IS_REPLICA), await page.up()

    nobody, is_replica, up = scraping(scenario, f"{both}?target_session_attrs=primary")
    assert set(nobody.values()) == {"down"}
    assert (is_replica, up) == (0, 1)
