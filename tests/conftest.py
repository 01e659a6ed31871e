"""Real servers for the tests, each on a free port with its own folder, gone at the end."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, TypeVar

import pytest

from scripts.stack.packages import Program, provide
from scripts.stack.process import Process
from scripts.stack.servers import Postgres, Redis, run_folder

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
