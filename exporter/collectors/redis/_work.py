"""The numbers of INFO about what a server did: commands, keys, replication, cluster; a metric each."""

from collections.abc import Iterable

from exporter.catalog import Metric
from exporter.collectors.redis._fields import counter, gauge

STATS = {
    "total_connections_received": counter("redis_connections_received_total", "Connections accepted."),
    "total_commands_processed": counter("redis_commands_processed_total", "Commands carried out."),
    "total_net_input_bytes": counter("redis_net_input_bytes_total", "Bytes received."),
    "total_net_output_bytes": counter("redis_net_output_bytes_total", "Bytes sent."),
    "total_net_repl_input_bytes": counter(
        "redis_net_repl_input_bytes_total", "Bytes received for replication; from Redis 7.0."
    ),
    "total_net_repl_output_bytes": counter(
        "redis_net_repl_output_bytes_total", "Bytes sent for replication; from Redis 7.0."
    ),
    "rejected_connections": counter(
        "redis_rejected_connections_total", "Connections refused because there were too many."
    ),
    "sync_full": gauge("redis_replica_resyncs_full", "Times that a replica copied all data."),
    "sync_partial_ok": gauge(
        "redis_replica_partial_resync_accepted", "Times that a replica could go on where it had been."
    ),
    "sync_partial_err": gauge(
        "redis_replica_partial_resync_denied", "Times that it could not, and had to copy all."
    ),
    "expired_keys": counter("redis_expired_keys_total", "Keys removed because their time was over."),
    "expired_subkeys": counter(
        "redis_expired_subkeys_total", "Fields of hashes removed because their time was over; from Redis 7.4."
    ),
    "expired_stale_perc": gauge(
        "redis_expired_stale_percentage", "Share of keys in memory whose time is over, in percent."
    ),
    "expired_time_cap_reached_count": counter(
        "redis_expired_time_cap_reached_total", "Times that removing such keys took too long and was put off."
    ),
    "expire_cycle_cpu_milliseconds": counter(
        "redis_expire_cycle_cpu_time_ms_total", "Milliseconds of processor time for removing such keys."
    ),
    "evicted_keys": counter("redis_evicted_keys_total", "Keys removed because memory had run out."),
    "evicted_clients": counter(
        "redis_evicted_clients_total", "Clients thrown out because memory had run out; from Redis 7.0."
    ),
    "evicted_scripts": counter(
        "redis_evicted_scripts_total", "Scripts of EVAL that were forgotten; from Redis 7.4."
    ),
    "total_eviction_exceeded_time": counter(
        "redis_eviction_exceeded_time_ms_total", "Milliseconds spent over the memory limit; from Redis 7.0."
    ),
    "current_eviction_exceeded_time": gauge(
        "redis_current_eviction_exceeded_time_ms", "Milliseconds over the limit by now; from Redis 7.0."
    ),
    "keyspace_hits": counter("redis_keyspace_hits_total", "Lookups that found their key."),
    "keyspace_misses": counter("redis_keyspace_misses_total", "Lookups that did not find their key."),
    "pubsub_channels": gauge("redis_pubsub_channels", "Channels with subscribers."),
    "pubsub_patterns": gauge("redis_pubsub_patterns", "Patterns with subscribers."),
    "pubsubshard_channels": gauge(
        "redis_pubsubshard_channels", "Channels of the cluster's shards with subscribers; from Redis 7.0."
    ),
    "latest_fork_usec": gauge("redis_latest_fork_seconds", "How long the last fork stopped the server."),
    "migrate_cached_sockets": gauge("redis_migrate_cached_sockets_total", "Connections open for MIGRATE."),
    "slave_expires_tracked_keys": gauge(
        "redis_slave_expires_tracked_keys", "Keys with a time to live that were written on this replica."
    ),
    "active_defrag_hits": gauge("redis_defrag_hits", "Values that defragmenting moved."),
    "active_defrag_misses": gauge("redis_defrag_misses", "Values that it looked at and left."),
    "active_defrag_key_hits": gauge("redis_defrag_key_hits", "Keys that defragmenting moved."),
    "active_defrag_key_misses": gauge("redis_defrag_key_misses", "Keys that it looked at and left."),
    "tracking_total_keys": gauge("redis_tracking_total_keys", "Keys that clients are known to cache."),
    "tracking_total_items": gauge("redis_tracking_total_items", "Clients of those keys, added up."),
    "tracking_total_prefixes": gauge("redis_tracking_total_prefixes", "Prefixes that are tracked."),
    "unexpected_error_replies": counter(
        "redis_unexpected_error_replies", "Errors while replicating or loading that should not be."
    ),
    "total_error_replies": counter("redis_total_error_replies", "Commands answered with an error."),
    "dump_payload_sanitizations": counter(
        "redis_dump_payload_sanitizations", "Times that a dump was checked deeply before it was taken."
    ),
    "total_reads_processed": counter("redis_total_reads_processed", "Times that a client was read from."),
    "total_writes_processed": counter("redis_total_writes_processed", "Times that a client was written to."),
    "io_threaded_reads_processed": counter(
        "redis_io_threaded_reads_processed", "Those reads that a thread did."
    ),
    "io_threaded_writes_processed": counter(
        "redis_io_threaded_writes_processed", "Those writes that a thread did."
    ),
    "client_query_buffer_limit_disconnections": counter(
        "redis_client_query_buffer_limit_disconnections_total",
        "Clients thrown out for what they sent; from Redis 7.4.",
    ),
    "client_output_buffer_limit_disconnections": counter(
        "redis_client_output_buffer_limit_disconnections_total",
        "Clients thrown out for what they did not read; from Redis 7.4.",
    ),
    "reply_buffer_shrinks": counter(
        "redis_reply_buffer_shrinks_total", "Times that a buffer was made smaller; from Redis 7.0."
    ),
    "reply_buffer_expands": counter(
        "redis_reply_buffer_expands_total", "Times that a buffer was made larger; from Redis 7.0."
    ),
    "eventloop_cycles": counter("redis_eventloop_cycles_total", "Turns of the event loop; from Redis 7.2."),
    "eventloop_duration_sum": counter(
        "redis_eventloop_duration_sum_usec_total", "Microseconds of those turns; from Redis 7.2."
    ),
    "eventloop_duration_cmd_sum": counter(
        "redis_eventloop_duration_cmd_sum_usec_total",
        "Microseconds of those turns that went to commands; from Redis 7.2.",
    ),
    "instantaneous_eventloop_cycles_per_sec": gauge(
        "redis_instantaneous_eventloop_cycles_per_sec", "Turns of the loop a second now; from Redis 7.2."
    ),
    "instantaneous_eventloop_duration_usec": gauge(
        "redis_instantaneous_eventloop_duration_usec", "Microseconds of a turn now; from Redis 7.2."
    ),
    "acl_access_denied_auth": counter(
        "redis_acl_access_denied_auth_total", "Logins that were refused; from Redis 7.2."
    ),
    "acl_access_denied_cmd": counter(
        "redis_acl_access_denied_cmd_total", "Commands that a user's rights refused; from Redis 7.2."
    ),
    "acl_access_denied_key": counter(
        "redis_acl_access_denied_key_total", "Keys that a user's rights refused; from Redis 7.2."
    ),
    "acl_access_denied_channel": counter(
        "redis_acl_access_denied_channel_total", "Channels that a user's rights refused; from Redis 7.2."
    ),
}

