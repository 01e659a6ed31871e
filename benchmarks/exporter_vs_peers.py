"""One exporter beside the four that it stands for, on the same servers: time, CPU, memory, series."""

import asyncio
import contextlib
import os
import re
import shutil
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import asyncpg
import httpx
import redis
import yaml

from benchmarks._measure import Ratio, Report, Table, main, times
from benchmarks._processes import cpu_seconds, resident_bytes
from scripts.stack.packages import CHECKOUT, Program, provide
from scripts.stack.process import HOST, Process, http_ok
from scripts.stack.servers import Postgres, Redis, run_folder
from tests.pgbouncers import PgBouncer

# A folder with newer peers than the distribution's, by the names of its packages' programs.
PEERS_VARIABLE = "BENCHMARK_PEERS"
PEERS = {
    "node": ("prometheus-node-exporter", "node_exporter"),
    "postgres": ("prometheus-postgres-exporter", "postgres_exporter"),
    "redis": ("prometheus-redis-exporter", "redis_exporter"),
    "pgbouncer": ("prometheus-pgbouncer-exporter", ""),  # only where a newer one is given
}
# What postgres_exporter leaves out unless asked, and ours has.
MORE = (
    "stat_statements",
    "statio_user_indexes",
    "long_running_transactions",
    "database_wraparound",
    "postmaster",
    "process_idle",
    "stat_activity_autovacuum",
    "stat_wal_receiver",
    "xlog_location",
)
SCRAPE = {"Accept-Encoding": "gzip", "X-Prometheus-Scrape-Timeout-Seconds": "10"}
OWN, TIERED, THEIRS, IDLE = "ours, all on scrape", "ours", "the peers together", "nobody"


@dataclass
class Candidate:
    """Exporters that are scraped one after the other, and the Postgres cluster that is theirs alone."""

    name: str
    postgres: Postgres
    exporters: list[Process] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    series: int = 0
    names: set[str] = field(default_factory=set)
    start: tuple[float, float] = (0.0, 0.0)

    def used(self) -> tuple[float, float]:
        """CPU seconds of the exporters, and of their cluster, until now."""
        return sum(cpu_seconds(each.pid) for each in self.exporters), cpu_seconds(self.postgres.pid)

    def scrape(self, http: httpx.Client) -> None:
        """Read every exporter's page, as one Prometheus would."""
        taken, series, names = 0.0, 0, set()
        for exporter in self.exporters:
            started = time.perf_counter()
            answer = http.get(f"{exporter.url}/metrics", headers=SCRAPE)
            taken += time.perf_counter() - started
            lines = [line for line in answer.text.splitlines() if line and not line.startswith("#")]
            series += len(lines)
            names |= {re.split(r"[{ ]", line, maxsplit=1)[0] for line in lines}
        self.seconds.append(taken)
        self.series, self.names = series, names


def measure(tiny: bool) -> Report:
    """Scrape all candidates at the same interval, each against a cluster of its own with the same data."""
    tables, statements, keys = (5, 20, 100) if tiny else (200, 1000, 50_000)
    rounds, interval = (2, 0.5) if tiny else (12, 15.0)
    with _candidates(tables, statements, keys) as candidates, httpx.Client(timeout=30) as http:
        for candidate in candidates:  # connections, caches, the first run of what is in the background
            for _ in range(2):
                candidate.scrape(http)
            candidate.seconds.clear()
            candidate.start = candidate.used()
        began = time.monotonic()
        for number in range(rounds):
            for place, candidate in enumerate(candidates):
                due = began + interval * (number + (place + number % len(candidates)) / len(candidates) / 2)
                time.sleep(max(0.0, due - time.monotonic()))
                candidate.scrape(http)
        time.sleep(max(0.0, began + interval * rounds - time.monotonic()))
        return _report(candidates, rounds)


