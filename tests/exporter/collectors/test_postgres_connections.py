"""The connections to a Postgres server: few, shared, kept, and never more than allowed."""

import asyncio
import socket
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing

import asyncpg
import pytest

from exporter.collectors import Keep, Shared
from exporter.collectors import postgres as collector
from exporter.collectors._lookup import looked_up
from exporter.collectors._postgres import Connection, hosts_of, leased
from exporter.collectors._reasons import reason
from tests.exporter.collectors.driving import execute, with_keep
from tests.waiting import wait_for_async

OURS = "select count(*) from pg_stat_activity where application_name = 'watchkeeper' and datname = any($1)"


def settings(db, **more) -> collector.Settings:
    return collector.Settings(dsn=db.monitor_dsn, **more)


@asynccontextmanager
async def watching(dsn: str, *databases: str) -> AsyncIterator:
    """A function that counts our sessions in these databases."""
    connection = await asyncpg.connect(dsn)
    try:
        yield lambda: connection.fetchval(OURS, databases)
    finally:
        connection.terminate()


async def pid(connection: Connection) -> int:
    return await connection.fetchval("select pg_backend_pid()")


def test_many_readers_share_few_connections(database):
    """Twenty at once get their turn one after another, over no more connections than the setting says."""

    async def scenario(keep: Keep):
        async def one() -> int:
            async with leased(settings(database, connections=3), keep) as connection:
                return await pid(connection)

        async with watching(database.dsn, database.name) as sessions:
            readers = [asyncio.create_task(one()) for _ in range(20)]
            most = 0
            while not all(reader.done() for reader in readers):
                most = max(most, await sessions())
            return {reader.result() for reader in readers}, most, await sessions()

    pids, most, kept = with_keep(scenario)
    assert len(pids) == kept == 3
    assert most <= 3


def test_collectors_of_one_page_share_the_connections_to_a_server(database):
    """What one part has used, a part of another collector goes on with."""

    async def scenario():
        shared = Shared()
        try:
            pids = set()
            for keep in (Keep(shared), Keep(shared)):
                async with leased(settings(database), keep) as connection:
                    pids.add(await pid(connection))
            return pids
        finally:
            await shared.close()

    assert len(asyncio.run(scenario())) == 1


def test_the_largest_number_counts(database):
    """Where two collectors of a server allow different numbers, both work with the larger one."""

    async def scenario(keep: Keep):
        async with (
            asyncio.timeout(5),
            leased(settings(database, connections=1), keep) as first,
            leased(settings(database, connections=2), keep) as second,
        ):
            return await pid(first) != await pid(second)

    assert with_keep(scenario)


def test_with_one_connection_all_databases_are_reached_in_turn(postgres, database):
    """For another database the idle connection is closed first: the server never has two of ours."""

    async def scenario(keep: Keep):
        one = settings(database, connections=1)
        async with watching(database.dsn, database.name, "postgres") as sessions:
            seen = []
            for name in ("postgres", None, "postgres", None):
                async with leased(one, keep, database=name) as connection:
                    seen.append((await connection.fetchval("select current_database()"), await sessions()))
            return seen

    assert with_keep(scenario) == [("postgres", 1), (database.name, 1)] * 2


def test_the_background_leaves_one_connection_to_the_scrape(database):
    """However many patient readers there are, one who is not gets a connection at once."""

    async def scenario(keep: Keep):
        async def slow() -> None:
            async with leased(settings(database), keep, patient=True) as connection:
                await connection.execute("select pg_sleep(30)")

        async with watching(database.dsn, database.name) as sessions:
            readers = [asyncio.create_task(slow()) for _ in range(5)]
            await wait_for_async(sessions)
            async with asyncio.timeout(3), leased(settings(database), keep) as connection:
                answer = await connection.fetchval("select 1")
            for reader in readers:
                reader.cancel()
            await asyncio.gather(*readers, return_exceptions=True)
            return answer

    assert with_keep(scenario) == 1


def test_with_one_connection_the_background_gets_its_turn(database):
    """Where there is but one, patience means to come last, not never."""

    async def scenario(keep: Keep):
        one = settings(database, connections=1)
        async with asyncio.timeout(5), leased(one, keep, patient=True) as connection:
            return await connection.fetchval("select 1")

    assert with_keep(scenario) == 1


def test_a_refused_statement_costs_no_connection(database):
    """After an error of the server's the same session serves the next reader."""

    async def scenario(keep: Keep):
        async with leased(settings(database), keep) as connection:
            before = await pid(connection)
        with pytest.raises(asyncpg.UndefinedTableError):
            async with leased(settings(database), keep) as connection:
                await connection.fetch("select * from nowhere")
        async with leased(settings(database), keep) as connection:
            return before == await pid(connection)

    assert with_keep(scenario)


