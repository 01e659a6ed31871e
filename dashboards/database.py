"""Database Health: is it up, is it short of connections, what waits, and does the cache help."""

from collections.abc import Mapping

from dashboards.colours import Colour, Step, falling, rising
from dashboards.common import urgent_alerts
from dashboards.layout import page, row
from dashboards.panels import Json, alertlist, gauge, heatmap, stat, timeseries
from dashboards.queries import (
    RANGE,
    heat,
    increase,
    plus,
    quantile,
    rate,
    ratio,
    value,
    worst,
)
from dashboards.selectors import metric, unlike
from dashboards.tables import table
from exporter.instrument import caches, pools

UID = "watchkeeper-database"

UP_DOWN: Mapping[float, tuple[str, Colour]] = {1: ("up", "green"), 0: ("DOWN", "red")}
FILLING = rising(0.8, 0.95)
# Below one hit in two a cache costs more than it saves.
HITTING = falling(0.5, 0.8)
ANY = (Step(None, "green"), Step(1, "orange"))

_real = unlike("template.*|")  # the statistics also count templates, and work that belongs to no database
_connections = ratio(value(metric("pg_stat_activity_count")), value(metric("pg_settings_max_connections")))
_pool_use = ratio(value(pools.CONNECTIONS, "pool", state="in_use"), value(pools.SIZE_MAX, "pool"))
_found = rate(metric("pg_stat_database_blks_hit"), "datname", datname=_real)
_lookups = rate(caches.LOOKUPS, "cache")

_now = row(
    "Now",
    stat(
        "Postgres",
        value(metric("pg_up"), agg="min"),
        "Whether the exporter gets in. DOWN with the application well points to the exporter's own login.",
        words=UP_DOWN,
    ),
    stat(
        "Redis",
        value(metric("redis_up"), agg="min"),
        "Whether the exporter gets in.",
        words=UP_DOWN,
    ),
    gauge(
        "Connections in use",
        _connections,
        "Share of the connections that the server accepts. At 100 % nobody gets in, us included.",
        colours=FILLING,
    ),
    gauge(
        "Fullest pool",
        worst(_pool_use),
        "Share of an application's pool that is lent out. At 100 % requests wait for a connection.",
        colours=FILLING,
    ),
    stat(
        "Cache hits, Redis",
        value(metric("cache_hit_ratio"), agg="min"),
        "Share of lookups in the last five minutes that found something; no data while nobody looked.",
        colours=HITTING,
    ),
    urgent_alerts(),
    alertlist(family="database.*|redis.*|pool.*|cache.*"),
    stat(
        "Longest query",
        value(metric("database_longest_query_seconds"), agg="max"),
        "Running now. Beyond half a minute in a web application something is wrong.",
        colours=rising(5, 30),
        width=3,
        height=6,
    ),
    stat(
        "Blocked sessions",
        value(metric("database_blocked_sessions")),
        "Sessions that wait for another session's lock.",
        colours=ANY,
        width=3,
        height=6,
    ),
    stat(
        "Deadlocks",
        increase(metric("pg_stat_database_deadlocks"), over=RANGE),
        "In the shown time. Two transactions took the same rows in another order.",
        colours=ANY,
        decimals=0,
        width=3,
        height=6,
    ),
    stat(
        "Replication lag",
        value(metric("pg_replication_lag_seconds"), agg="max"),
        "How far a replica is behind; 0 on a server that is none.",
        colours=rising(30, 60),
        width=3,
        height=6,
    ),
)

_pools = row(
    "Connections and pools",
    timeseries(
        "Server connections by state",
        value(metric("pg_stat_activity_count"), "state"),
        stacked=True,
        note="'idle in transaction' holds locks and does nothing: a transaction that somebody forgot to end.",
    ),
    timeseries(
        "Statements running",
        value(metric("database_connections_active"), "database"),
        note="More than there are processors means that statements wait.",
    ),
    timeseries(
        "Pools of the application",
        value(pools.CONNECTIONS, "pool", "state"),
        value(pools.SIZE_MAX, "pool").named("{{pool}} at most"),
        note="When 'in_use' meets 'at most', the next request waits.",
    ),
    timeseries(
        "Waiting for a connection",
        quantile(0.5, pools.WAIT, "pool"),
        quantile(0.95, pools.WAIT, "pool"),
        note="Microseconds are healthy; tenths of a second mean an exhausted pool.",
    ),
)

