"""Rows of the database board on Redis: memory, commands, latency, clients."""

from dashboards.layout import row
from dashboards.panels import timeseries
from dashboards.queries import growth, increase, rate, ratio, top, value
from dashboards.selectors import metric

_calls = rate(metric("redis_commands_total"), "cmd")
_spent = rate(metric("redis_commands_duration_seconds_total"), "cmd")

REDIS = row(
    "Redis",
    timeseries(
        "Memory of Redis",
        value(metric("redis_memory_used_bytes"), "instance", agg="max").named("{{instance}} used"),
        value(metric("redis_memory_used_rss_bytes"), "instance", agg="max").named("{{instance}} taken"),
        value(metric("redis_memory_max_bytes"), "instance", agg="max").named("{{instance}} at most"),
        note="A maximum of 0 means none: Redis then grows until the machine has no memory left. 'taken' far "
        "above 'used' is fragmentation.",
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
        rate(metric("redis_evicted_keys_total"), "instance").named("{{instance}} evicted"),
        rate(metric("redis_expired_keys_total"), "instance").named("{{instance}} expired"),
        note="Evicted because memory was full: for a cache that is its work, for data it is loss.",
    ),
    timeseries(
        "Clients",
        value(metric("redis_connected_clients"), "instance").named("{{instance}} connected"),
        value(metric("redis_blocked_clients"), "instance").named("{{instance}} waiting"),
        note="A steady rise means connections that are never closed.",
    ),
    timeseries(
        "Commands",
        top(5, _calls),
        note="The five most called at each moment.",
    ),
    timeseries(
        "Mean time of commands",
        top(5, ratio(_spent, _calls).named("{{cmd}}", "s")),
        note="The five slowest at each moment. One slow command holds up all clients.",
    ),
    timeseries(
        "Slow commands",
        growth(metric("redis_slowlog_last_id"), "instance", over="5m", agg="max"),
        bars=True,
        interval="5m",
        note="New in the slow log, in five minutes; `SLOWLOG GET` shows them.",
    ),
    timeseries(
        "Latency spikes",
        value(metric("redis_latency_spike_duration_seconds"), "event_name", agg="max"),
        note="The last one of each kind; no data unless latency-monitor-threshold is set.",
    ),
    timeseries(
        "Errors of Redis",
        increase(metric("redis_errors_total"), "err", over="5m"),
        bars=True,
        interval="5m",
        note="In five minutes, by the word that the answer began with. OOM: memory is full.",
    ),
    timeseries(
        "Replicas of Redis",
        value(metric("redis_connected_slave_lag_seconds"), "slave_ip", "slave_port", agg="max"),
        note="Seconds since each replica last acknowledged. No data without replicas.",
    ),
    timeseries(
        "Keys",
        value(metric("redis_db_keys"), "db", agg="max"),
        note="Keys that only grow have no time to live.",
    ),
    timeseries(
        "Processor time of Redis",
        rate(metric("redis_cpu_user_main_thread_seconds_total"), "instance").named("{{instance}} commands"),
        rate(metric("redis_cpu_sys_main_thread_seconds_total"), "instance").named("{{instance}} kernel"),
        stacked=True,
        note="Of the main thread. Together they cannot pass 100 %: there Redis is full.",
    ),
    collapsed=True,
)
