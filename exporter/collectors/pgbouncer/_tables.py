"""What the tables of PgBouncer's console say, under pgbouncer_exporter's names."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from exporter.catalog import Kind, Metric, Sample

Row = Mapping[str, Any]

# Names of databases and users come from whoever may log in: so many rows of a table have series of their
# own, and the rest is one row more, called OTHER.
MOST_ROWS = 500
OTHER = "other"


def _metric(name: str, kind: Kind, help: str, labels: tuple[str, ...] = ()) -> Metric:  # noqa: A002 - as in Metric
    return Metric(f"pgbouncer_{name}", kind, help, labels, origin="pgbouncer_exporter")


_DATABASE = ("name", "host", "port", "database", "force_user", "pool_mode")
POOL_SIZE = _metric("databases_pool_size", "gauge", "Server connections that a pool may have.", _DATABASE)
RESERVE_POOL = _metric(
    "databases_reserve_pool", "gauge", "Further server connections for clients that waited long.", _DATABASE
)
MAX_CONNECTIONS = _metric(
    "databases_max_connections",
    "gauge",
    "Server connections that the database may have in all; 0 is no limit.",
    _DATABASE,
)
CURRENT_CONNECTIONS = _metric(
    "databases_current_connections", "gauge", "Server connections that the database has.", _DATABASE
)
PAUSED = _metric("databases_paused", "gauge", "Whether the database is paused: 1 or 0.", _DATABASE)
DISABLED = _metric(
    "databases_disabled", "gauge", "Whether the database takes no new clients: 1 or 0.", _DATABASE
)
MAX_CLIENTS = Metric(
    "pgbouncer_databases_max_client_connections",
    "gauge",
    "Clients that the database may have; 0 is no limit; from PgBouncer 1.24.",
    _DATABASE,
)
CURRENT_CLIENTS = Metric(
    "pgbouncer_databases_current_client_connections",
    "gauge",
    "Clients that the database has; from PgBouncer 1.24.",
    _DATABASE,
)

_STATS = ("database",)
ASSIGNMENTS = _metric(
    "stats_totals_server_assignments_total",
    "counter",
    "Times that a server connection was given to a client; from PgBouncer 1.23.",
    _STATS,
)
TRANSACTIONS = _metric(
    "stats_totals_sql_transactions_pooled_total", "counter", "Transactions passed on.", _STATS
)
QUERIES = _metric("stats_totals_queries_pooled_total", "counter", "Queries passed on.", _STATS)
RECEIVED = _metric("stats_totals_received_bytes_total", "counter", "Bytes received from clients.", _STATS)
SENT = _metric("stats_totals_sent_bytes_total", "counter", "Bytes sent to clients.", _STATS)
TRANSACTION_SECONDS = _metric(
    "stats_totals_server_in_transaction_seconds_total",
    "counter",
    "Seconds that server connections were in a transaction, idle in it or not.",
    _STATS,
)
QUERY_SECONDS = _metric(
    "stats_totals_queries_duration_seconds_total",
    "counter",
    "Seconds that server connections worked on a query.",
    _STATS,
)
WAIT_SECONDS = _metric(
    "stats_totals_client_wait_seconds_total",
    "counter",
    "Seconds that clients waited for a server connection.",
    _STATS,
)
CLIENT_PARSES = _metric(
    "stats_totals_client_parses_total",
    "counter",
    "Prepared statements that clients sent; from PgBouncer 1.24.",
    _STATS,
)
SERVER_PARSES = _metric(
    "stats_totals_server_parses_total",
    "counter",
    "Prepared statements that were sent on to Postgres; from PgBouncer 1.24.",
    _STATS,
)
BINDS = _metric(
    "stats_totals_binds_total", "counter", "Runs of prepared statements; from PgBouncer 1.24.", _STATS
)

_POOL = ("database", "user")
CLIENTS_ACTIVE = _metric(
    "pools_client_active_connections", "gauge", "Clients that have a server connection or are idle.", _POOL
)
CLIENTS_WAITING = _metric(
    "pools_client_waiting_connections", "gauge", "Clients that wait for a server connection.", _POOL
)
CLIENTS_ACTIVE_CANCEL = _metric(
    "pools_client_active_cancel_connections",
    "gauge",
    "Clients whose cancelling was passed on and has no answer yet.",
    _POOL,
)
CLIENTS_WAITING_CANCEL = _metric(
    "pools_client_waiting_cancel_connections",
    "gauge",
    "Clients whose cancelling was not passed on yet.",
    _POOL,
)
SERVERS_ACTIVE = _metric(
    "pools_server_active_connections", "gauge", "Server connections that a client uses.", _POOL
)
SERVERS_ACTIVE_CANCEL = _metric(
    "pools_server_active_cancel_connections",
    "gauge",
    "Server connections that pass on a cancelling.",
    _POOL,
)
SERVERS_BEING_CANCELED = _metric(
    "pools_server_being_canceled_connections",
    "gauge",
    "Server connections that will be idle when the cancellings sent to them are over.",
    _POOL,
)
SERVERS_IDLE = _metric("pools_server_idle_connections", "gauge", "Server connections free to use.", _POOL)
SERVERS_USED = _metric(
    "pools_server_used_connections",
    "gauge",
    "Server connections idle for so long that they are tested before they are used.",
    _POOL,
)
SERVERS_TESTING = _metric(
    "pools_server_testing_connections", "gauge", "Server connections that are reset or tested.", _POOL
)
SERVERS_LOGIN = _metric(
    "pools_server_login_connections", "gauge", "Server connections that are logging in.", _POOL
)
MAX_WAIT = _metric(
    "pools_client_maxwait_seconds",
    "gauge",
    "How long the first of the waiting clients has waited; growing means that the pool is too small.",
    _POOL,
)

DATABASES = _metric("databases", "gauge", "Databases known.")
USERS = _metric("users", "gauge", "Users known.")
POOLS = _metric("pools", "gauge", "Pools: one for each pair of database and user that was seen.")
FREE_CLIENTS = _metric("free_clients", "gauge", "Client slots in memory that are free.")
USED_CLIENTS = _metric("used_clients", "gauge", "Clients connected.")
LOGIN_CLIENTS = _metric("login_clients", "gauge", "Clients that are logging in.")
FREE_SERVERS = _metric("free_servers", "gauge", "Server slots in memory that are free.")
USED_SERVERS = _metric("used_servers", "gauge", "Server connections.")
DNS_NAMES = _metric("cached_dns_names", "gauge", "Names of hosts in the cache.")
DNS_ZONES = _metric("cached_dns_zones", "gauge", "DNS zones in the cache.")
DNS_QUERIES = _metric("in_flight_dns_queries", "gauge", "DNS queries without an answer yet.")
CONFIG_MAX_CLIENTS = _metric(
    "config_max_client_connections", "gauge", "Clients that may be connected (max_client_conn)."
)
CONFIG_MAX_USER = _metric(
    "config_max_user_connections",
    "gauge",
    "Server connections that a user may have (max_user_connections); 0 is no limit.",
)
VERSION = _metric("version_info", "gauge", "Always 1; the label tells the version.", ("version",))

_MICROSECONDS = 1e-6
_DATABASE_COLUMNS = {
    "pool_size": POOL_SIZE,
    "reserve_pool": RESERVE_POOL,
    "reserve_pool_size": RESERVE_POOL,  # its name from PgBouncer 1.24 on
    "max_connections": MAX_CONNECTIONS,
    "current_connections": CURRENT_CONNECTIONS,
    "max_client_connections": MAX_CLIENTS,
    "current_client_connections": CURRENT_CLIENTS,
    "paused": PAUSED,
    "disabled": DISABLED,
}
_STATS_COLUMNS = {
    "server_assignment_count": ASSIGNMENTS,
    "xact_count": TRANSACTIONS,
    "query_count": QUERIES,
    "bytes_received": RECEIVED,
    "bytes_sent": SENT,
    "xact_time": TRANSACTION_SECONDS,
    "query_time": QUERY_SECONDS,
    "wait_time": WAIT_SECONDS,
    "client_parse_count": CLIENT_PARSES,
    "server_parse_count": SERVER_PARSES,
    "bind_count": BINDS,
}
_POOL_COLUMNS = {
    "cl_active": CLIENTS_ACTIVE,
    "cl_waiting": CLIENTS_WAITING,
    "cl_active_cancel_req": CLIENTS_ACTIVE_CANCEL,
    "cl_waiting_cancel_req": CLIENTS_WAITING_CANCEL,
    "sv_active": SERVERS_ACTIVE,
    "sv_active_cancel": SERVERS_ACTIVE_CANCEL,
    "sv_being_canceled": SERVERS_BEING_CANCELED,
    "sv_idle": SERVERS_IDLE,
    "sv_used": SERVERS_USED,
    "sv_tested": SERVERS_TESTING,
    "sv_login": SERVERS_LOGIN,
    "maxwait": MAX_WAIT,
}
_LISTS = {
    "databases": DATABASES,
    "users": USERS,
    "pools": POOLS,
    "free_clients": FREE_CLIENTS,
    "used_clients": USED_CLIENTS,
    "login_clients": LOGIN_CLIENTS,
    "free_servers": FREE_SERVERS,
    "used_servers": USED_SERVERS,
    "dns_names": DNS_NAMES,
    "dns_zones": DNS_ZONES,
    "dns_queries": DNS_QUERIES,
}
_CONFIG = {"max_client_conn": CONFIG_MAX_CLIENTS, "max_user_connections": CONFIG_MAX_USER}
# Of many rows together it is not the sum that counts.
_GREATEST = {MAX_WAIT, PAUSED, DISABLED}


def _databases(rows: Iterable[Row]) -> Iterator[Sample]:
    return _cells(rows, _DATABASE_COLUMNS)


def _stats(rows: Iterable[Row]) -> Iterator[Sample]:
    for sample in _cells(rows, _STATS_COLUMNS):
        yield (
            sample._replace(value=sample.value * _MICROSECONDS) if "seconds" in sample.metric.name else sample
        )


def _pools(rows: Iterable[Row]) -> Iterator[Sample]:
    exact = [{**row, "maxwait": row["maxwait"] + row["maxwait_us"] * _MICROSECONDS} for row in rows]
    return _cells(exact, _POOL_COLUMNS)


def _lists(rows: Iterable[Row]) -> Iterator[Sample]:
    for row in rows:
        if row["list"] in _LISTS:
            yield _LISTS[row["list"]].sample(float(row["items"]))


def _config(rows: Iterable[Row]) -> Iterator[Sample]:
    for row in rows:
        if row["key"] in _CONFIG:
            yield _CONFIG[row["key"]].sample(float(row["value"]))


def _version(rows: Iterable[Row]) -> Iterator[Sample]:
    for row in rows:
        yield VERSION.sample(1, version=row["version"])


# The console's command for each table, and who reads it.
TABLES: dict[str, Callable[[Iterable[Row]], Iterator[Sample]]] = {
    "SHOW VERSION": _version,
    "SHOW STATS_TOTALS": _stats,
    "SHOW POOLS": _pools,
    "SHOW DATABASES": _databases,
    "SHOW LISTS": _lists,
    "SHOW CONFIG": _config,
}


def _cells(rows: Iterable[Row], columns: Mapping[str, Metric]) -> Iterator[Sample]:
    """Yield a sample for each cell that has a metric, whatever columns this version has."""
    rest: dict[Metric, float] = {}
    for count, row in enumerate(rows):
        for column, metric in columns.items():
            if row.get(column) is None:
                continue
            value = float(row[column])
            if count < MOST_ROWS:
                labels = tuple("" if row[label] is None else str(row[label]) for label in metric.labels)
                yield Sample(metric, labels, value)
            elif metric in _GREATEST:
                rest[metric] = max(value, rest.get(metric, 0))
            else:
                rest[metric] = value + rest.get(metric, 0)
    for metric, value in rest.items():
        yield Sample(metric, (OTHER,) * len(metric.labels), value)
