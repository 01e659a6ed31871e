"""What the exporter's page says when the servers behind it are down, frozen, locked, full or lying.

Each line is played with real servers and a real exporter process. Run by hand; its table stands in
docs/reliability.md.
"""

import argparse
import asyncio
import contextlib
import os
import re
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import redis
import yaml

from scripts.stack.packages import CHECKOUT, provide
from scripts.stack.process import HOST, Process, http_ok
from scripts.stack.servers import MONITOR, Postgres, Redis, run_folder
from tests.pgbouncers import PgBouncer

LIMIT = 3.0  # seconds that Prometheus would wait
# A page must be there this much after the deadline at the latest.
GRACE = 0.5

Play = Callable[["Stage"], contextlib.AbstractContextManager[None]]


@dataclass
class Stage:
    """All servers, fresh, and an exporter before them."""

    folder: Path
    postgres: Postgres
    redis: Redis
    pools: PgBouncer
    exporter: Process
    settings: dict[str, Any]
    http: httpx.Client = field(default_factory=lambda: httpx.Client(timeout=60))

    def scrape(self) -> tuple[float, str]:
        """Return the seconds that a page took, and the page."""
        started = time.monotonic()
        header = {"X-Prometheus-Scrape-Timeout-Seconds": str(LIMIT)}
        text = self.http.get(f"{self.exporter.url}/metrics", headers=header).text
        return time.monotonic() - started, text

    def reload(self) -> None:
        """Put changed settings in force."""
        _write(self.folder / "watchkeeper.yml", self.settings)
        self.http.post(f"{self.exporter.url}/-/reload").raise_for_status()

    def collector(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = self.settings["collectors"][name]
        return found

    def order(self, *statements: str) -> None:
        """Run statements as Postgres' superuser."""
        asyncio.run(_execute(self.postgres.dsn, *statements))


PLAYS: dict[str, Play] = {}


def play(title: str) -> Callable[[Callable[["Stage"], Iterator[None]]], Play]:
    """Name a situation: up to the yield it is brought about, after it mended."""

    def named(function: Callable[[Stage], Iterator[None]]) -> Play:
        PLAYS[title] = contextlib.contextmanager(function)
        return PLAYS[title]

    return named


@play("Postgres stopped, then started")
def _(stage: Stage) -> Iterator[None]:
    stage.postgres.stop()
    yield
    stage.postgres.start()


@play("Postgres frozen (SIGSTOP) between two scrapes")
def _(stage: Stage) -> Iterator[None]:
    with _frozen(stage.postgres.pid):
        yield


@play("Postgres refuses the password")
def _(stage: Stage) -> Iterator[None]:
    stage.order(f"alter role {MONITOR} password 'another'", _end_sessions())
    yield
    stage.order(f"alter role {MONITOR} password '{stage.postgres.monitor_password}'")


@play("Postgres role without pg_monitor")
def _(stage: Stage) -> Iterator[None]:
    stage.order(f"revoke pg_monitor from {MONITOR}", _end_sessions())
    yield
    stage.order(f"grant pg_monitor to {MONITOR}")


@play("Postgres without pg_stat_statements")
def _(stage: Stage) -> Iterator[None]:
    stage.order("drop extension pg_stat_statements")
    yield
    stage.order("create extension pg_stat_statements")


@play("Postgres at max_connections")
def _(stage: Stage) -> Iterator[None]:
    stage.order(f"alter role {MONITOR} connection limit 0", _end_sessions())
    yield
    stage.order(f"alter role {MONITOR} connection limit -1")


@play("a table locked (ACCESS EXCLUSIVE)")
def _(stage: Stage) -> Iterator[None]:
    with _transaction(stage.postgres.dsn, "lock table things in access exclusive mode"):
        yield


@play("Redis stopped, then started")
def _(stage: Stage) -> Iterator[None]:
    stage.redis.stop()
    yield
    stage.redis.start()


@play("Redis frozen (SIGSTOP)")
def _(stage: Stage) -> Iterator[None]:
    with _frozen(stage.redis.pid):
        yield


@play("Redis refuses the password")
def _(stage: Stage) -> Iterator[None]:
    with redis.Redis.from_url(stage.redis.url) as client:
        client.config_set("requirepass", "another")
        client.client_kill_filter(skipme=True, _type="normal")
        yield
        client.config_set("requirepass", stage.redis.password)


@play("Redis at maxclients")
def _(stage: Stage) -> Iterator[None]:
    with redis.Redis.from_url(stage.redis.url) as client:
        client.config_set("maxclients", 1)
        client.client_kill_filter(skipme=True, _type="normal")
        yield
        client.config_set("maxclients", 1000)


@play("PgBouncer stopped, then started")
def _(stage: Stage) -> Iterator[None]:
    stage.pools.stop()
    yield
    stage.pools.start()


@play("PgBouncer frozen (SIGSTOP)")
def _(stage: Stage) -> Iterator[None]:
    with _frozen(stage.pools.pid):
        yield


@play("PgBouncer paused (PAUSE)")
def _(stage: Stage) -> Iterator[None]:
    stage.pools.order("PAUSE")
    yield
    stage.pools.order("RESUME")


@play("a name in the address that nobody resolves")
def _(stage: Stage) -> Iterator[None]:
    good = stage.collector("redis")["url"]
    stage.collector("redis")["url"] = "redis://no-such-host.invalid:6379/0"
    stage.reload()
    yield
    stage.collector("redis")["url"] = good
    stage.reload()


def _sql(title: str, query: str, *, heal: str = "select 1 as value") -> None:
    @play(f"SQL metric: {title}")
    def _(stage: Stage) -> Iterator[None]:
        file = stage.folder / "own.yml"
        _own_metric(file, query)
        stage.reload()
        yield
        _own_metric(file, heal)
        stage.reload()


_sql("runs for ever", "select 1 as value from pg_sleep(3600)")
_sql("a million rows", "select n::text as kind, n as value from generate_series(1, 1000000) n")
_sql("text for a number", "select 'a' as kind, 'many' as value")
_sql("NaN", "select 'a' as kind, 'NaN'::float as value")
_sql(
    "a new label at each run", "select gen_random_uuid()::text as kind, 1 as value from generate_series(1, 9)"
)
_sql(
    "wants to write",
    "with x as (delete from things returning 1) select 'a' as kind, count(*) as value from x",
)
_sql("a table that is not there", "select 'a' as kind, count(*) as value from no_such_table")


def main() -> int:
    """Play all situations, or those whose title contains the argument; 1 when a promise was not kept."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("part", nargs="?", default="", help="play only titles that contain this")
    part = parser.parse_args().part
    print("| situation | page after | what fails, and the reason given | the rest | connections | mended |")
    print("|---|---|---|---|---|---|")
    kept = True
    with _stage() as stage:
        baseline = _baseline(stage)
        for title, situation in PLAYS.items():
            if part in title:
                kept &= _play(stage, title, situation, baseline)
    return 0 if kept else 1


def _play(stage: Stage, title: str, situation: Play, baseline: set[str]) -> bool:
    with situation(stage):
        scrapes = [stage.scrape() for _ in range(2)]
        most = _connections(stage)
    slowest = max(seconds for seconds, _ in scrapes)
    failing = _failing(scrapes[-1][1], scrapes[0][1])
    whole = baseline - {name for name in baseline if name.split(".")[0] in {f.split(".")[0] for f in failing}}
    rest = all(f'collector_success{{collector="{name}"}} 1' in scrapes[-1][1] for name in whole)
    mended = _mended(stage)
    print(
        f"| {title} | {slowest:.2f} s | {_told(failing)} | {'whole' if rest else 'NOT WHOLE'} | "
        f"{most if most is not None else '-'} | {mended} |",
        flush=True,
    )
    return slowest <= LIMIT + GRACE and rest and not mended.startswith("no")


def _told(failing: dict[str, str]) -> str:
    by_reason: dict[str, list[str]] = {}
    for name, reason in failing.items():
        by_reason.setdefault(reason, []).append(name)
    return "; ".join(f"`{reason}`: {_listed(names)}" for reason, names in by_reason.items()) or "nothing"


def _listed(names: list[str]) -> str:
    return ", ".join(names) if len(names) < 4 else f"{names[0]} and {len(names) - 1} more"


def _failing(page: str, before: str = "") -> dict[str, str]:
    """Return the collectors without success, each with the reason that has counted up since `before`."""
    failing = re.findall(r'^watchkeeper_collector_success\{collector="([^"]+)"\} 0', page, re.MULTILINE)
    found = {}
    for name in failing:
        pattern = (
            rf'^watchkeeper_collector_failures_total\{{collector="{re.escape(name)}",reason="(\w+)"\}} (\S+)'
        )
        counts = dict(re.findall(pattern, before, re.MULTILINE))
        rose = [why for why, count in re.findall(pattern, page, re.MULTILINE) if count != counts.get(why)]
        found[name] = rose[0] if rose else "timeout"  # it is late, and still at it
    return found


def _mended(stage: Stage) -> str:
    """Return after how many scrapes all is well again; those in the background come at their own time."""
    for number in range(1, 6):
        failing = _failing(stage.scrape()[1])
        if not failing:
            return "at the next scrape" if number == 1 else f"at scrape {number}"
        time.sleep(0.5)
    return f"no: {', '.join(failing)}"


def _connections(stage: Stage) -> int | None:
    """Return how many sessions the exporter holds in Postgres; None while nobody can be asked."""
    try:
        return asyncio.run(_count(stage.postgres.dsn))
    except (OSError, asyncpg.PostgresError, TimeoutError):
        return None


async def _count(dsn: str) -> int:
    connection = await asyncpg.connect(dsn, timeout=2)
    try:
        query = "select count(*) from pg_stat_activity where usename = $1"
        return int(await connection.fetchval(query, MONITOR, timeout=2))
    finally:
        connection.terminate()


def _baseline(stage: Stage) -> set[str]:
    stage.scrape()
    page = stage.scrape()[1]
    assert not _failing(page), f"the stage itself fails: {_failing(page)}"
    return set(re.findall(r'^watchkeeper_collector_success\{collector="([^"]+)"', page, re.MULTILINE))


@contextlib.contextmanager
def _stage() -> Iterator[Stage]:
    programs = provide(["postgres", "initdb", "redis-server", "pgbouncer"])
    with contextlib.ExitStack() as ends, run_folder() as folder:

        def running(server: Any) -> Any:
            ends.callback(server.stop)
            server.start()
            return server

        postgres = running(Postgres(programs, folder / "postgres"))
        store = running(Redis(programs["redis-server"], folder / "redis"))
        pools = running(PgBouncer(programs["pgbouncer"], folder / "pgbouncer", postgres))
        asyncio.run(
            _execute(
                postgres.dsn,
                "create table things (id int)",
                f"grant select on things to {MONITOR}",
            )
        )
        _own_metric(folder / "own.yml", "select 'a' as kind, 1 as value")
        collectors = {
            "host": {},
            "postgres": {"dsn": postgres.monitor_dsn, "timeout": 2, "slow_interval": 0},
            "redis": {"url": store.url, "timeout": 2},
            "pgbouncer": {"dsn": pools.dsn_of("stats"), "timeout": 2},
            "sql": {
                "dsn": postgres.monitor_dsn,
                "timeout": 2,
                "file": ["own.yml"],
                "interval": 0,
            },
        }
        settings = {"collectors": collectors, "server": {"listen": f"{HOST}:0"}}
        file = folder / "watchkeeper.yml"

        def command(port: int) -> list[str | Path]:
            settings["server"] = {"listen": f"{HOST}:{port}"}
            _write(file, settings)
            return [sys.executable, "-m", "exporter", "serve", "--config", file]

        log = folder / "exporter.log"
        exporter = running(Process("exporter", command, log=log, ready=http_ok("/-/healthy"), cwd=CHECKOUT))
        stage = Stage(folder, postgres, store, pools, exporter, settings)
        with stage.http:
            yield stage


def _write(file: Path, settings: dict[str, Any]) -> None:
    file.write_text(yaml.safe_dump(settings))
    file.chmod(0o600)


def _own_metric(file: Path, query: str) -> None:
    entry = {
        "name": "own_things",
        "help": "Things of this stage.",
        "type": "gauge",
        "labels": ["kind"] if " as kind" in query else [],
        "query": query,
    }
    file.write_text(yaml.safe_dump({"metrics": [entry]}, sort_keys=False))


def _end_sessions() -> str:
    return f"select pg_terminate_backend(pid) from pg_stat_activity where usename = '{MONITOR}'"


async def _execute(dsn: str, *statements: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()


@contextlib.contextmanager
def _transaction(dsn: str, statement: str) -> Iterator[None]:
    loop = asyncio.new_event_loop()
    connection = loop.run_until_complete(asyncpg.connect(dsn))
    try:
        loop.run_until_complete(connection.execute(f"begin; {statement}"))
        yield
    finally:
        loop.run_until_complete(connection.close())
        loop.close()


@contextlib.contextmanager
def _frozen(pid: int) -> Iterator[None]:
    """Stop a server and the children that it has now: none answers, none refuses."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    stopped = [pid, *map(int, children)]
    for each in stopped:
        os.kill(each, signal.SIGSTOP)
    try:
        yield
    finally:
        for each in stopped:
            with contextlib.suppress(ProcessLookupError):
                os.kill(each, signal.SIGCONT)


if __name__ == "__main__":
    sys.exit(main())
