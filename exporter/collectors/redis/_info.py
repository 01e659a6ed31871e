"""From the text of INFO to samples, under redis_exporter's names."""

from collections.abc import Iterator, Mapping

from exporter.catalog import Metric, Sample
from exporter.collectors.redis._fields import BY_FIELD, FACTORS

INSTANCE = Metric(
    "redis_instance_info",
    "gauge",
    "Always 1; the labels tell the server's version, role and settings.",
    (
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
    ),
    origin="redis_exporter",
)
DB_KEYS = Metric("redis_db_keys", "gauge", "Keys in the database.", ("db",), origin="redis_exporter")
DB_KEYS_EXPIRING = Metric(
    "redis_db_keys_expiring", "gauge", "Keys that have a time to live.", ("db",), origin="redis_exporter"
)
COMMANDS = Metric(
    "redis_commands_total", "counter", "Calls of the command.", ("cmd",), origin="redis_exporter"
)
COMMANDS_DURATION = Metric(
    "redis_commands_duration_seconds_total",
    "counter",
    "Seconds spent in the command; divided by its calls it is the mean time of one.",
    ("cmd",),
    origin="redis_exporter",
)
COMMANDS_FAILED = Metric(
    "redis_commands_failed_calls_total",
    "counter",
    "Calls of the command that failed while it ran, from Redis 6.2.",
    ("cmd",),
    origin="redis_exporter",
)
COMMANDS_REJECTED = Metric(
    "redis_commands_rejected_calls_total",
    "counter",
    "Calls of the command that were refused before it ran, from Redis 6.2.",
    ("cmd",),
    origin="redis_exporter",
)
ERRORS = Metric(
    "redis_errors_total",
    "counter",
    "Errors by the word that the answer began with, from Redis 6.2.",
    ("err",),
    origin="redis_exporter",
)
_MASTER = ("master_host", "master_port")
MASTER_LINK_UP = Metric(
    "redis_master_link_up",
    "gauge",
    "Whether this replica is connected to its master: 1 or 0; absent on a master.",
    _MASTER,
    origin="redis_exporter",
)
MASTER_LAST_IO = Metric(
    "redis_master_last_io_seconds_ago",
    "gauge",
    "Seconds since this replica last heard of its master, -1 while disconnected; absent on a master.",
    _MASTER,
    origin="redis_exporter",
)
MASTER_SYNC_IN_PROGRESS = Metric(
    "redis_master_sync_in_progress",
    "gauge",
    "Whether this replica is copying all data: 1 or 0; absent on a master.",
    _MASTER,
    origin="redis_exporter",
)
_SLAVE = ("slave_ip", "slave_port", "slave_state")
SLAVE_LAG = Metric(
    "redis_connected_slave_lag_seconds",
    "gauge",
    "Seconds since the replica last acknowledged.",
    _SLAVE,
    origin="redis_exporter",
)
SLAVE_OFFSET = Metric(
    "redis_connected_slave_offset_bytes",
    "gauge",
    "Bytes of replication that the replica has acknowledged.",
    _SLAVE,
    origin="redis_exporter",
)

_BY_CALLS = {
    "calls": (COMMANDS, 1),
    "usec": (COMMANDS_DURATION, 1e-6),
    "failed_calls": (COMMANDS_FAILED, 1),
    "rejected_calls": (COMMANDS_REJECTED, 1),
}
_BY_KEYSPACE = {"keys": DB_KEYS, "expires": DB_KEYS_EXPIRING}
_BY_MASTER = {
    "master_last_io_seconds_ago": MASTER_LAST_IO,
    "master_sync_in_progress": MASTER_SYNC_IN_PROGRESS,
}
_BY_SLAVE = {"lag": SLAVE_LAG, "offset": SLAVE_OFFSET}
_WORDS = {"ok": 1.0, "err": 0.0, "fail": 0.0}


def parse(text: str) -> dict[str, str]:
    """Return the fields of INFO; section headings are left out."""
    lines = (line.split(":", 1) for line in text.splitlines() if line and not line.startswith("#"))
    return {name: value for name, value in lines}  # noqa: C416 - dict() would not check for two parts


def samples(info: Mapping[str, str]) -> Iterator[Sample]:
    """Yield what a server says, whatever its version leaves out."""
    yield Sample(INSTANCE, tuple(info.get(label, "") for label in INSTANCE.labels), 1)
    for field, metric in BY_FIELD.items():
        if field in info:
            yield metric.sample(_number(info[field]) * FACTORS.get(field, 1))
    # An empty database has no line; the first is always shown, so that its series does not vanish.
    for field, value in {"db0": "keys=0,expires=0", **info}.items():
        kind, _, name = field.partition("_")
        if field[:2] == "db" and field[2:].isdecimal():
            for part, text in _parts(value).items():
                if part in _BY_KEYSPACE:
                    yield _BY_KEYSPACE[part].sample(float(text), db=field)
        elif kind == "cmdstat":
            for part, text in _parts(value).items():
                if part in _BY_CALLS:
                    metric, factor = _BY_CALLS[part]
                    yield metric.sample(float(text) * factor, cmd=name)
        elif kind == "errorstat":
            yield ERRORS.sample(float(_parts(value)["count"]), err=name)
        elif field[:5] == "slave" and field[5:].isdecimal():
            yield from _replica(_parts(value))
    yield from _as_replica(info)


def _replica(slave: Mapping[str, str]) -> Iterator[Sample]:
    labels = {"slave_ip": slave["ip"], "slave_port": slave["port"], "slave_state": slave["state"]}
    for part, metric in _BY_SLAVE.items():
        if part in slave:
            yield metric.sample(float(slave[part]), **labels)


def _as_replica(info: Mapping[str, str]) -> Iterator[Sample]:
    if "master_host" not in info:
        return
    labels = {label: info[label] for label in _MASTER}
    yield MASTER_LINK_UP.sample(info["master_link_status"] == "up", **labels)
    for field, metric in _BY_MASTER.items():
        if field in info:
            yield metric.sample(float(info[field]), **labels)


def _parts(value: str) -> dict[str, str]:
    return dict(part.split("=", 1) for part in value.split(",") if "=" in part)


def _number(text: str) -> float:
    return _WORDS[text] if text in _WORDS else float(text)
