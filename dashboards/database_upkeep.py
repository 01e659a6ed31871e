"""Rows of the database board on Postgres's upkeep: vacuum, wraparound, indexes, space, replication."""

from typing import Any

from dashboards.colours import rising
from dashboards.database_postgres import UID
from dashboards.layout import cell, link, row
from dashboards.panels import timeseries
from dashboards.queries import RANGE, growth, increase, limit, plus, rate, ratio, scaled, top, value
from dashboards.selectors import like, metric
from dashboards.tables import table

TWO_BILLION = 2e9  # transactions or multixacts; Postgres then stops writing

_database = like("$database")
_index: dict[str, Any] = {"database": _database}
_table = ("datname", "schemaname", "relname")
_dead = value(metric("pg_stat_user_tables_n_dead_tup"), *_table, agg="max", datname=_database)
_live = value(metric("pg_stat_user_tables_n_live_tup"), *_table, agg="max", datname=_database)

VACUUM = row(
    "Vacuum and wraparound",
    timeseries(
        "Way to wraparound",
        scaled(
            value(
                metric("pg_database_wraparound_age_datfrozenxid_seconds"),
                "datname",
                agg="max",
                datname=_database,
            ),
            1 / TWO_BILLION,
            "percentunit",
        ).named("{{datname}} transactions"),
        scaled(
            value(
                metric("pg_database_wraparound_age_datminmxid_seconds"),
                "datname",
                agg="max",
                datname=_database,
            ),
            1 / TWO_BILLION,
            "percentunit",
        ).named("{{datname}} multixacts"),
        limit("threshold:pg_wraparound_used:ratio", "WraparoundComing"),
        limit("threshold:pg_wraparound_used:ratio", "WraparoundNear"),
        note="At 100 % Postgres stops writing. Vacuum begins at 10 %; above 25 % something holds it up.",
    ),
    timeseries(
        "Autovacuum at work",
        value(metric("database_autovacuum_workers"), "instance", agg="max").named("at work"),
        value(metric("pg_settings_autovacuum_max_workers"), "instance", agg="max").named("at most"),
        note="Always at most: it does not keep up. Give it more cost limit rather than more workers.",
    ),
    timeseries(
        "Tables that are due",
        value(metric("database_tables_vacuum_due"), "database", **_index).named("{{database}} due"),
        value(metric("database_tables_autovacuum_off"), "database", **_index).named("{{database}} off"),
        note="Tables with more dead rows than should stand, and those for which autovacuum is switched off.",
    ),
    timeseries(
        "Dead rows",
        top(5, ratio(_dead, plus(_dead, _live)).named("{{datname}} {{relname}}")),
        note="Share of the rows of the five worst tables at each moment.",
    ),
    collapsed=True,
)

