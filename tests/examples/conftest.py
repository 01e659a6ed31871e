"""The demo SaaS with its four workers, on servers that its tests may stop and freeze."""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import asyncpg
import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from examples import ai_server
from scripts.stack.demo import WORKERS, application
from scripts.stack.packages import CHECKOUT, Program
from scripts.stack.process import Process, http_ok
from scripts.stack.servers import Postgres, Redis, run_folder
from tests.serving import serving
from tests.waiting import wait_for


@dataclass
class Demo:
    """The demo under test."""

    app: Process
    postgres: Postgres
    redis: Redis
    http: httpx.Client

    def rows(self, query: str) -> list[dict[str, Any]]:
        """What the database answers."""

        async def ask() -> list[dict[str, Any]]:
            connection = await asyncpg.connect(self.postgres.dsn)
            try:
                return [dict(row) for row in await connection.fetch(query)]
            finally:
                await connection.close()

        return asyncio.run(ask())

    def metric(self, name: str, **labels: str) -> float:
        """The sum of the series with this name that have these labels."""
        page = self.http.get("/metrics").text
        return sum(
            sample.value
            for family in text_string_to_metric_families(page)
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )

    def session(self, email: str = "user1@example.com") -> tuple[int, dict[str, str]]:
        """Log in; return the user id and the header of the session."""
        answer = self.http.post("/login", json={"email": email}).json()
        return answer["user_id"], {"X-Session": answer["session"]}


@pytest.fixture(scope="session")
def new_app(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Callable[..., Process]]:
    """Makes a server of the application, not yet started; takes environment variables."""
    started: list[Process] = []

    def make(workers: int = 1, **environment: str) -> Process:
        process = Process(
            "demo",
            lambda port: application(port, workers),
            log=tmp_path_factory.mktemp("demo") / "demo.log",
            ready=http_ok("/health"),
            env={"DEMO_FAULTS": "", **environment},
            cwd=CHECKOUT,
        )
        started.append(process)
        return process

    yield make
    for process in started:
        process.stop()


@pytest.fixture(scope="session")
def ai_url() -> Iterator[str]:
    """The address of an AI stand-in that answers at once and without a limit that a test could reach."""
    with serving(ai_server.make(requests_a_minute=100_000, median_seconds=0.0, seed=1)) as url:
        yield f"{url}/v1"


@pytest.fixture(scope="session")
def demo(
    programs: Mapping[str, Program],
    new_app: Callable[..., Process],
    ai_url: str,
) -> Iterator[Demo]:
    """The demo with its fault switches enabled; a test that stops a server starts it again."""
    with ExitStack() as ends:
        folder = ends.enter_context(run_folder())
        database_programs = {name: programs[name] for name in ("initdb", "postgres")}
        postgres = Postgres(database_programs, folder / "postgres")
        redis = Redis(programs["redis-server"], folder / "redis")
        for server in (postgres, redis):
            ends.callback(server.stop)
            server.start()
        app = new_app(
            WORKERS,
            DATABASE_URL=postgres.dsn,
            REDIS_URL=redis.url,
            OPENAI_BASE_URL=ai_url,
            OPENAI_API_KEY="demo",
            DEMO_FAULTS=str(folder / "faults"),
            DEMO_INVOICE_SECONDS="0.2",
        )
        ends.callback(app.stop)
        app.start()
        http = ends.enter_context(client(app))
        found = Demo(app, postgres, redis, http)
        wait_for(lambda: found.metric("watchkeeper_workers") == WORKERS, 60)
        yield found


def client(app: Process) -> httpx.Client:
    """A client of the application that opens a connection for each request: uvicorn ends it after a 500."""
    limits = httpx.Limits(max_keepalive_connections=0)
    return httpx.Client(base_url=app.url, timeout=10, trust_env=False, limits=limits)