def _report(candidates: list[Candidate], rounds: int) -> Report:
    found: dict[str, dict[str, float]] = {}
    idle = next(candidate for candidate in candidates if candidate.name == IDLE)
    idle_cpu = idle.used()[1] - idle.start[1]
    for candidate in candidates:
        exporters, cluster = (now - then for now, then in zip(candidate.used(), candidate.start, strict=True))
        found[candidate.name] = {
            "latency": median(candidate.seconds) * 1000,
            "cpu": exporters / rounds * 1000,
            "postgres": (cluster - idle_cpu) / rounds * 1000,
            "rss": sum(resident_bytes(each.pid) for each in candidate.exporters) / 2**20,
            "series": candidate.series,
        }
    theirs, own, tiered = found[THEIRS], found[OWN], found[TIERED]
    wanted = _wanted()
    # Some names have no series here: those of replicas, clusters, md arrays.
    lacking = wanted & _each(candidates, THEIRS).names - _each(candidates, TIERED).names
    rows = [
        (name, *numbers.values(), f"{len(wanted & _each(candidates, name).names)} of {len(wanted)}")
        for name, numbers in found.items()
        if name != IDLE
    ]
    columns = ("exporter", "ms a scrape", "CPU ms", "Postgres CPU ms", "RSS MB", "series", "names used")
    versions = ", ".join(_version(each) for each in _each(candidates, THEIRS).exporters)
    note = (
        f"Medians of {rounds} scrapes; CPU is that of the whole time, work in the background included, a "
        "scrape; Postgres' is without what an idle cluster uses. The last column: how many of the names "
        f"that our dashboards and rules ask of these servers are on the page. Peers: {versions}."
    )
    return Report(
        [Table("One exporter and four", columns, rows, note)],
        [
            Ratio("latency, all on scrape / peers", times(own["latency"], theirs["latency"]), most=0.4),
            Ratio("latency, as shipped / peers", times(tiered["latency"], theirs["latency"]), most=0.1),
            Ratio("CPU, as shipped / peers", times(tiered["cpu"], theirs["cpu"]), most=0.2),
            Ratio(
                "Postgres CPU, as shipped / peers", times(tiered["postgres"], theirs["postgres"]), most=0.5
            ),
            Ratio("RSS / peers", times(tiered["rss"], theirs["rss"]), most=0.7),
            Ratio("names used that the peers give and ours does not", float(len(lacking)), most=0.0),
        ],
        ("asyncpg", "redis", "psutil", "uvicorn"),
    )


@contextlib.contextmanager
def _candidates(tables: int, statements: int, keys: int) -> Iterator[list[Candidate]]:
    wanted = ["postgres", "initdb", "redis-server", "pgbouncer"]
    wanted += [name for package, name in PEERS.values() if name and not _given(package)]
    programs = provide(wanted)
    with contextlib.ExitStack() as ends, run_folder() as folder:

        def running(server: Any) -> Any:
            ends.callback(server.stop)
            server.start()
            return server

        store = running(Redis(programs["redis-server"], folder / "redis"))
        _fill_redis(store, keys)
        found = []
        for number, name in enumerate((IDLE, THEIRS, OWN, TIERED)):
            cluster = running(Postgres(programs, folder / f"postgres{number}"))
            asyncio.run(_fill_postgres(cluster.dsn, tables, statements))
            found.append(Candidate(name, cluster))
        for candidate in found[1:]:
            pools = running(PgBouncer(programs["pgbouncer"], folder / candidate.name, candidate.postgres))
            if candidate.name == THEIRS:
                candidate.exporters += [
                    running(each) for each in _peers(programs, folder, candidate, store, pools)
                ]
            else:
                candidate.exporters.append(running(_ours(folder, candidate, store, pools)))
        yield found


