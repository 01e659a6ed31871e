"""The numbers of INFO about a server itself: clients, memory, saving. Which metric each field feeds."""

from collections.abc import Iterable

from exporter.catalog import Kind, Metric


def gauge(name: str, help: str) -> Metric:  # noqa: A002 - the word of the field
    """Declare one of redis_exporter's gauges."""
    return _metric(name, "gauge", help)


def counter(name: str, help: str) -> Metric:  # noqa: A002
    """Declare one of its counters."""
    return _metric(name, "counter", help)


def _metric(name: str, kind: Kind, help: str) -> Metric:  # noqa: A002
    return Metric(name, kind, help, origin="redis_exporter")


SERVER = {
    "process_id": gauge("redis_process_id", "The server's process id."),
    "uptime_in_seconds": gauge("redis_uptime_in_seconds", "Seconds since the server started."),
    "hz": gauge("redis_hz", "Times a second that background tasks run now."),
    "configured_hz": gauge("redis_configured_hz", "Times a second that background tasks run at least."),
    "io_threads_active": gauge("redis_io_threads_active", "Whether threads read and write: 1 or 0."),
}

CLIENTS = {
    "connected_clients": gauge("redis_connected_clients", "Clients connected, replicas left out."),
    "cluster_connections": gauge("redis_cluster_connections", "Connections between nodes of the cluster."),
    "maxclients": gauge("redis_max_clients", "Clients that may be connected."),
    "client_recent_max_input_buffer": gauge(
        "redis_client_recent_max_input_buffer_bytes", "Largest input buffer of a client lately."
    ),
    "client_recent_max_output_buffer": gauge(
        "redis_client_recent_max_output_buffer_bytes", "Largest output buffer of a client lately."
    ),
    "blocked_clients": gauge(
        "redis_blocked_clients", "Clients that wait in a blocking command such as BLPOP."
    ),
    "tracking_clients": gauge(
        "redis_tracking_clients", "Clients that are told when keys they have cached change."
    ),
    "pubsub_clients": gauge("redis_pubsub_clients", "Clients that have subscribed; from Redis 7.4."),
    "watching_clients": gauge("redis_watching_clients", "Clients that WATCH keys; from Redis 7.4."),
    "clients_in_timeout_table": gauge(
        "redis_clients_in_timeout_table", "Clients that may wait no longer than a time."
    ),
    "total_watched_keys": gauge("redis_total_watched_keys", "Keys that are watched; from Redis 7.4."),
    "total_blocking_keys": gauge("redis_total_blocking_keys", "Keys that clients wait for; from Redis 7.2."),
    "total_blocking_keys_on_nokey": gauge(
        "redis_total_blocking_keys_on_nokey",
        "Keys whose deletion clients want to be told of; from Redis 7.2.",
    ),
}

