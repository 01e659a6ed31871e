"""From the text of INFO to samples, under redis_exporter's names."""

import time
from collections.abc import Iterator, Mapping

from exporter.catalog import Kind, Metric, Sample
from exporter.collectors.redis import _fields, _work

# Names of errors come from scripts, and databases can be many: so many have series of their own.
MOST = {"cmd": 500, "err": 100, "db": 100}
OTHER = "other"


def _metric(name: str, kind: Kind, help: str, *labels: str) -> Metric:  # noqa: A002 - as in Metric
    return Metric(name, kind, help, labels, origin="redis_exporter")


INSTANCE = _metric(
    "redis_instance_info",
    "gauge",
    "Always 1; the labels tell the server's version, role and settings.",
    "availability_zone",
    "master_replid",
    "maxmemory_policy",
    "os",
    "process_id",
    "redis_build_id",
    "redis_mode",
    "redis_version",
    "role",
    "run_id",
    "tcp_port",
    "valkey_release_stage",
    "valkey_version",
)
START_TIME = _metric("redis_start_time_seconds", "gauge", "When the server started, as a Unix time.")
# redis_exporter asks CONFIG for these; INFO says the same, and needs no right that shows passwords.
CONFIG_MAXCLIENTS = _metric("redis_config_maxclients", "gauge", "Clients that may be connected.")
CONFIG_MAXMEMORY = _metric("redis_config_maxmemory", "gauge", "As redis_memory_max_bytes.")
CONFIG_BACKLOG = _metric("redis_config_repl_backlog_size", "gauge", "As redis_replication_backlog_bytes.")
DB_KEYS = _metric("redis_db_keys", "gauge", "Keys in the database.", "db")
DB_KEYS_EXPIRING = _metric("redis_db_keys_expiring", "gauge", "Keys that have a time to live.", "db")
DB_AVG_TTL = _metric(
    "redis_db_avg_ttl_seconds", "gauge", "Mean time to live of those keys, as Redis estimates it.", "db"
)
DB_EXPIRING_ITEMS = _metric(
    "redis_db_keys_with_expiring_items",
    "gauge",
    "Hashes of which a field has a time to live; from Redis 7.4.",
    "db",
)
COMMANDS = _metric("redis_commands_total", "counter", "Calls of the command.", "cmd")
COMMANDS_DURATION = _metric(
    "redis_commands_duration_seconds_total",
    "counter",
    "Seconds spent in the command; divided by its calls it is the mean time of one.",
    "cmd",
)
COMMANDS_FAILED = _metric(
    "redis_commands_failed_calls_total",
    "counter",
    "Calls of the command that failed while it ran, from Redis 6.2.",
    "cmd",
)
COMMANDS_REJECTED = _metric(
    "redis_commands_rejected_calls_total",
    "counter",
    "Calls of the command that were refused before it ran, from Redis 6.2.",
    "cmd",
)
ERRORS = _metric(
    "redis_errors_total",
    "counter",
    "Errors by the word that the answer began with, from Redis 6.2.",
    "err",
)
_MASTER = ("master_host", "master_port")
MASTER_LINK_UP = _metric(
    "redis_master_link_up",
    "gauge",
    "Whether this replica is connected to its master: 1 or 0; absent on a master.",
    *_MASTER,
)
MASTER_LAST_IO = _metric(
    "redis_master_last_io_seconds_ago",
    "gauge",
    "Seconds since this replica last heard of its master, -1 while disconnected; absent on a master.",
    *_MASTER,
)
MASTER_SYNC_IN_PROGRESS = _metric(
    "redis_master_sync_in_progress",
    "gauge",
    "Whether this replica is copying all data: 1 or 0; absent on a master.",
    *_MASTER,
)
SLAVE_REPL_OFFSET = _metric(
    "redis_slave_repl_offset", "gauge", "Bytes of replication that this replica has taken.", *_MASTER
)
SLAVE_INFO = _metric(
    "redis_slave_info", "gauge", "Always 1 on a replica; absent on a master.", *_MASTER, "read_only"
)
_SLAVE = ("slave_ip", "slave_port", "slave_state")
SLAVE_LAG = _metric(
    "redis_connected_slave_lag_seconds", "gauge", "Seconds since the replica last acknowledged.", *_SLAVE
)
SLAVE_OFFSET = _metric(
    "redis_connected_slave_offset_bytes",
    "gauge",
    "Bytes of replication that the replica has acknowledged.",
    *_SLAVE,
)
_WATCHED = ("master_name", "master_address")
SENTINEL_STATUS = _metric(
    "redis_sentinel_master_status",
    "gauge",
    "Whether this Sentinel finds the master well: 1 or 0; the label master_status says what it finds.",
    *_WATCHED,
    "master_status",
)
SENTINEL_SLAVES = _metric("redis_sentinel_master_slaves", "gauge", "Replicas of the master.", *_WATCHED)
SENTINEL_SENTINELS = _metric(
    "redis_sentinel_master_sentinels", "gauge", "Sentinels that watch the master, this one too.", *_WATCHED
)