REPLICATION = {
    "connected_slaves": gauge("redis_connected_slaves", "Replicas connected."),
    "slave_priority": gauge(
        "redis_slave_priority", "Of replicas, Sentinel takes the lowest; 0 is never; absent on a master."
    ),
    "master_repl_offset": gauge("redis_master_repl_offset", "Bytes of replication written so far."),
    "second_repl_offset": gauge(
        "redis_second_repl_offset", "Offset up to which the former master's history is taken; -1 if none."
    ),
    "repl_backlog_active": gauge("redis_repl_backlog_is_active", "Whether there is a backlog: 1 or 0."),
    "repl_backlog_size": gauge("redis_replication_backlog_bytes", "How large the backlog may be."),
    "repl_backlog_first_byte_offset": gauge(
        "redis_repl_backlog_first_byte_offset", "Offset from which on a replica can go on."
    ),
    "repl_backlog_histlen": gauge("redis_repl_backlog_history_bytes", "Bytes in the backlog."),
}

CPU = {
    "used_cpu_sys": counter("redis_cpu_sys_seconds_total", "Seconds of processor time spent in the kernel."),
    "used_cpu_user": counter(
        "redis_cpu_user_seconds_total", "Seconds of processor time spent in Redis itself."
    ),
    "used_cpu_sys_children": counter(
        "redis_cpu_sys_children_seconds_total", "The kernel's share for children that saved the data."
    ),
    "used_cpu_user_children": counter("redis_cpu_user_children_seconds_total", "The children's own share."),
    "used_cpu_sys_main_thread": counter(
        "redis_cpu_sys_main_thread_seconds_total", "The kernel's share for the main thread alone."
    ),
    "used_cpu_user_main_thread": counter(
        "redis_cpu_user_main_thread_seconds_total",
        "The main thread's own share; a second a second is all that one thread has.",
    ),
}