MEMORY = {
    "used_memory": gauge(
        "redis_memory_used_bytes", "Memory that the data and the server's own structures take."
    ),
    "used_memory_rss": gauge("redis_memory_used_rss_bytes", "Memory that the process takes from the system."),
    "used_memory_peak": gauge("redis_memory_used_peak_bytes", "Most memory that was ever used."),
    "used_memory_overhead": gauge(
        "redis_memory_used_overhead_bytes", "Memory that the server's own structures take."
    ),
    "used_memory_startup": gauge("redis_memory_used_startup_bytes", "Memory that was used at the start."),
    "used_memory_dataset": gauge("redis_memory_used_dataset_bytes", "Memory that the data alone takes."),
    "used_memory_lua": gauge("redis_memory_used_lua_bytes", "Memory of the Lua engine for EVAL."),
    "used_memory_vm_eval": gauge(
        "redis_memory_used_vm_eval_bytes", "Memory of the engines for EVAL; from Redis 7.0."
    ),
    "used_memory_scripts_eval": gauge(
        "redis_memory_used_scripts_eval_bytes", "Memory that scripts of EVAL take; from Redis 7.0."
    ),
    "used_memory_vm_functions": gauge(
        "redis_memory_used_vm_functions_bytes", "Memory of the engines for functions; from Redis 7.0."
    ),
    "used_memory_functions": gauge(
        "redis_memory_used_functions_bytes", "Memory that functions take; from Redis 7.0."
    ),
    "used_memory_vm_total": gauge(
        "redis_memory_used_vm_total", "Memory of all scripting engines, in bytes; from Redis 7.0."
    ),
    "used_memory_scripts": gauge(
        "redis_memory_used_scripts_bytes", "Memory that scripts and functions take."
    ),
    "number_of_cached_scripts": gauge("redis_number_of_cached_scripts", "Scripts of EVAL that are kept."),
    "number_of_functions": gauge("redis_number_of_functions", "Functions loaded; from Redis 7.0."),
    "number_of_libraries": gauge("redis_number_of_libraries", "Libraries of functions; from Redis 7.0."),
    "maxmemory": gauge(
        "redis_memory_max_bytes",
        "Memory after which keys are evicted or writes refused; 0 means no limit.",
    ),
    "allocator_allocated": gauge("redis_allocator_allocated_bytes", "Memory that the allocator has given."),
    "allocator_active": gauge("redis_allocator_active_bytes", "Memory in the allocator's used pages."),
    "allocator_resident": gauge(
        "redis_allocator_resident_bytes", "Memory that the allocator takes from the system."
    ),
    "allocator_muzzy": gauge(
        "redis_allocator_muzzy_bytes", "Memory that the system may take back; from Redis 7.4."
    ),
    "allocator_frag_ratio": gauge(
        "redis_allocator_frag_ratio", "Active over allocated memory; far above 1 can be defragmented."
    ),
    "allocator_frag_bytes": gauge("redis_allocator_frag_bytes", "Active less allocated memory."),
    "allocator_rss_ratio": gauge(
        "redis_allocator_rss_ratio", "Resident over active memory; far above 1 will be given back."
    ),
    "allocator_rss_bytes": gauge("redis_allocator_rss_bytes", "Resident less active memory."),
    "mem_fragmentation_ratio": gauge(
        "redis_mem_fragmentation_ratio",
        "Memory taken from the system over memory used; far above 1 is waste, below 1 is swap.",
    ),
    "mem_fragmentation_bytes": gauge(
        "redis_mem_fragmentation_bytes", "Memory taken from the system less memory used."
    ),
    "mem_not_counted_for_evict": gauge(
        "redis_mem_not_counted_for_eviction_bytes", "Memory that the limit leaves out: replicas' buffers."
    ),
    "mem_replication_backlog": gauge(
        "redis_mem_replication_backlog_bytes", "Memory of the replication backlog."
    ),
    "mem_total_replication_buffers": gauge(
        "redis_mem_total_replication_buffers_bytes", "Memory of all replication buffers; from Redis 7.0."
    ),
    "mem_clients_slaves": gauge("redis_mem_clients_slaves", "Memory of replicas' connections, in bytes."),
    "mem_clients_normal": gauge("redis_mem_clients_normal", "Memory of clients' connections, in bytes."),
    "mem_cluster_links": gauge(
        "redis_mem_cluster_links_bytes", "Memory of connections in the cluster; from Redis 7.0."
    ),
    "mem_aof_buffer": gauge("redis_mem_aof_buffer_bytes", "Memory of what waits for the append-only file."),
    "mem_overhead_db_hashtable_rehashing": gauge(
        "redis_mem_overhead_db_hashtable_rehashing_bytes",
        "Memory of tables of keys that are being resized; from Redis 7.4.",
    ),
    "active_defrag_running": gauge(
        "redis_active_defrag_running", "Processor time that defragmenting takes, in percent; 0 is off."
    ),
    "lazyfree_pending_objects": gauge(
        "redis_lazyfree_pending_objects", "Objects that wait to be freed in the background."
    ),
    "lazyfreed_objects": gauge("redis_lazyfreed_objects", "Objects freed in the background."),
}