_BY_FIELD = {**_fields.BY_FIELD, **_work.BY_FIELD}
_BY_CONFIG = {
    "maxclients": CONFIG_MAXCLIENTS,
    "maxmemory": CONFIG_MAXMEMORY,
    "repl_backlog_size": CONFIG_BACKLOG,
}
_BY_CALLS = {
    "calls": (COMMANDS, 1.0),
    "usec": (COMMANDS_DURATION, 1e-6),
    "failed_calls": (COMMANDS_FAILED, 1.0),
    "rejected_calls": (COMMANDS_REJECTED, 1.0),
}
_BY_KEYSPACE = {
    "keys": (DB_KEYS, 1.0),
    "expires": (DB_KEYS_EXPIRING, 1.0),
    "avg_ttl": (DB_AVG_TTL, 1e-3),
    "subexpiry": (DB_EXPIRING_ITEMS, 1.0),
    "keys_with_volatile_items": (DB_EXPIRING_ITEMS, 1.0),  # Valkey's name for it
}
_BY_COUNT = {"count": (ERRORS, 1.0)}
_BY_MASTER = {
    "master_last_io_seconds_ago": MASTER_LAST_IO,
    "master_sync_in_progress": MASTER_SYNC_IN_PROGRESS,
    "slave_repl_offset": SLAVE_REPL_OFFSET,
}
_BY_SLAVE = {"lag": SLAVE_LAG, "offset": SLAVE_OFFSET}
_BY_WATCHED = {"slaves": SENTINEL_SLAVES, "sentinels": SENTINEL_SENTINELS}
_WORDS = {"ok": 1.0, "err": 0.0, "fail": 0.0}


def parse(text: str) -> dict[str, str]:
    """Return the fields of INFO; section headings are left out."""
    lines = (line.partition(":") for line in text.splitlines() if not line.startswith("#"))
    return {name: value for name, colon, value in lines if colon}


def samples(info: Mapping[str, str], now: float | None = None) -> Iterator[Sample]:
    """Yield what a server says, whatever its version leaves out. `now` is the Unix time."""
    known = {**info, "redis_mode": info.get("redis_mode") or info.get("server_mode", "")}
    yield Sample(INSTANCE, tuple(known.get(label, "") for label in INSTANCE.labels), 1)
    if "uptime_in_seconds" in info:
        yield START_TIME.sample((time.time() if now is None else now) - float(info["uptime_in_seconds"]))
    yield from numbers(info)
    tables = _tables(info)
    yield from _rows(tables["cmdstat"], "cmd", _BY_CALLS)
    yield from _rows(tables["errorstat"], "err", _BY_COUNT)
    if "role" in info:  # no Sentinel
        # An empty database has no line; the first is always shown, so that its series does not vanish.
        yield from _rows({"db0": {"keys": "0", "expires": "0"}, **tables["db"]}, "db", _BY_KEYSPACE)
    for replica in tables["slave"].values():
        yield from _replica(replica)
    for master in tables["master"].values():
        yield from _watched(master)
    yield from _as_replica(info)


def numbers(info: Mapping[str, str]) -> Iterator[Sample]:
    """Yield the fields that stand for themselves."""
    for field, text in info.items():
        if metric := _BY_FIELD.get(field):
            number = _number(text)
            if number is not None:
                yield metric.sample(number * _work.FACTORS.get(field, 1))
                if field in _BY_CONFIG:
                    yield _BY_CONFIG[field].sample(number)


def masters(info: Mapping[str, str]) -> list[str]:
    """Return the names of the masters that a Sentinel watches."""
    return [master["name"] for master in _tables(info)["master"].values()]


_Table = dict[str, dict[str, str]]


def _tables(info: Mapping[str, str]) -> dict[str, _Table]:
    """Return the lines that make tables, by kind and name: `cmdstat_get:calls=2,usec=4`, `db0:keys=7`."""
    tables: dict[str, _Table] = {kind: {} for kind in ("cmdstat", "errorstat", "db", "slave", "master")}
    for field, value in info.items():
        if "=" not in value:
            continue
        kind, _, name = field.partition("_")
        if kind in ("cmdstat", "errorstat"):
            tables[kind][name] = _parts(value)
        else:
            kind = field.rstrip("0123456789")
            if kind != field and kind in tables:
                tables[kind][field] = _parts(value)
    return tables


def _rows(table: _Table, label: str, metrics: Mapping[str, tuple[Metric, float]]) -> Iterator[Sample]:
    """Yield a table's numbers; beyond the limit they are added up as one row."""
    rest: dict[Metric, float] = {}
    for count, name in enumerate(sorted(table) if len(table) > MOST[label] else table):
        for part, text in table[name].items():
            if part in metrics:
                metric, factor = metrics[part]
                if count < MOST[label]:
                    yield Sample(metric, (name,), float(text) * factor)
                else:
                    rest[metric] = rest.get(metric, 0.0) + float(text) * factor
    for metric, value in rest.items():
        yield Sample(metric, (OTHER,), value)


def _replica(slave: Mapping[str, str]) -> Iterator[Sample]:
    labels = {"slave_ip": slave["ip"], "slave_port": slave["port"], "slave_state": slave["state"]}
    for part, metric in _BY_SLAVE.items():
        if part in slave:
            yield metric.sample(float(slave[part]), **labels)


def _watched(master: Mapping[str, str]) -> Iterator[Sample]:
    labels = {"master_name": master["name"], "master_address": master["address"]}
    yield SENTINEL_STATUS.sample(master["status"] == "ok", **labels, master_status=master["status"])
    for part, metric in _BY_WATCHED.items():
        yield metric.sample(float(master[part]), **labels)


def _as_replica(info: Mapping[str, str]) -> Iterator[Sample]:
    if "master_host" not in info:
        return
    labels = {label: info[label] for label in _MASTER}
    yield MASTER_LINK_UP.sample(info["master_link_status"] == "up", **labels)
    yield SLAVE_INFO.sample(1, **labels, read_only=info.get("slave_read_only", ""))
    for field, metric in _BY_MASTER.items():
        if field in info:
            yield metric.sample(float(info[field]), **labels)


def _parts(value: str) -> dict[str, str]:
    return dict(part.split("=", 1) for part in value.split(",") if "=" in part)


def _number(text: str) -> float | None:
    """Return a field as a number; a word that a version may put there is none."""
    if text in _WORDS:
        return _WORDS[text]
    try:
        return float(text)
    except ValueError:
        return None
