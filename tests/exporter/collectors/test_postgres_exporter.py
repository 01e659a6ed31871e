"""Side by side with the real postgres_exporter on one server: the same names, types, labels and values.

Any version can be compared that stands first on the PATH as `postgres_exporter`; without one it is the
distribution's. Proved with 0.11.1 (Debian 12), 0.17.1 and 0.19.1, before Postgres 12 to 18. What 0.11.1 has
not yet is held by the list in postgres_exporter.txt.
"""

import asyncio
import re
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from exporter import inventory
from exporter.collectors import postgres as collector
from exporter.scrape import Scraper
from scripts.stack.process import Process, free_port, get, http_ok
from scripts.stack.servers import HOST, MONITOR, Postgres, run_folder
from tests.exporter.collectors.driving import execute
from tests.exporter.collectors.replicas import replica_of

Version = tuple[int, ...]
Series = tuple[str, frozenset[tuple[str, str]]]

# Those of its collectors that are off by default and that ours has, or that it says why it has not.
OPTIONAL = [
    "database_wraparound",
    "long_running_transactions",
    "postmaster",
    "process_idle",
    "stat_activity_autovacuum",
    "stat_checkpointer",
    "stat_statements",
    "stat_wal_receiver",
    "statio_user_indexes",
]


LIST = Path(__file__).with_name("postgres_exporter.txt")


class Difference(NamedTuple):
    """Names that differ, for a reason, in some versions of postgres_exporter: `since`, and not `until`."""

    names: str
    reason: str
    since: Version = (0,)
    until: Version = (99,)

    def holds(self, version: Version) -> bool:
        return self.since <= version < self.until


# What it publishes and we leave out.
LEFT_OUT = [
    Difference("go_.*|process_.*|promhttp_.*|postgres_exporter_.*", "about the exporter's own process"),
    Difference(
        "pg_exporter_.*|pg_scrape_collector_.*",
        "about its own scrapes: watchkeeper_collector_success and its siblings tell of ours",
    ),
    Difference(
        "pg_settings_.*",
        "all settings of the server, about 350 series that change with its configuration only; ours are "
        "those that a rule or board compares with",
    ),
    Difference(
        "pg_process_idle_seconds_(bucket|count|sum)",
        "a histogram for each name that a client gives itself; pg_stat_activity_count has the idle ones, and "
        "database_longest_idle_in_transaction_seconds those that harm",
        since=(0, 12),
    ),
    Difference(
        "pg_statio_user_indexes_.*",
        "no label for the database, so that two with the same tables clash; database_index_* has one",
        since=(0, 12),
    ),
    Difference(
        "pg_stat_replication_.*",
        "labelled with the process id of the sender, a new series at each reconnection; "
        "database_replica_lag_* has the replica's name",
    ),
    Difference(
        "pg_stat_database_(checksum_.*|session.*|parallel_.*|idle_in_transaction_time|active_time)",
        "gone, or renamed, in later versions; database_checksum_failures_total and "
        "database_sessions_lost_total are ours",
        until=(0, 12),
    ),
    Difference(
        "pg_stat_user_tables_size_bytes", "renamed to _table_size_bytes in 0.18", since=(0, 17), until=(0, 18)
    ),
    Difference("pg_stat_archiver_last_archive_age", "NaN where nothing was archived; ours is absent then"),
    Difference("pg_up", "stands on our page too, from the scrape rather than a topic"),
]

# What stands in the list and we leave out; a histogram has one name there.
LISTED_LEFT_OUT = [
    *LEFT_OUT,
    Difference("pg_process_idle_seconds", "as above"),
    Difference(
        "pg_stat_progress_vacuum_(max|num)_dead_tuples",
        "rows before Postgres 17 and bytes from there on, under one name",
    ),
]

# Names that both publish, with other labels.
OTHER_LABELS = [
    Difference("pg_stat_activity_.*", "user, application, kind and wait came later", until=(0, 12)),
]

# Names that both publish, of which one has series that the other has not.
OTHER_SERIES = [
    Difference("pg_stat_activity_.*", "a session or a wait can come and go between two scrapes"),
    Difference(
        "pg_stat_statements_.*",
        "its top 100 of each moment, ours the top of the setting and the rest as `other`",
        since=(0, 12),
    ),
    Difference(
        "pg_stat_database_.*", "it had the shared tables too, as a database without a name", until=(0, 12)
    ),
    Difference(
        "pg_database_wraparound_.*",
        "ours has those that take no sessions too: they age as well",
        since=(0, 12),
    ),
]

