"""What holds for every collector: it explains itself, is strict, and declares what it gives."""

import asyncio
import importlib
import inspect
import re
import subprocess
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import asyncpg
import pytest
import redis
from pydantic import ValidationError

from exporter import inventory
from exporter.collectors import CollectorSettings, found
from tests.exporter.collectors.driving import read_once


class Absence(NamedTuple):
    """Metrics that are declared and may lack a series here, as long as the reason holds."""

    reason: str
    names: set[str]
    holds: Callable[[pytest.FixtureRequest], bool] = lambda request: True


def starting(*prefixes: str) -> set[str]:
    return {name for name in inventory.everything() if name.startswith(prefixes)}


def lines(file: str) -> list[str]:
    """A file of /proc, or nothing where the kernel does not let it be read."""
    try:
        return Path(file).read_text().splitlines()
    except OSError:
        return []


def no_disk(_) -> bool:
    """Whether the kernel counts nothing but partitions and memory disks."""
    return not any(
        re.fullmatch(r"[hsv]d[a-z]+|xvd[a-z]+|nvme\d+n\d+", line.split()[2])
        for line in lines("/proc/diskstats")
    )


def no_filesystem(_) -> bool:
    """Whether no disk's filesystem is mounted where it would be watched."""
    kinds = ("ext4", "xfs", "btrfs", "tmpfs")
    fields = [line.split() for line in lines("/proc/1/mounts") or lines("/proc/self/mounts")]
    return not any(point in ("/", "/home", "/srv", "/tmp") and kind in kinds for _, point, kind, *_ in fields)


def no_pressure(resource: str) -> Callable[[pytest.FixtureRequest], bool]:
    return lambda _: not lines(f"/proc/pressure/{resource}")


def no_speed(_) -> bool:
    """Whether no device says its speed; a virtual one says 0, -1 or nothing."""
    told = [line for path in Path("/sys/class/net").glob("*/speed") for line in lines(str(path))]
    return not any(int(line) > 0 for line in told)


def postgres(condition: Callable[[int], bool]) -> Callable[[pytest.FixtureRequest], bool]:
    """Whether the condition holds for the major version of the Postgres here."""

    def holds(request: pytest.FixtureRequest) -> bool:
        async def version() -> int:
            connection = await asyncpg.connect(request.getfixturevalue("postgres").dsn)
            try:
                return connection.get_server_version().major
            finally:
                await connection.close()

        return condition(asyncio.run(version()))

    return holds


def pgbouncer_before(*version: int) -> Callable[[pytest.FixtureRequest], bool]:
    """Whether the PgBouncer here is older than this version."""

    def holds(request: pytest.FixtureRequest) -> bool:
        program = request.getfixturevalue("programs")["pgbouncer"].path
        said = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
        return tuple(map(int, re.findall(r"\d+", said)[: len(version)])) < version

    return holds


def since_redis(version: str) -> set[str]:
    """The metrics whose help says that it takes this version."""
    return {
        name
        for name, metric in inventory.everything().items()
        if name.startswith("redis_") and f"from Redis {version}." in metric.help
    }


def redis_before(version: str) -> Callable[[pytest.FixtureRequest], bool]:
    """Whether the Redis here is older than this version."""

    def holds(request: pytest.FixtureRequest) -> bool:
        with redis.Redis.from_url(request.getfixturevalue("redis_server").url) as client:
            here = client.info("server")["redis_version"]
        return [int(part) for part in here.split(".")] < [int(part) for part in version.split(".")]

    return holds


ABSENT = [
    Absence("no device says its speed", {"node_network_speed_bytes"}, no_speed),
    *(
        Absence(
            "a kernel without pressure information",
            starting(f"node_pressure_{resource}_"),
            no_pressure(resource),
        )
        for resource in ("cpu", "memory", "io")
    ),
    Absence("a machine without disks of its own, such as some containers", starting("node_disk_"), no_disk),
    Absence("no real filesystem, as in some containers", starting("node_filesystem_"), no_filesystem),
    Absence(
        "a kernel that does not count it",
        {"node_memory_Percpu_bytes"},
        lambda _: not any(line.startswith("Percpu:") for line in lines("/proc/meminfo")),
    ),
    Absence("from Postgres 17", starting("pg_stat_checkpointer_"), postgres(lambda major: major < 17)),
    Absence(
        "before Postgres 17",
        {
            name
            for name, metric in inventory.everything().items()
            if name.startswith("pg_stat_bgwriter_") and "before Postgres 17" in metric.help
        },
        postgres(lambda major: major >= 17),
    ),
    Absence("from Postgres 16", {"pg_settings_reserved_connections"}, postgres(lambda major: major < 16)),
    Absence(
        "from Postgres 14", {"pg_stat_database_active_time_seconds_total"}, postgres(lambda major: major < 14)
    ),
    Absence("from Postgres 14", {"database_sessions_lost_total"}, postgres(lambda major: major < 14)),
    Absence(
        "from Postgres 16",
        {"pg_stat_database_conflicts_confl_active_logicalslot"},
        postgres(lambda major: major < 16),
    ),
    Absence(
        "needs checksums, which a new server has from Postgres 18",
        {"database_checksum_failures_total"},
        postgres(lambda major: major < 18),
    ),
    Absence("from Postgres 13", {"pg_replication_slot_wal_status"}, postgres(lambda major: major < 13)),
    Absence("needs a vacuum that runs", starting("pg_stat_progress_vacuum_")),
    Absence("only on a replica", starting("pg_stat_wal_receiver_")),
    Absence("needs a limit on what slots keep", {"pg_replication_slot_safe_wal_size_bytes"}),
    Absence(
        "needs a replica",
        {
            "database_replica_lag_bytes",
            "database_replica_lag_seconds",
            "pg_replication_slot_slot_confirmed_flush_lsn",
            "redis_connected_slave_lag_seconds",
            "redis_connected_slave_offset_bytes",
        },
    ),
    Absence("only on a replica", starting("redis_master_") - {"redis_master_repl_offset"}),
    Absence("only on a replica", {"redis_slave_info", "redis_slave_repl_offset", "redis_slave_priority"}),
    Absence("only a Sentinel says it", starting("redis_sentinel_")),
    Absence(
        "only a node of a cluster says it",
        starting("redis_cluster_") - {"redis_cluster_enabled", "redis_cluster_connections"},
    ),
    *(
        Absence(f"from Redis {since}", since_redis(since), redis_before(since))
        for since in ("6.2", "7.0", "7.2", "7.4")
    ),
    Absence("until Redis 6.2", {"redis_aof_rewrite_buffer_length"}),
    Absence(
        "from PgBouncer 1.23",
        {"pgbouncer_stats_totals_server_assignments_total"},
        pgbouncer_before(1, 23),
    ),
    Absence(
        "from PgBouncer 1.24",
        {
            name
            for name, metric in inventory.everything().items()
            if name.startswith("pgbouncer_") and "from PgBouncer 1.24" in metric.help
        },
        pgbouncer_before(1, 24),
    ),
    Absence("needs an archiver", {"pg_stat_archiver_last_archive_age"}),
]