SAVING = {
    "loading": gauge("redis_loading_dump_file", "Whether the server still loads its data: 1 or 0."),
    "async_loading": gauge(
        "redis_async_loading", "Whether it loads while it serves the old data: 1 or 0; from Redis 7.0."
    ),
    "rdb_changes_since_last_save": gauge(
        "redis_rdb_changes_since_last_save", "Changes since the data were last saved."
    ),
    "rdb_bgsave_in_progress": gauge(
        "redis_rdb_bgsave_in_progress", "Whether the data are being saved now: 1 or 0."
    ),
    "rdb_last_save_time": gauge(
        "redis_rdb_last_save_timestamp_seconds", "When the data were last saved, as a Unix time."
    ),
    "rdb_last_bgsave_status": gauge(
        "redis_rdb_last_bgsave_status", "Whether the last saving in the background worked: 1 or 0."
    ),
    "rdb_last_bgsave_time_sec": gauge(
        "redis_rdb_last_bgsave_duration_sec", "Seconds that the last saving took; -1 when there was none."
    ),
    "rdb_current_bgsave_time_sec": gauge(
        "redis_rdb_current_bgsave_duration_sec", "Seconds that the saving under way has taken; -1 if none."
    ),
    "rdb_saves": gauge("redis_rdb_saves_total", "Times saved since the start; from Redis 7.0."),
    "rdb_last_cow_size": gauge(
        "redis_rdb_last_cow_size_bytes", "Memory that changed, and so was copied, during the last saving."
    ),
    "rdb_last_load_keys_expired": gauge(
        "redis_rdb_last_load_expired_keys", "Keys too old to be loaded at the start; from Redis 7.0."
    ),
    "rdb_last_load_keys_loaded": gauge(
        "redis_rdb_last_load_loaded_keys", "Keys loaded at the start; from Redis 7.0."
    ),
    "aof_enabled": gauge("redis_aof_enabled", "Whether changes go to the append-only file: 1 or 0."),
    "aof_rewrite_in_progress": gauge(
        "redis_aof_rewrite_in_progress", "Whether the append-only file is being rewritten: 1 or 0."
    ),
    "aof_rewrite_scheduled": gauge(
        "redis_aof_rewrite_scheduled", "Whether a rewriting waits for the saving to end: 1 or 0."
    ),
    "aof_last_rewrite_time_sec": gauge(
        "redis_aof_last_rewrite_duration_sec", "Seconds that the last rewriting took; -1 if none."
    ),
    "aof_current_rewrite_time_sec": gauge(
        "redis_aof_current_rewrite_duration_sec", "Seconds that the rewriting has taken; -1 if none."
    ),
    "aof_last_bgrewrite_status": gauge(
        "redis_aof_last_bgrewrite_status", "Whether the last rewriting worked: 1 or 0."
    ),
    "aof_last_write_status": gauge(
        "redis_aof_last_write_status", "Whether the last write to the append-only file worked: 1 or 0."
    ),
    "aof_last_cow_size": gauge(
        "redis_aof_last_cow_size_bytes", "Memory that changed, and so was copied, during the last rewriting."
    ),
    "aof_current_size": gauge("redis_aof_current_size_bytes", "Size of the append-only file."),
    "aof_base_size": gauge("redis_aof_base_size_bytes", "Its size after the last rewriting."),
    "aof_pending_rewrite": gauge("redis_aof_pending_rewrite", "Whether a rewriting is due: 1 or 0."),
    "aof_buffer_length": gauge("redis_aof_buffer_length", "Bytes that wait to be written to it."),
    "aof_rewrite_buffer_length": gauge(
        "redis_aof_rewrite_buffer_length", "Bytes that wait for the rewriting to end; until Redis 6.2."
    ),
    "aof_pending_bio_fsync": gauge("redis_aof_pending_bio_fsync", "Its fsync jobs that wait."),
    "aof_delayed_fsync": gauge("redis_aof_delayed_fsync", "Times that its fsync held the server up."),
    "module_fork_in_progress": gauge("redis_module_fork_in_progress", "Whether a module has forked: 1 or 0."),
    "module_fork_last_cow_size": gauge(
        "redis_module_fork_last_cow_size", "Bytes that changed during a module's last fork."
    ),
}

BY_FIELD = {**SERVER, **CLIENTS, **MEMORY, **SAVING}


def declared_metrics() -> Iterable[Metric]:
    """Give the inventory what the tables above declare."""
    return BY_FIELD.values()