# Names that both publish, whose values the readers themselves move, so that only the series are compared.
MOVED = [
    Difference("pg_locks_count", "each reader holds locks on what it reads"),
    Difference("pg_stat_activity_.*", "each reader is a session"),
    Difference("pg_stat_database_numbackends", "each reader is a session"),
    Difference("pg_long_running_transactions.*", "each reader sees the other's transaction", since=(0, 12)),
    Difference(
        "pg_stat_database_stats_reset",
        "seconds without fractions in one version, with them in another",
        until=(0, 12),
    ),
]


class Page(NamedTuple):
    kinds: dict[str, str]
    values: dict[Series, float]

    def names(self) -> set[str]:
        return {name for name, _ in self.values}

    def series(self, name: str) -> set[frozenset[tuple[str, str]]]:
        return {labels for each, labels in self.values if each == name}


def parsed(text: str, without: str = "") -> Page:
    """A page, with the label `without` left out of its series."""
    kinds = dict(re.findall(r"^# TYPE (\S+) (\S+)$", text, re.MULTILINE))
    values: dict[Series, float] = {}
    for name, labels, number in re.findall(r"^(\w+)(?:\{(.*)\})? (\S+)$", text, re.MULTILINE):
        pairs = re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', labels)
        values[name, frozenset(pair for pair in pairs if pair[0] != without)] = float(number)
    return Page(kinds, values)


@contextmanager
def postgres_exporter(programs, server: Postgres, database: str) -> Iterator[tuple[Version, Process]]:
    """The real one, before this database, with all of its collectors that this version has."""
    program = programs["postgres_exporter"].path
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=True)
    version = tuple(map(int, re.findall(r"version (\d+)\.(\d+)", said.stdout + said.stderr)[0]))
    asked = subprocess.run([program, "--help"], capture_output=True, text=True, check=True)
    known = set(re.findall(r"--collector\.(\w+)\b", asked.stdout + asked.stderr))
    flags = [f"--collector.{name}" for name in OPTIONAL if name in known]
    process = Process(
        "postgres_exporter",
        lambda port: [program, f"--web.listen-address={HOST}:{port}", *flags],
        log=server.folder.parent / "postgres_exporter.log",
        ready=http_ok("/"),
        port=free_port(),
        env={"DATA_SOURCE_NAME": f"{server.monitor_dsn_of(database)}?sslmode=disable"},
    )
    try:
        process.start()
        yield version, process
    finally:
        process.stop()


class Compared(NamedTuple):
    version: Version
    before: Page
    theirs: Page
    after: Page


def compare(programs, server: Postgres, database: str) -> Compared:
    """Their page between two of ours."""

    async def scenario() -> Compared:
        settings = collector.Settings(
            dsn=server.monitor_dsn_of(database), slow_interval=0, statements=1000, timeout=20
        )
        scraper = Scraper({"postgres": (collector, settings)})

        async def ours() -> Page:
            return parsed(await scraper.page(20))

        try:
            with postgres_exporter(programs, server, database) as (version, process):
                await ours()  # so that both have logged in

                before = await ours()
                text = (await asyncio.to_thread(get, f"{process.url}/metrics", 20) or b"").decode()
                return Compared(version, before, _like(before, text, version), await ours())
        finally:
            await scraper.close()

    return asyncio.run(scenario())


def _like(ours: Page, text: str, version: Version) -> Page:
    """Their page. Until 0.12 the label `server` stood on everything: then it is left where ours has it."""
    page = parsed(text)
    if version >= (0, 12):
        return page
    labelled = {name for name, labels in ours.values if any(label == "server" for label, _ in labels)}
    kept = {each: value for each, value in page.values.items() if each[0] in labelled}
    bare = parsed(text, without="server")
    return Page(page.kinds, kept | {k: v for k, v in bare.values.items() if k[0] not in labelled})


