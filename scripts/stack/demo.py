"""The demo: an application with its database, cache and AI, and visitors."""

import sys
from collections.abc import Mapping
from pathlib import Path

from scripts.stack import servers
from scripts.stack.options import Options
from scripts.stack.packages import CHECKOUT, Program
from scripts.stack.process import http_ok
from scripts.stack.run import Run

SERVERS = ("postgres", "initdb", "redis-server")
CONFIG = CHECKOUT / "examples" / "watchkeeper.yml"
WORKERS = 4


def application(port: int, workers: int = WORKERS) -> list[str | Path]:
    """The application's command line; docker-compose.yml has the same one."""
    return [
        *(
            sys.executable,
            "-m",
            "uvicorn",
            "examples.app:app",
            "--port",
            str(port),
            "--workers",
            str(workers),
        ),
        *("--timeout-graceful-shutdown", "3"),  # open WebSockets would hold a stop back for ever
        # Without an answer for so long a worker is replaced. The default of 5 s would replace those that are
        # still starting on a very busy machine, without end.
        *("--timeout-worker-healthcheck", "30"),
        "--no-access-log",
    ]


def start(run: Run, programs: Mapping[str, Program], options: Options) -> dict[str, str]:
    """Start all but the visitors, and return the variables by which the exporter reaches the servers."""
    redis = servers.Redis(programs["redis-server"], run.folder / "redis")
    ai = run.example("ai", "examples.ai_server")
    postgres = servers.Postgres(programs, run.folder / "postgres", application="demo")
    receiver = run.example("receiver", "examples.receiver")
    run.launch(redis, ai, receiver, postgres)
    run.wait(postgres, redis, ai)
    environment = {
        "DATABASE_URL": postgres.application_dsn,
        "REDIS_URL": redis.url,
        "OPENAI_BASE_URL": f"{ai.url}/v1",
        "OPENAI_API_KEY": "demo",
        "DEMO_FAULTS": str(run.folder / "faults"),
        **options.app_env,
    }
    run.launch(
        run.program("app", application, environment, ready=http_ok("/health"), **run.ports.of("app")),
    )
    dsn = postgres.monitor_dsn_of("demo")
    return {
        "WATCHKEEPER_COLLECTORS__POSTGRES__DSN": dsn,
        "WATCHKEEPER_COLLECTORS__SQL__DSN": dsn,
        "WATCHKEEPER_COLLECTORS__REDIS__URL": redis.url,
    }


def visit(run: Run, options: Options) -> None:
    """Send visitors as soon as the application answers."""
    app, receiver = run.server("app"), run.server("receiver")
    run.wait(receiver, app)
    run.launch(
        run.program(
            "load",
            lambda port: [sys.executable, "-m", "examples.load", "--url", app.url, *options.load],
            scheme="",
        )
    )
    run.notes.append(f"Try an alert: curl -X POST '{app.url}/faults/errors?ratio=0.3&for=600'")
    run.notes.append(f"Alerts arrive at {receiver.url}")