def test_a_reader_cut_off_leaves_no_statement_behind(database):
    """Its statement is stopped, its session ends, and only then is its place free: two never are open."""

    async def scenario(keep: Keep):
        one = settings(database, connections=1)
        async with watching(database.dsn, database.name) as sessions:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.2), leased(one, keep) as connection:
                    before = await pid(connection)
                    await connection.execute("select pg_sleep(60)")
            async with leased(one, keep) as connection:
                return await sessions(), before != await pid(connection)

    assert with_keep(scenario) == (1, True)


def test_a_session_left_in_a_transaction_is_not_passed_on(database):
    """Who leaves in the middle takes the session along."""

    async def scenario(keep: Keep):
        async with leased(settings(database), keep) as connection:
            before = await pid(connection)
            await connection.execute("begin")
        async with leased(settings(database), keep) as connection:
            return before != await pid(connection) and not connection.is_in_transaction()

    assert with_keep(scenario)


def test_a_session_is_read_only_and_impatient(database):
    """Even with the owner's login nothing can be changed, and each reader has its own time limit."""
    asyncio.run(execute(database.dsn, "create table a (id int)"))
    owner = collector.Settings(dsn=database.dsn, timeout=2)

    async def scenario(keep: Keep):
        async with leased(owner, keep, seconds=10) as connection:
            limits = [await connection.fetchval("show statement_timeout")]
        async with leased(owner, keep) as connection:
            limits.append(await connection.fetchval("show statement_timeout"))
            limits.append(await connection.fetchval("show lock_timeout"))
            with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
                await connection.execute("insert into a values (1)")
        return limits

    assert with_keep(scenario) == ["9s", "1800ms", "500ms"]


def test_a_wrong_password_is_tried_by_few(postgres):
    """Those who wait while a login is refused are refused with it: nobody is locked out for our number."""
    wrong = collector.Settings(dsn=f"postgresql://nobody_special:x@127.0.0.1:{postgres.port}/postgres")
    log = postgres.log.stat().st_size

    async def scenario(keep: Keep):
        async def one():
            async with leased(wrong, keep):
                raise AssertionError("let in")

        return await asyncio.gather(*(one() for _ in range(12)), return_exceptions=True)

    assert {reason(error) for error in with_keep(scenario)} == {"auth"}
    said = postgres.log.read_text()[log:]
    assert 1 <= said.count('password authentication failed for user "nobody_special"') <= 2


def test_a_name_that_is_never_resolved_holds_one_thread(monkeypatch):
    """Each reader ends in its time, and however often it is tried, one look-up is under way."""
    asked, answer = [], threading.Event()

    def getaddrinfo(host, *_, **__):
        asked.append(host)
        answer.wait(10)
        raise socket.gaierror(socket.EAI_AGAIN, "no answer")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    lost = collector.Settings(dsn="postgresql://u:p@db.invalid/x", timeout=0.1)

    async def scenario(keep: Keep):
        for _ in range(5):
            with pytest.raises(TimeoutError):
                async with leased(lost, keep):
                    pass

    try:
        with_keep(scenario)
        assert asked == ["db.invalid"]
    finally:
        answer.set()


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "fe80::1%eth0", "/run/postgresql", ""])
def test_what_is_no_name_is_not_looked_up(host: str, monkeypatch):
    """Addresses and sockets need no look-up."""
    monkeypatch.setattr(socket, "getaddrinfo", None)
    asyncio.run(looked_up(host))


def test_a_host_that_says_nothing_ends_with_the_time():
    """One that accepts and says nothing costs the time-out, and holds no place afterwards."""
    with closing(socket.create_server(("127.0.0.1", 0))) as silent:
        mute = collector.Settings(
            dsn=f"postgresql://u:p@127.0.0.1:{silent.getsockname()[1]}/x", timeout=0.2, connections=1
        )

        async def scenario(keep: Keep):
            begun = time.monotonic()
            for _ in range(2):
                with pytest.raises(TimeoutError):
                    async with leased(mute, keep):
                        pass
            return time.monotonic() - begun

        assert with_keep(scenario) < 2


def test_of_several_hosts_a_silent_one_costs_its_share_only(postgres):
    """The second host is reached although the first one never answers."""
    with closing(socket.create_server(("127.0.0.1", 0))) as silent:
        login = postgres.monitor_dsn.partition("@")[0]
        ports = silent.getsockname()[1], postgres.port
        several = (
            f"{login}@127.0.0.1:{ports[0]},127.0.0.1:{ports[1]}/postgres?target_session_attrs=read-write"
        )

        async def scenario(keep: Keep):
            async with leased(collector.Settings(dsn=several, timeout=1), keep) as connection:
                return await connection.fetchval("select 1")

        assert with_keep(scenario) == 1


def test_hosts_are_read_from_the_address():
    """Several, IPv6, without a port, or none."""
    assert hosts_of("postgresql://u:p@a:5433,b,[::1]:5434/x") == [("a", 5433), ("b", 5432), ("::1", 5434)]
    assert hosts_of("postgresql://u:p%40ss@db/x") == [("db", 5432)]
    assert hosts_of("postgresql:///x?host=/run/postgresql") == []
