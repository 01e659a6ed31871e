"""Real servers for the tests, each on a free port with its own folder, gone at the end."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, TypeVar

import pytest

from scripts.stack.packages import Program, provide
from scripts.stack.process import Process
from scripts.stack.servers import Postgres, Redis, run_folder
from tests.pgbouncers import PgBouncer
from tests.redises import Sentinel, TunedRedis

AnyProcess = TypeVar("AnyProcess", bound=Process)


class Programs(dict[str, Program]):
    """Programs by name, found or fetched when first asked for."""

    def __missing__(self, name: str) -> Program:
        self.update(provide([name]))
        return self[name]


@pytest.fixture(scope="session")
def programs() -> Programs:
    """`programs["promtool"].path` is a program that runs here."""
    return Programs()


@pytest.fixture(scope="session")
def postgres(programs: Programs) -> Iterator[Postgres]:
    """A Postgres that all tests share, so leave it running: `.dsn`, `.monitor_dsn`, `.dsn_of(database)`."""
    with _postgres(programs) as server:
        yield server


@pytest.fixture
def own_postgres(programs: Programs) -> Iterator[Postgres]:
    """One for a single test, which may `.freeze()`, `.kill()`, `.stop()`, `.restart()` it."""
    with _postgres(programs) as server:
        yield server


@pytest.fixture
def start_postgres(programs: Programs) -> Iterator[Callable[..., Postgres]]:
    """Starts one with `settings={"max_connections": "5"}` and the like."""
    with ExitStack() as ends:
        yield lambda **options: ends.enter_context(_postgres(programs, **options))


@pytest.fixture(scope="session")
def redis_server(programs: Programs) -> Iterator[Redis]:
    """A Redis that all tests share, so leave it running: `.url`."""
    with _redis(programs) as server:
        yield server


@pytest.fixture
def own_redis(programs: Programs) -> Iterator[Redis]:
    """One for a single test, as `own_postgres`."""
    with _redis(programs) as server:
        yield server


@contextmanager
def _postgres(programs: Programs, **options: Any) -> Iterator[Postgres]:
    with run_folder() as folder:
        server = Postgres(
            {name: programs[name] for name in ("initdb", "postgres")}, folder / "postgres", **options
        )
        with _running(server):
            yield server


@contextmanager
def _redis(programs: Programs) -> Iterator[Redis]:
    with run_folder() as folder, _running(Redis(programs["redis-server"], folder / "redis")) as server:
        yield server


@contextmanager
def _running(server: AnyProcess) -> Iterator[AnyProcess]:
    try:
        server.start()
        yield server
    finally:
        server.stop()


@pytest.fixture
def start_pgbouncer(programs: Programs, postgres: Postgres) -> Iterator[Callable[..., PgBouncer]]:
    """Starts one for a single test, with `max_client_conn=1` and the like; before the shared Postgres."""
    with ExitStack() as ends:

        def start(behind: Postgres = postgres, **settings: str | int) -> PgBouncer:
            folder = ends.enter_context(run_folder())
            return ends.enter_context(
                _running(PgBouncer(programs["pgbouncer"], folder / "pgbouncer", behind, **settings))
            )

        yield start


@pytest.fixture
def pgbouncer(start_pgbouncer: Callable[..., PgBouncer]) -> PgBouncer:
    """One for a single test, as `own_postgres`: `.dsn_of("stats")`, `.app_dsn`, `.order("PAUSE")`."""
    return start_pgbouncer()


@pytest.fixture
def start_redis(programs: Programs) -> Iterator[Callable[..., TunedRedis]]:
    """Starts one for a single test, with lines of configuration such as "cluster-enabled yes"."""
    with ExitStack() as ends:

        def start(*lines: str, port: int = 0) -> TunedRedis:
            folder = ends.enter_context(run_folder())
            server = TunedRedis(programs["redis-server"], folder / "redis", *lines, port=port)
            return ends.enter_context(_running(server))

        yield start


@pytest.fixture
def start_sentinel(programs: Programs) -> Iterator[Callable[[Redis], Sentinel]]:
    """Starts one that watches a master, for a single test."""
    with ExitStack() as ends:

        def start(master: Redis) -> Sentinel:
            folder = ends.enter_context(run_folder())
            return ends.enter_context(_running(Sentinel(programs["redis-server"], folder / "s", master)))

        yield start
