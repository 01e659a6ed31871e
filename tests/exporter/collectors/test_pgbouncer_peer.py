"""Held against pgbouncer_exporter: names, types, labels, values, and reasons for what is left out."""

import asyncio
import shutil
import subprocess
from pathlib import Path

import psycopg
import pytest

from exporter.collectors import Keep
from exporter.collectors import pgbouncer as collector
from scripts.stack.packages import Program
from tests.exporter.collectors import peers
from tests.exporter.collectors.driving import read, with_keep

NAMES = Path(__file__).with_name("pgbouncer_exporter.names")
LEFT_OUT = {
    "pgbouncer_exporter_build_info": "about that exporter itself",
    "pgbouncer_client_connections": "a client chooses its application_name, so its series have no bound, and "
    "SHOW CLIENTS sends a line for each of thousands of clients",
}


def exporter() -> Program | None:
    """The exporter in Go, where the machine has it. Debian 12's of that name is another, and broken."""
    found = shutil.which("prometheus-pgbouncer-exporter") or shutil.which("pgbouncer_exporter")
    if found is None:
        return None
    said = subprocess.run([found, "--version"], capture_output=True, text=True, check=False)
    return Program(Path(found)) if "pgbouncer_exporter, version" in said.stdout + said.stderr else None


def test_what_it_publishes_is_declared_or_left_out_for_a_reason():
    """Every name of release 0.12 before PgBouncer 1.18 and 1.26, with its type and labels."""
    assert peers.differences_from_record(NAMES, LEFT_OUT) == []


@pytest.mark.skipif(exporter() is None, reason="needs prometheus-community's pgbouncer_exporter in the PATH")
def test_both_say_the_same_of_one_server(start_pgbouncer):
    """Values too: theirs lie between two readings of ours."""
    pgbouncer = start_pgbouncer(ignore_startup_parameters="extra_float_digits")  # which their driver sends
    with psycopg.connect(pgbouncer.app_dsn, autocommit=True) as client:
        client.execute("select 1")
    settings = collector.Settings(dsn=pgbouncer.dsn_of("stats"))
    flag = f"--pgBouncer.connectionString={pgbouncer.dsn_of('stats')}?sslmode=disable"
    with peers.serving(exporter(), flag) as process:

        async def scenario(keep: Keep):
            before = peers.ours(await read(collector, settings, keep))
            theirs = await asyncio.to_thread(peers.scraped, process)
            return before, theirs, peers.ours(await read(collector, settings, keep))

        before, theirs, after = with_keep(scenario)
    names = {name for name in theirs.kinds if name.startswith("pgbouncer_")}
    assert names - set(after.kinds) - peers.left_out(names, LEFT_OUT) == {"pgbouncer_up"}
    assert len(names & set(after.kinds)) > 30
    # Their own connection to the console comes and goes.
    unsteady = (
        "pgbouncer_used_clients",
        "pgbouncer_free_clients",
        "pgbouncer_pools_client_active_connections",
    )
    assert peers.differences(before, theirs, after, unsteady=unsteady) == []