def _ours(folder: Path, candidate: Candidate, store: Redis, pools: PgBouncer) -> Process:
    postgres: dict[str, Any] = {"dsn": candidate.postgres.monitor_dsn}
    if candidate.name == OWN:
        pass
    collectors = {
        "host": {},
        "postgres": postgres,
        "redis": {"url": store.url},
        "pgbouncer": {"dsn": pools.dsn_of("stats")},
    }
    file = folder / f"{candidate.name}.yml"

    def command(port: int) -> list[str | Path]:
        file.write_text(
            yaml.safe_dump({"server": {"listen": f"{HOST}:{port}"}, "collectors": collectors}),
        )
        return [sys.executable, "-m", "exporter", "serve", "--config", file]

    log = folder / f"{candidate.name}.log"
    return Process("exporter", command, log=log, ready=http_ok("/-/healthy"), cwd=CHECKOUT)


def _peers(
    programs: dict[str, Program], folder: Path, candidate: Candidate, store: Redis, pools: PgBouncer
) -> Iterator[Process]:
    environments = {
        "node": {},
        "postgres": {"DATA_SOURCE_NAME": f"{candidate.postgres.monitor_dsn}?sslmode=disable"},
        "redis": {"REDIS_ADDR": f"redis://{HOST}:{store.port}", "REDIS_PASSWORD": store.password},
        "pgbouncer": {"PGBOUNCER_EXPORTER_CONNECTION_STRING": f"{pools.dsn_of('stats')}?sslmode=disable"},
    }
    for name, (package, program) in PEERS.items():
        path = _given(package) or (programs[program].path if program else None)
        if path is None:
            continue
        flags = [f"--collector.{each}" for each in MORE] if name == "postgres" and _given(package) else []

        def command(port: int, path: Path = path, flags: list[str] = flags) -> list[str | Path]:
            return [path, f"--web.listen-address={HOST}:{port}", *flags]

        log = folder / f"{name}_exporter.log"
        yield Process(f"{name}_exporter", command, log=log, ready=http_ok("/metrics"), env=environments[name])


def _given(package: str) -> Path | None:
    folder = os.environ.get(PEERS_VARIABLE)
    found = shutil.which(package, path=folder) if folder else None
    return Path(found) if found else None


async def _fill_postgres(dsn: str, tables: int, statements: int) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        for number in range(tables):
            await connection.execute(
                f"create table t{number} (id serial primary key, a int, b text);"
                f"create index on t{number} (a);"
                f"insert into t{number} (a, b) select n, 'x' from generate_series(1, 200) n"
            )
        for number in range(statements):  # each a different shape, or it would be one statement
            columns = ", ".join(f"a as a{bit}" for bit in range(12) if number >> bit & 1)
            await connection.execute(f"select id{', ' if columns else ''}{columns} from t{number % tables}")
        await connection.execute("analyze")
    finally:
        await connection.close()


def _fill_redis(server: Redis, keys: int) -> None:
    with redis.Redis.from_url(server.url) as client, client.pipeline() as pipe:
        for number in range(keys):
            pipe.set(f"key{number}", number)
        pipe.execute()


def _wanted() -> set[str]:
    """The names of host, Postgres, Redis and PgBouncer that our own dashboards and rules ask for."""
    texts = [path.read_text() for path in (CHECKOUT / "dashboards/generated").glob("*.json")]
    texts += [path.read_text() for path in (CHECKOUT / "alert_rules").glob("*.yml")]
    found = set(re.findall(r"\b(?:node|pg|redis|pgbouncer)_[a-zA-Z0-9_]+", "\n".join(texts)))
    from exporter import inventory

    return found & set(inventory.everything())


def _each(candidates: list[Candidate], name: str) -> Candidate:
    return next(candidate for candidate in candidates if candidate.name == name)


def _version(exporter: Process) -> str:
    text = httpx.get(f"{exporter.url}/metrics").text
    found = re.search(r'^(\w+_exporter)_build_info\{(?:.*?,)?version="([^"]*)"', text, re.MULTILINE)
    return f"{found[1]} {found[2]}" if found else exporter.name


if __name__ == "__main__":
    main("exporter_vs_peers", measure)