# From CLUSTER INFO, but for the first.
CLUSTER = {
    "cluster_enabled": gauge("redis_cluster_enabled", "Whether the server belongs to a cluster: 1 or 0."),
    "cluster_state": gauge(
        "redis_cluster_state", "Whether this node can serve: 1, or 0 while slots or masters are missing."
    ),
    "cluster_slots_assigned": gauge("redis_cluster_slots_assigned", "Slots that a node serves, of 16384."),
    "cluster_slots_ok": gauge("redis_cluster_slots_ok", "Slots whose node answers."),
    "cluster_slots_pfail": gauge("redis_cluster_slots_pfail", "Slots whose node this one cannot reach."),
    "cluster_slots_fail": gauge("redis_cluster_slots_fail", "Slots whose node most cannot reach."),
    "cluster_known_nodes": gauge("redis_cluster_known_nodes", "Nodes known, failed ones too."),
    "cluster_size": gauge("redis_cluster_size", "Masters that serve slots."),
    "cluster_current_epoch": gauge("redis_cluster_current_epoch", "Number of changes that were voted on."),
    "cluster_my_epoch": gauge("redis_cluster_my_epoch", "The change that gave this node its slots."),
    "cluster_stats_messages_sent": gauge("redis_cluster_messages_sent_total", "Messages to other nodes."),
    "cluster_stats_messages_received": gauge(
        "redis_cluster_messages_received_total", "Messages from other nodes."
    ),
}

SENTINEL = {
    "sentinel_masters": gauge("redis_sentinel_masters", "Masters that this Sentinel watches."),
    "sentinel_tilt": gauge(
        "redis_sentinel_tilt", "Whether its clock jumped, so that it only looks on: 1 or 0."
    ),
    "sentinel_running_scripts": gauge("redis_sentinel_running_scripts", "Scripts that run now."),
    "sentinel_scripts_queue_length": gauge("redis_sentinel_scripts_queue_length", "Scripts that wait."),
    "sentinel_simulate_failure_flags": gauge(
        "redis_sentinel_simulate_failure_flags", "Failures that it was told to simulate."
    ),
}

BY_FIELD = {**STATS, **REPLICATION, **CPU, **CLUSTER, **SENTINEL}

# Fields in other units than the metric.
FACTORS = {"latest_fork_usec": 1e-6}


def declared_metrics() -> Iterable[Metric]:
    """Give the inventory what the tables above declare."""
    return BY_FIELD.values()
