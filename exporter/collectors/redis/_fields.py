"""The numbers of INFO that stand for themselves: which metric each field feeds."""

from exporter.catalog import Kind, Metric


def _metric(name: str, kind: Kind, help: str) -> Metric:  # noqa: A002 - the word of the field
    return Metric(name, kind, help, origin="redis_exporter")


UPTIME = _metric("redis_uptime_in_seconds", "gauge", "Seconds since the server started.")
CONNECTED_CLIENTS = _metric("redis_connected_clients", "gauge", "Clients connected, replicas left out.")
BLOCKED_CLIENTS = _metric(
    "redis_blocked_clients", "gauge", "Clients that wait in a blocking command such as BLPOP."
)
TRACKING_CLIENTS = _metric(
    "redis_tracking_clients", "gauge", "Clients that are told when keys they have cached change."
)
MAX_CLIENTS = _metric("redis_max_clients", "gauge", "Clients that may be connected.")
MEMORY_USED = _metric(
    "redis_memory_used_bytes", "gauge", "Memory that the data and the server's own structures take."
)
MEMORY_USED_RSS = _metric(
    "redis_memory_used_rss_bytes", "gauge", "Memory that the process takes from the system."
)
MEMORY_USED_PEAK = _metric("redis_memory_used_peak_bytes", "gauge", "Most memory that was ever used.")
MEMORY_USED_DATASET = _metric("redis_memory_used_dataset_bytes", "gauge", "Memory that the data alone takes.")
MEMORY_USED_OVERHEAD = _metric(
    "redis_memory_used_overhead_bytes", "gauge", "Memory that the server's own structures take."
)
MEMORY_MAX = _metric(
    "redis_memory_max_bytes",
    "gauge",
    "Memory after which keys are evicted or writes refused; 0 means no limit.",
)
FRAGMENTATION = _metric(
    "redis_mem_fragmentation_ratio",
    "gauge",
    "Memory taken from the system over memory used; far above 1 is waste, below 1 is swap.",
)
LOADING = _metric("redis_loading_dump_file", "gauge", "Whether the server still loads its data: 1 or 0.")
RDB_CHANGES = _metric("redis_rdb_changes_since_last_save", "gauge", "Changes since the data were last saved.")
RDB_LAST_SAVE = _metric(
    "redis_rdb_last_save_timestamp_seconds", "gauge", "When the data were last saved, as a Unix time."
)
RDB_LAST_STATUS = _metric(
    "redis_rdb_last_bgsave_status", "gauge", "Whether the last saving in the background worked: 1 or 0."
)
RDB_IN_PROGRESS = _metric(
    "redis_rdb_bgsave_in_progress", "gauge", "Whether the data are being saved now: 1 or 0."
)
AOF_ENABLED = _metric(
    "redis_aof_enabled", "gauge", "Whether changes are logged to the append-only file: 1 or 0."
)
AOF_LAST_WRITE_STATUS = _metric(
    "redis_aof_last_write_status", "gauge", "Whether the last write to the append-only file worked: 1 or 0."
)
CONNECTIONS_RECEIVED = _metric("redis_connections_received_total", "counter", "Connections accepted.")
COMMANDS_PROCESSED = _metric("redis_commands_processed_total", "counter", "Commands carried out.")
NET_INPUT = _metric("redis_net_input_bytes_total", "counter", "Bytes received.")
NET_OUTPUT = _metric("redis_net_output_bytes_total", "counter", "Bytes sent.")
REJECTED_CONNECTIONS = _metric(
    "redis_rejected_connections_total", "counter", "Connections refused because there were too many."
)
EXPIRED_KEYS = _metric("redis_expired_keys_total", "counter", "Keys removed because their time was over.")
EVICTED_KEYS = _metric("redis_evicted_keys_total", "counter", "Keys removed because memory had run out.")
KEYSPACE_HITS = _metric("redis_keyspace_hits_total", "counter", "Lookups that found their key.")
KEYSPACE_MISSES = _metric("redis_keyspace_misses_total", "counter", "Lookups that did not find their key.")
PUBSUB_CHANNELS = _metric("redis_pubsub_channels", "gauge", "Channels with subscribers.")
LATEST_FORK = _metric("redis_latest_fork_seconds", "gauge", "How long the last fork stopped the server.")
ERROR_REPLIES = _metric("redis_total_error_replies", "counter", "Commands answered with an error.")
CONNECTED_SLAVES = _metric("redis_connected_slaves", "gauge", "Replicas connected.")
MASTER_REPL_OFFSET = _metric("redis_master_repl_offset", "gauge", "Bytes of replication written so far.")
CPU_SYS = _metric("redis_cpu_sys_seconds_total", "counter", "Seconds of processor time spent in the kernel.")
CPU_USER = _metric(
    "redis_cpu_user_seconds_total", "counter", "Seconds of processor time spent in Redis itself."
)

BY_FIELD = {
    "uptime_in_seconds": UPTIME,
    "connected_clients": CONNECTED_CLIENTS,
    "blocked_clients": BLOCKED_CLIENTS,
    "tracking_clients": TRACKING_CLIENTS,
    "maxclients": MAX_CLIENTS,
    "used_memory": MEMORY_USED,
    "used_memory_rss": MEMORY_USED_RSS,
    "used_memory_peak": MEMORY_USED_PEAK,
    "used_memory_dataset": MEMORY_USED_DATASET,
    "used_memory_overhead": MEMORY_USED_OVERHEAD,
    "maxmemory": MEMORY_MAX,
    "mem_fragmentation_ratio": FRAGMENTATION,
    "loading": LOADING,
    "rdb_changes_since_last_save": RDB_CHANGES,
    "rdb_last_save_time": RDB_LAST_SAVE,
    "rdb_last_bgsave_status": RDB_LAST_STATUS,
    "rdb_bgsave_in_progress": RDB_IN_PROGRESS,
    "aof_enabled": AOF_ENABLED,
    "aof_last_write_status": AOF_LAST_WRITE_STATUS,
    "total_connections_received": CONNECTIONS_RECEIVED,
    "total_commands_processed": COMMANDS_PROCESSED,
    "total_net_input_bytes": NET_INPUT,
    "total_net_output_bytes": NET_OUTPUT,
    "rejected_connections": REJECTED_CONNECTIONS,
    "expired_keys": EXPIRED_KEYS,
    "evicted_keys": EVICTED_KEYS,
    "keyspace_hits": KEYSPACE_HITS,
    "keyspace_misses": KEYSPACE_MISSES,
    "pubsub_channels": PUBSUB_CHANNELS,
    "latest_fork_usec": LATEST_FORK,
    "total_error_replies": ERROR_REPLIES,
    "connected_slaves": CONNECTED_SLAVES,
    "master_repl_offset": MASTER_REPL_OFFSET,
    "used_cpu_sys": CPU_SYS,
    "used_cpu_user": CPU_USER,
}

# Fields in other units than the metric.
FACTORS = {"latest_fork_usec": 1e-6}