@pytest.fixture(scope="module")
def compared(programs) -> Iterator[Compared]:
    """A server with tables, indexes, a slot that a replica reads, statements and a waiting session."""
    with ExitStack() as ends:
        folder = ends.enter_context(run_folder())
        server = Postgres({name: programs[name] for name in ("initdb", "postgres")}, folder / "postgres")
        ends.callback(server.stop)
        server.start()
        asyncio.run(
            execute(
                server.dsn,
                "create database shop",
                "select pg_create_physical_replication_slot('follower', true)",
                "select pg_create_physical_replication_slot('idle', true)",
                "create role limited connection limit 7",
            )
        )
        asyncio.run(
            execute(
                server.dsn_of("shop"),
                "create table a (id serial primary key, v text)",
                "insert into a (v) select repeat('x', n % 100) from generate_series(1, 5000) as n",
                "create index on a (v)",
                "create table b (id int references a)",
                "delete from a where id % 3 = 0",
                "analyze",
                "select count(*) from a where v = 'xx'",
                "checkpoint",
            )
        )
        ends.enter_context(replica_of(server, programs, slot="follower"))
        yield compare(programs, server, "shop")


def fits(name: str, differences: list[Difference], version: Version) -> bool:
    return any(each.holds(version) and re.fullmatch(each.names, name) for each in differences)


def common(compared: Compared) -> list[str]:
    return sorted(compared.before.names() & compared.theirs.names() - {"pg_up"})


def test_what_both_publish_has_the_same_type(compared):
    """Counters are counters, gauges are gauges; before 0.12 some of theirs had no type."""
    kinds = {
        name: (compared.before.kinds[name], compared.theirs.kinds[name])
        for name in common(compared)
        if compared.theirs.kinds[name] != "untyped" or compared.version >= (0, 12)
    }
    assert {name: both for name, both in kinds.items() if both[0] != both[1]} == {}
    assert len(kinds) > 20


def test_what_both_publish_has_the_same_series(compared):
    """Label for label; where the sets of series may differ, at least the labels' names are the same."""
    for name in common(compared):
        if fits(name, OTHER_LABELS, compared.version):
            continue
        ours, theirs = compared.before.series(name), compared.theirs.series(name)
        assert {frozenset(k for k, _ in each) for each in ours} == {
            frozenset(k for k, _ in each) for each in theirs
        }, name
        if not fits(name, OTHER_SERIES, compared.version):
            assert ours == theirs, name
        else:
            assert ours & theirs, name


def test_what_both_publish_has_the_same_value(compared):
    """Each of their values lies between ours of just before and just after."""
    wrong, equal = {}, 0
    for series, value in compared.theirs.values.items():
        name, labels = series
        if name == "pg_up" or fits(name, MOVED, compared.version) or ("user", MONITOR) in labels:
            continue
        if series in compared.before.values and series in compared.after.values:
            low, high = sorted((compared.before.values[series], compared.after.values[series]))
            slack = 1e-9 * abs(value) + (1 if name.endswith("_seconds") else 0)
            if not low - slack <= value <= high + slack:
                wrong[series] = (low, value, high)
            equal += 1
    assert wrong == {}
    assert equal > 50


def test_what_is_left_out_has_its_reason(compared):
    """Each name of theirs that we have not is excused, and no excuse is older than what it excuses."""
    missing = compared.theirs.names() - compared.before.names()
    assert {name for name in missing if not fits(name, LEFT_OUT, compared.version)} == set()
    theirs = compared.theirs.names()
    for difference in (*LEFT_OUT, *OTHER_LABELS, *OTHER_SERIES, *MOVED):
        if difference.holds(compared.version):
            assert any(re.fullmatch(difference.names, name) for name in theirs), difference


def test_borrowed_names_stand_in_the_list():
    """What is declared as postgres_exporter's is there by this name, with this type and these labels."""
    lines = [line.split() for line in LIST.read_text().splitlines() if not line.startswith("#")]
    theirs = {name: (kind, set(labels[0].split(",")) if labels else set()) for name, kind, *labels in lines}
    ours = {
        name: (metric.kind, set(metric.labels))
        for name, metric in inventory.everything().items()
        if metric.origin == "postgres_exporter"
    }
    assert {name: each for name, each in ours.items() if theirs.get(name) != each} == {}
    missing = set(theirs) - set(ours)
    assert {name for name in missing if not fits(name, LISTED_LEFT_OUT, (0, 19))} == set()