def unexcused(missing: set[str], request: pytest.FixtureRequest) -> set[str]:
    """The names for whose absence no reason holds on this machine."""
    reasons = [absence for absence in ABSENT if absence.names & missing and absence.holds(request)]
    return missing - set().union(*(absence.names for absence in reasons))


def declared_by(name: str) -> set[str]:
    """What the collector's files declare, but for UP: the scrape publishes that."""
    package = f"exporter.collectors.{name}"
    up = getattr(found()[name], "UP", None)
    return {
        metric.name
        for module, metrics in inventory.by_module().items()
        for metric in metrics
        if (module == package or module.startswith(package + ".")) and metric is not up
    }


@pytest.fixture(params=sorted(found()))
def emitted(request):
    """A collector's name, and the names of the series that it gives here.

    A collector that needs settings has a generator `prepare` in its own test file: it takes fixtures as
    arguments, yields the settings, and tidies up. Any other is run with its defaults.
    """
    name = request.param
    module = found()[name]
    prepare = getattr(own_tests(name), "prepare", None)
    if prepare is None:
        yield name, read_once(module, module.Settings())
        return
    fixtures = [request.getfixturevalue(wanted) for wanted in inspect.signature(prepare).parameters]
    with contextmanager(prepare)(*fixtures) as settings:
        yield name, read_once(module, module.Settings(**settings))


def own_tests(name: str) -> ModuleType:
    """The collector's test file, which it must have."""
    return importlib.import_module(f"tests.exporter.collectors.test_{name}")


def test_it_gives_what_it_declares(emitted, request):
    """Every series is declared, and every declaration has a series or a reason that holds here."""
    name, samples = emitted
    given = {sample.metric.name for sample in samples}
    declared = declared_by(name)
    assert given <= declared
    assert unexcused(declared - given, request) == set()


@pytest.mark.parametrize(
    ("names", "lacks"),
    [("node_disk_", no_disk), ("node_filesystem_", no_filesystem), ("cache_hit_ratio", None)],
)
def test_a_reason_excuses_only_where_it_holds(names, lacks, request):
    """Were disks forgotten by the collector, a machine that has some would notice."""
    missing = starting(names)
    assert missing
    assert unexcused(missing, request) == (set() if lacks and lacks(request) else missing)


def test_no_series_is_given_twice(emitted):
    """Of a series that stands twice Prometheus keeps one value without a word, perhaps the wrong one."""
    _, samples = emitted
    series = [(sample.metric.name, sample.labels) for sample in samples]
    assert len(set(series)) == len(series)


def test_every_sample_has_its_labels_and_a_number(emitted):
    """Values are numbers, and labels are texts, as many as declared."""
    _, samples = emitted
    for sample in samples:
        assert len(sample.labels) == len(sample.metric.labels)
        assert all(isinstance(label, str) for label in sample.labels)
        float(sample.value)


def test_every_reason_for_absence_names_declared_metrics():
    """The list of exceptions does not outlive what it excuses."""
    assert set().union(*(absence.names for absence in ABSENT)) <= set(inventory.everything())
    assert [absence.reason for absence in ABSENT if not absence.names] == []


@pytest.mark.parametrize("name", sorted(found()))
def test_it_explains_itself(name: str):
    """Its first line says what a reader of the configuration finds there."""
    assert (found()[name].__doc__ or "").splitlines()[0].endswith(".")
    assert found()[name].Settings.__doc__


@pytest.mark.parametrize("name", sorted(found()))
def test_its_settings_are_strict(name: str):
    """An unknown key is an error, each key is described, and nothing changes after the start."""
    settings = found()[name].Settings
    assert issubclass(settings, CollectorSettings)
    assert settings.model_config["frozen"]
    assert settings.model_config["hide_input_in_errors"]
    with pytest.raises(ValidationError, match="extra_forbidden"):
        settings(no_such_key=1)
    assert [key for key, field in settings.model_fields.items() if not field.description] == []
