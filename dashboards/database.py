"""Database Health: is it up, is it short of connections, what waits, and does the cache help."""

from dashboards.colours import Step, alerting, falling
from dashboards.common import UP_DOWN, urgent_alerts
from dashboards.database_pools import CACHES, PGBOUNCER, POOLS
from dashboards.database_postgres import FOUND, HITS, LOCKS, MORE_WORK, UID, WORK
from dashboards.database_redis import REDIS
from dashboards.database_upkeep import INDEXES, REPLICATION, SPACE, VACUUM
from dashboards.layout import page, row, variable
from dashboards.panels import Json, alertlist, gauge, stat
from dashboards.queries import RANGE, increase, ratio, recorded, value, worst
from dashboards.selectors import like, metric
from exporter.instrument import pools

# Below one hit in two a cache costs more than it saves.
HITTING = falling(0.5, 0.8)
ANY = (Step(None, "green"), Step(1, "orange"))

_database = like("$database")
_connections = recorded("instance:pg_connections_used:ratio", "percentunit", agg="max")
_pool_use = ratio(value(pools.CONNECTIONS, "pool", state="in_use"), value(pools.SIZE_MAX, "pool"))


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
        colours=alerting("threshold:pg_connections_used:ratio"),
    ),
    gauge(
        "Fullest pool",
        worst(_pool_use),
        "Share of an application's pool that is lent out. At 100 % requests wait for a connection.",
        colours=alerting("threshold:database_pool_used:ratio"),
    ),
    stat(
        "Cache hits, Redis",
        value(metric("cache_hit_ratio"), agg="min"),
        "Share of lookups in the last five minutes that found something; no data while nobody looked.",
        colours=HITTING,
    ),
    urgent_alerts(),
    alertlist(family="database|db_.*|redis|cache|pgbouncer.*|replication|wraparound", width=9),
    stat(
        "Longest query",
        value(metric("database_longest_query_seconds"), agg="max", database=_database),
        "Running now. Beyond half a minute in a web application something is wrong.",
        colours=alerting("threshold:database_longest_query:seconds"),
        width=3,
        height=6,
    ),
    stat(
        "Blocked sessions",
        value(metric("database_blocked_sessions"), database=_database),
        "Sessions that wait for another session's lock.",
        colours=ANY,
        width=3,
        height=6,
    ),
    stat(
        "Deadlocks",
        increase(metric("pg_stat_database_deadlocks"), over=RANGE, datname=_database),
        "In the shown time. Two transactions took the same rows in another order.",
        colours=ANY,
        decimals=0,
        width=3,
        height=6,
    ),
    stat(
        "Found in Postgres's cache",
        FOUND,
        "Share of the blocks, of the worst database. Below 99 % the working set outgrows the memory.",
        colours=HITS,
        width=3,
        height=6,
    ),
    stat(
        "Replication lag",
        value(metric("pg_replication_lag_seconds"), agg="max"),
        "How far a replica is behind; 0 on a server that is none.",
        colours=alerting("threshold:database_replication_lag:seconds"),
        width=3,
        height=6,
    ),
)


def board() -> Json:
    """Return the board."""
    return page(
        UID,
        "Database Health",
        _now,
        POOLS,
        WORK,
        MORE_WORK,
        LOCKS,
        VACUUM,
        INDEXES,
        SPACE,
        REPLICATION,
        PGBOUNCER,
        CACHES,
        REDIS,
        description="Postgres, PgBouncer, Redis, and the application's pools and caches.",
        variables=[variable("datname", metric("pg_stat_database_xact_commit"), "Database", name="database")],
    )
