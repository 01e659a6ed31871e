"""Rows of the database board: connections, the application's pools, PgBouncer, and caches."""

from dashboards.layout import row
from dashboards.panels import heatmap, timeseries
from dashboards.queries import heat, increase, limit, quantile, rate, ratio, value
from dashboards.selectors import like, metric
from exporter.instrument import caches, pools

_database = like("$database")
_pooled = "pgbouncer_stats_totals_"
_lookups = rate(caches.LOOKUPS, "cache")

POOLS = row(
    "Connections and pools",
    timeseries(
        "Server connections by state",
        value(metric("pg_stat_activity_count"), "state", datname=_database),
        stacked=True,
        note="'idle in transaction' holds locks and does nothing: a transaction that somebody forgot to end.",
    ),
    timeseries(
        "Statements running",
        value(metric("database_connections_active"), "database", database=_database),
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
    timeseries(
        "Pool time-outs",
        increase(pools.TIMEOUTS, "pool", over="5m"),
        bars=True,
        interval="5m",
        note="In five minutes. Each one is a request that failed.",
    ),
    heatmap(
        "Waiting for a connection, all pools",
        heat(pools.WAIT),
        "A second band high up: some wait although most do not.",
    ),
)

PGBOUNCER = row(
    "PgBouncer",
    timeseries(
        "Clients of PgBouncer",
        value(metric("pgbouncer_pools_client_active_connections"), "database").named("{{database}} served"),
        value(metric("pgbouncer_pools_client_waiting_connections"), "database").named("{{database}} waiting"),
        note="Waiting clients mean that its pool is too small, or that transactions are too long.",
    ),
    timeseries(
        "Longest wait at PgBouncer",
        value(metric("pgbouncer_pools_client_maxwait_seconds"), "database", agg="max"),
        note="Of the first client in the queue. While it grows nobody gets a connection.",
    ),
    timeseries(
        "Server connections of PgBouncer",
        value(metric("pgbouncer_pools_server_active_connections"), "database").named("{{database}} in use"),
        value(metric("pgbouncer_pools_server_idle_connections"), "database").named("{{database}} idle"),
        value(metric("pgbouncer_databases_max_connections"), "database", agg="max").named(
            "{{database}} at most"
        ),
        note="At most 0 means that there is no limit for the database.",
    ),
    timeseries(
        "Queries through PgBouncer",
        rate(metric(f"{_pooled}queries_pooled_total"), "database"),
        note="Passed on, per second.",
    ),
    timeseries(
        "Mean query through PgBouncer",
        ratio(
            rate(metric(f"{_pooled}queries_duration_seconds_total"), "database"),
            rate(metric(f"{_pooled}queries_pooled_total"), "database"),
        ).named("{{database}}", "s"),
        note="Time at the server; waiting for a connection is not part of it.",
    ),
    timeseries(
        "Clients kept waiting",
        rate(metric(f"{_pooled}client_wait_seconds_total"), "database").named("{{database}}", "short"),
        note="Seconds of waiting per second: how many clients waited at once, on average.",
    ),
    collapsed=True,
)

CACHES = row(
    "Caches",
    timeseries(
        "Cache hits",
        ratio(rate(caches.LOOKUPS, "cache", result="hit"), _lookups),
        value(metric("cache_hit_ratio"), "cache", agg="min").named("{{cache}} (server)"),
        limit("threshold:cache_hits:ratio", "CacheHitRatioLow"),
        top=1,
        note="Share of lookups that found something. A fall after a release is often a changed key.",
    ),
    timeseries(
        "Lookups of the application",
        rate(caches.LOOKUPS, "cache", "result"),
        stacked=True,
        note="A cache that nobody asks any more shows 0, and saves nothing.",
    ),
    collapsed=True,
)
