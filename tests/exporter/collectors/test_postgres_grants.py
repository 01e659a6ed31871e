"""`watchkeeper postgres grants`: the SQL runs as printed, and its role reads all topics and no more."""

import asyncio
import re
import shutil
import subprocess

import asyncpg
import pytest

from exporter.collectors._reasons import reason
from exporter.collectors.postgres import sequences
from exporter.postgres_grants import grants
from tests.exporter.collectors.driving import execute, values
from tests.exporter.collectors.test_postgres_bad_days import Page, scraping

# Names that only work when they are quoted.
ROLE = 'o\'mon "3"'


@pytest.fixture
def made(postgres, database):
    """The DSN of a role that the SQL has made, on a database that lets nobody else in."""
    asyncio.run(
        execute(
            database.dsn,
            f"revoke connect on database {database.name} from public",
            "create table private (id serial primary key)",
            "insert into private default values",
            *[grants(ROLE, [database.name])] * 2,  # it can be run again
            f"""alter role {quoted(ROLE)} password 'p'""",
        )
    )
    yield f"postgresql://o'mon%20%223%22:p@127.0.0.1:{postgres.port}/{database.name}"
    asyncio.run(execute(database.dsn, f"drop owned by {quoted(ROLE)} cascade", f"drop role {quoted(ROLE)}"))


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def test_the_role_reads_every_topic(made):
    """With these rights, and the extension there, no topic fails."""

    async def scenario(page: Page):
        return await page.reasons()

    assert scraping(scenario, made) == {}


def test_the_role_reads_no_row_and_writes_nothing(made):
    """Tables stay closed to it, and it can make none."""

    async def scenario():
        connection = await asyncpg.connect(made)
        try:
            for statement in ("select * from private", "insert into private default values"):
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    await connection.execute(statement)
            return await connection.fetchval("show lock_timeout")
        finally:
            await connection.close()

    assert asyncio.run(scenario()) == "1s"


def test_the_server_holds_the_role_to_its_number_of_connections(made):
    """The limit lets a reload or a check in beside the exporter, and then no more."""

    async def scenario():
        clients = []
        try:
            with pytest.raises(asyncpg.TooManyConnectionsError) as caught:
                while True:
                    clients.append(await asyncpg.connect(made))
            return len(clients), reason(caught.value)
        finally:
            for client in clients:
                await client.close()

    assert asyncio.run(scenario()) == (5, "too_many_connections")


def test_the_hints_are_right(made, database):
    """What stands there as a comment, for extension and sequences, can be run as it stands."""
    hints = re.findall(r"^--   ((?:CREATE|GRANT) .*)$", grants(ROLE), re.MULTILINE)
    assert len(hints) == 2
    asyncio.run(execute(database.dsn, "drop extension pg_stat_statements", *hints))

    async def scenario(page: Page):
        return await page.reasons(), await page.samples()

    reasons, samples = scraping(scenario, made)
    assert reasons == {}
    assert values(samples, sequences.USED, sequence="private_id_seq")


def test_psql_runs_it(postgres, database):
    """The whole text goes through psql without an error, as the first lines tell users to do."""
    psql = shutil.which("psql")
    if psql is None:
        pytest.skip("no psql on this machine")
    text = grants("test_psql", [database.name])
    options = ["--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--dbname", database.dsn]
    done = subprocess.run([psql, *options], input=text, capture_output=True, text=True, timeout=20)
    asyncio.run(execute(database.dsn, "drop owned by test_psql", "drop role test_psql"))
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("name", ["", "a\nb", "a$grants$b", "a" * 64, "back\\slash"])
def test_names_that_mean_trouble_are_refused(name: str):
    """A name that could break out of the text is an error, not a statement."""
    with pytest.raises(ValueError, match="cannot be the name"):
        grants(name)
    with pytest.raises(ValueError, match="cannot be the name"):
        grants("watchkeeper", [name])
