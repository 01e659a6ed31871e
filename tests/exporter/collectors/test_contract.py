"""What holds for every collector: it explains itself, is strict, and declares what it gives."""

import asyncio
import inspect

import pytest
import redis
from pydantic import ValidationError

from exporter import inventory
from exporter.collectors import CollectorSettings, found
from tests.exporter.collectors.driving import execute, read_once

# How a collector that needs an address gets one: its settings from the fixtures named as its arguments.
# Any other collector is run with its defaults.


def prepare_postgres(database):
    asyncio.run(
        execute(
            database.dsn,
            "create table things (id int primary key)",
            f"select pg_create_physical_replication_slot('{database.name}', true)",
        )
    )
    yield {"dsn": database.monitor_dsn}
    asyncio.run(execute(database.dsn, f"select pg_drop_replication_slot('{database.name}')"))


def prepare_redis(redis_server):
    with redis.Redis.from_url(redis_server.url) as client:
        client.set("contract", 1)
        client.get("contract")
        client.execute_command("CONFIG", "RESETSTAT")  # a young server: its lookups are all recent
        client.get("contract")
        with pytest.raises(redis.exceptions.ResponseError):
            client.lpop("contract")
    yield {"url": redis_server.url}


def prepare_sql(shop):
    asyncio.run(
        execute(
            shop.dsn,
            "insert into users (email) values ('a@example.com')",
            "insert into subscriptions (user_id, plan, monthly_price_cents)"
            " select id, 'pro', 1900 from users",
            "insert into payments (user_id, amount_cents, status) select id, 1900, 'succeeded' from users",
        )
    )
    yield {"dsn": shop.monitor_dsn}


PREPARE = {"postgres": prepare_postgres, "redis": prepare_redis, "sql": prepare_sql}

# Declared, and not to be seen here; each group with its reason.
ABSENT = {
    "says the device, and a virtual one does not": {"node_network_speed_bytes"},
    "needs a kernel with pressure information": {
        "node_pressure_cpu_waiting_seconds_total",
        "node_pressure_io_stalled_seconds_total",
        "node_pressure_io_waiting_seconds_total",
        "node_pressure_memory_stalled_seconds_total",
        "node_pressure_memory_waiting_seconds_total",
    },
    "a machine without disks of its own, such as some containers": {
        name for name in inventory.everything() if name.startswith("node_disk_")
    },
    "a mount table without a real filesystem, such as some containers'": {
        name for name in inventory.everything() if name.startswith("node_filesystem_")
    },
    "kernels differ in the memory that they count": {"node_memory_Percpu_bytes"},
    "from Postgres 17": {name for name in inventory.everything() if name.startswith("pg_stat_checkpointer_")},
    "before Postgres 17": {
        name
        for name, metric in inventory.everything().items()
        if name.startswith("pg_stat_bgwriter_") and "before Postgres 17" in metric.help
    },
    "from Postgres 16": {"pg_settings_reserved_connections"},
    "from Postgres 14": {"pg_stat_database_active_time_seconds_total"},
    "needs a limit on what slots keep": {"pg_replication_slot_safe_wal_size_bytes"},
    "needs a replica": {
        "database_replica_lag_bytes",
        "redis_connected_slave_lag_seconds",
        "redis_connected_slave_offset_bytes",
    },
    "only on a replica": {
        "redis_master_link_up",
        "redis_master_last_io_seconds_ago",
        "redis_master_sync_in_progress",
    },
    "needs an archiver": {"pg_stat_archiver_last_archive_age"},
    "needs two runs or a server younger than five minutes": {"cache_hit_ratio"},
}


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
    """A collector's name, and the names of the series that it gives here."""
    name = request.param
    if name not in PREPARE:
        yield name, read_once(found()[name], found()[name].Settings())
        return
    fixtures = [request.getfixturevalue(wanted) for wanted in inspect.signature(PREPARE[name]).parameters]
    preparation = PREPARE[name](*fixtures)
    module = found()[name]
    yield name, read_once(module, module.Settings(**next(preparation)))
    next(preparation, None)


def test_it_gives_what_it_declares(emitted):
    """Every series is declared, and every declaration has a series or a listed reason for having none."""
    name, samples = emitted
    given = {sample.metric.name for sample in samples}
    declared = declared_by(name)
    assert given <= declared
    assert declared - given <= set().union(*ABSENT.values())


def test_no_series_is_given_twice(emitted):
    """A page on which one series stands twice is thrown away by Prometheus."""
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
    assert set().union(*ABSENT.values()) <= set(inventory.everything())


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