INDEXES = row(
    "Tables and indexes",
    table(
        "Tables",
        value(metric("pg_stat_user_tables_table_size_bytes"), *_table, agg="max", datname=_database).named(
            "Size"
        ),
        value(metric("pg_stat_user_tables_index_size_bytes"), *_table, agg="max", datname=_database).named(
            "Indexes"
        ),
        _live.named("Rows"),
        _dead.named("Dead rows"),
        rate(metric("pg_stat_user_tables_seq_tup_read"), *_table, datname=_database).named("Rows scanned/s"),
        note="The largest on top. Many rows scanned ask for an index, many dead rows for vacuum.",
        links={"datname": link(UID, database=cell("datname"))},
    ),
    table(
        "Indexes",
        value(metric("database_index_size_bytes"), "database", "table", "index", agg="max", **_index).named(
            "Size"
        ),
        increase(
            metric("database_index_scans_total"), "database", "table", "index", over=RANGE, **_index
        ).named("Scans"),
        note="The largest on top, with their use in the shown time.",
        links={"database": link(UID, database=cell("database"))},
        width=12,
    ),
    table(
        "Indexes to look at",
        value(metric("database_indexes_unused"), "database", **_index).named("Unused"),
        value(metric("database_indexes_unused_bytes"), "database", **_index).named("Their space"),
        value(metric("database_indexes_duplicate"), "database", **_index).named("Duplicate"),
        value(metric("database_indexes_invalid"), "database", **_index).named("Invalid"),
        value(metric("database_foreign_keys_without_index"), "database", **_index).named("Keys without"),
        note="'Keys without' are foreign keys whose columns lead no index. Look at replicas before dropping "
        "an unused one: they may use it.",
        colours={"Invalid": rising(1, 10)},
        links={"database": link(UID, database=cell("database"))},
        width=12,
    ),
    table(
        "Sequences near their end",
        value(
            metric("database_sequence_used_ratio"), "database", "schema", "sequence", agg="max", **_index
        ).named("Used"),
        note="At 100 % inserts fail: make the column a bigint in time.",
        colours={"Used": rising(0.5, 0.8)},
        links={"database": link(UID, database=cell("database"))},
        width=12,
    ),
    timeseries(
        "Scans by kind",
        rate(metric("pg_stat_user_tables_seq_scan"), datname=_database).named("of whole tables"),
        rate(metric("pg_stat_user_tables_idx_scan"), datname=_database).named("by an index"),
        note="Scans of whole tables are right for small ones; the table above says which are large.",
    ),
    collapsed=True,
)

SPACE = row(
    "Space and write-ahead log",
    timeseries(
        "Size of databases",
        value(metric("pg_database_size_bytes"), "datname", agg="max", datname=_database),
        note="Watch the slope, not the height.",
    ),
    timeseries(
        "Growth in a day",
        growth(metric("pg_database_size_bytes"), "datname", over="1d", agg="max", datname=_database),
        note="More than in the 24 hours before each point. Compare with the free space of the disk.",
    ),
    timeseries(
        "Fastest growing tables",
        top(
            5,
            growth(
                metric("pg_stat_user_tables_table_size_bytes"),
                *_table,
                over="1d",
                agg="max",
                datname=_database,
            ).named("{{datname}} {{relname}}"),
        ),
        note="The five at each moment, over the 24 hours before it.",
    ),
    timeseries(
        "Write-ahead log written",
        rate(metric("database_wal_written_bytes_total"), "instance"),
        note="What replicas and archives must keep up with.",
    ),
    timeseries(
        "Write-ahead log on disk",
        value(metric("pg_wal_size_bytes"), "instance", agg="max"),
        value(metric("pg_settings_max_wal_size_bytes"), "instance", agg="max").named("{{instance}} aim"),
        note="Far above the aim: a slot, or an archive that fails, keeps it from being removed.",
    ),
    timeseries(
        "Files not archived",
        increase(metric("pg_stat_archiver_failed_count"), "instance", over="5m"),
        bars=True,
        interval="5m",
        note="Tries that failed, in five minutes. Until one works there is no restore to this moment.",
    ),
    collapsed=True,
)

REPLICATION = row(
    "Replication",
    timeseries(
        "This replica's lag",
        value(metric("pg_replication_lag_seconds"), "instance", agg="max"),
        note="How far it is behind in what it has received; 0 on a primary.",
    ),
    timeseries(
        "Replicas' lag",
        value(metric("database_replica_lag_seconds"), "replica", agg="max"),
        limit("threshold:database_replication_lag:seconds", "ReplicationLagElevated"),
        note="From a commit here to its replay there. No data without replicas, or with nothing to replay.",
    ),
    timeseries(
        "Not replayed yet",
        value(metric("database_replica_lag_bytes"), "replica", agg="max"),
        note="Write-ahead log that a connected replica has still to replay.",
    ),
    timeseries(
        "Kept back by slots",
        value(metric("database_replication_slot_retained_bytes"), "slot", agg="max"),
        note="A slot that nobody reads keeps the log until the disk is full: drop it.",
    ),
    timeseries(
        "Replicas connected",
        value(metric("database_replicas"), "state", agg="max"),
        note="By state; 'streaming' is the healthy one.",
    ),
    collapsed=True,
)