_work = row(
    "Work",
    timeseries(
        "Transactions",
        rate(metric("pg_stat_database_xact_commit"), datname=_real).named("committed"),
        rate(metric("pg_stat_database_xact_rollback"), datname=_real).named("rolled back"),
        note="Rollbacks that rise alone are errors in the application.",
    ),
    timeseries(
        "Rows written",
        rate(metric("pg_stat_database_tup_inserted"), datname=_real).named("inserted"),
        rate(metric("pg_stat_database_tup_updated"), datname=_real).named("updated"),
        rate(metric("pg_stat_database_tup_deleted"), datname=_real).named("deleted"),
        note="A jump without more requests is a job or a migration.",
    ),
    timeseries(
        "Found in Postgres's cache",
        ratio(
            _found,
            plus(_found, rate(metric("pg_stat_database_blks_read"), "datname", datname=_real)),
        ),
        top=1,
        note="Share of the blocks. Below 99 % the working set outgrows the memory.",
    ),
    timeseries(
        "Cache hits",
        ratio(rate(caches.LOOKUPS, "cache", result="hit"), _lookups),
        value(metric("cache_hit_ratio"), "cache", agg="min").named("{{cache}} (server)"),
        top=1,
        note="Share of lookups that found something. A fall after a release is often a changed key.",
    ),
)

_problems = row(
    "Locks, space and tables",
    timeseries(
        "Locks by mode",
        value(metric("pg_locks_count"), "mode"),
        stacked=True,
        note="An accessexclusivelock stops every reader of a table: a migration.",
    ),
    timeseries(
        "Temporary files",
        rate(metric("pg_stat_database_temp_bytes"), "datname", datname=_real),
        note="Sorts that do not fit in work_mem go to the disk.",
    ),
    timeseries(
        "Size of databases",
        value(metric("pg_database_size_bytes"), "datname", agg="max"),
        note="Watch the slope, not the height.",
    ),
    timeseries(
        "Pool time-outs",
        increase(pools.TIMEOUTS, "pool", over="5m"),
        bars=True,
        interval="5m",
        note="In five minutes. Each one is a request that failed.",
    ),
    table(
        "Tables",
        value(
            metric("pg_stat_user_tables_table_size_bytes"), "datname", "schemaname", "relname", agg="max"
        ).named("Size"),
        value(
            metric("pg_stat_user_tables_index_size_bytes"), "datname", "schemaname", "relname", agg="max"
        ).named("Indexes"),
        value(metric("pg_stat_user_tables_n_live_tup"), "datname", "schemaname", "relname", agg="max").named(
            "Rows"
        ),
        value(metric("pg_stat_user_tables_n_dead_tup"), "datname", "schemaname", "relname", agg="max").named(
            "Dead rows"
        ),
        rate(metric("pg_stat_user_tables_seq_tup_read"), "datname", "schemaname", "relname").named(
            "Rows scanned/s"
        ),
        note="The largest on top. Many rows scanned ask for an index, many dead rows for vacuum.",
    ),
    collapsed=True,
)

_redis = row(
    "Redis",
    timeseries(
        "Memory of Redis",
        value(metric("redis_memory_used_bytes"), "instance", agg="max").named("{{instance}} used"),
        value(metric("redis_memory_max_bytes"), "instance", agg="max").named("{{instance}} at most"),
        note="A maximum of 0 means none: Redis then grows until the machine has no memory left.",
    ),
    timeseries(
        "Lookups",
        rate(metric("redis_keyspace_hits_total")).named("found"),
        rate(metric("redis_keyspace_misses_total")).named("not found"),
        stacked=True,
        note="All programs that use this server together.",
    ),
    timeseries(
        "Evictions",
        rate(metric("redis_evicted_keys_total"), "instance"),
        note="Keys removed because memory was full: for a cache that is its work, for data it is loss.",
    ),
    timeseries(
        "Clients",
        value(metric("redis_connected_clients"), "instance"),
        note="A steady rise means connections that are never closed.",
    ),
    heatmap("Waiting for a connection, all pools", heat(pools.WAIT)),
    collapsed=True,
)


def board() -> Json:
    """Return the board."""
    return page(
        UID,
        "Database Health",
        _now,
        _pools,
        _work,
        _problems,
        _redis,
        description="Postgres, Redis and the application's pools and caches.",
    )
