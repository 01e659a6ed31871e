"""The exporter's HTTP server: the metrics page, a landing page, a liveness answer."""

import asyncio
import html
import logging
import signal
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import uvicorn
from prometheus_client import PROCESS_COLLECTOR
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route

from exporter import __version__
from exporter.catalog import Metric, Sample
from exporter.collectors import found
from exporter.config import Config, ConfigError
from exporter.scrape import Runner, Scraper
from exporter.store.text import CONTENT_TYPE, families, page

BUILD_INFO = Metric(
    "watchkeeper_build_info",
    "gauge",
    "Always 1; version and revision of the running exporter.",
    ("version", "revision"),
)

# What Prometheus's own time-out must leave for rendering and the way back.
MARGIN_SECONDS = 0.5
STOP_SECONDS = 2

_TIMEOUT_HEADER = "x-prometheus-scrape-timeout-seconds"
_log = logging.getLogger("watchkeeper.server")


def scraper(config: Config) -> Scraper:
    """Return the collectors of a configuration, ready to run."""
    modules = found()
    chosen = {name: (modules[name], settings) for name, settings in config.collectors.items()}
    return Scraper(chosen, extra=[_build_info()])


def application(collectors: Scraper, scrape_timeout: float) -> Starlette:
    """Return the ASGI application that serves these collectors."""

    async def metrics(request: Request) -> Response:
        samples = await collectors.scrape(_deadline(request.headers.get(_TIMEOUT_HEADER), scrape_timeout))
        body = page([*families(samples), *PROCESS_COLLECTOR.collect()])
        return Response(body, headers={"content-type": CONTENT_TYPE})

    async def landing(request: Request) -> Response:
        return HTMLResponse(_landing(collectors.runners))

    async def healthy(request: Request) -> Response:
        return PlainTextResponse("Watchkeeper is healthy.\n")

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        yield
        await collectors.close()

    return Starlette(
        routes=_routes({"/": landing, "/metrics": metrics, "/-/healthy": healthy}),
        # Level 1: a tenth of the size for a fifth of the work of the higher levels.
        middleware=[Middleware(GZipMiddleware, minimum_size=1000, compresslevel=1)],
        lifespan=lifespan,
    )


def _routes(pages: dict[str, Callable[[Request], Awaitable[Response]]]) -> list[Route]:
    return [Route(path, endpoint, methods=["GET"]) for path, endpoint in pages.items()]


async def serve(config: Config) -> None:
    """Serve until SIGINT or SIGTERM. Raises ConfigError when the address cannot be had."""
    host, port = config.server.address
    try:
        listener = socket.create_server(
            (host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET
        )
    except (OSError, OverflowError) as error:
        raise ConfigError(
            f"cannot listen on {config.server.listen}: {getattr(error, 'strerror', None) or error}; "
            "choose another server.listen, or stop what is using it"
        ) from None
    collectors = scraper(config)
    server = _Server(
        uvicorn.Config(
            application(collectors, config.server.scrape_timeout),
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=STOP_SECONDS,
        ),
        collectors,
    )
    names = ", ".join(config.collectors)
    _log.info("http://%s:%s/metrics with the collectors %s", host, listener.getsockname()[1], names)
    loop = asyncio.get_running_loop()
    for stop in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(stop, server.handle_exit, stop, None)
    await server.serve(sockets=[listener])


class _Server(uvicorn.Server):
    """uvicorn without its signal handling, which ends by raising the signal again: a stop is no failure."""

    def __init__(self, config: uvicorn.Config, collectors: Scraper) -> None:
        super().__init__(config)
        self._collectors = collectors

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        # A scrape that waits for a collector is answered now: uvicorn would cancel it and log a traceback.
        await asyncio.gather(self._collectors.close(), super().shutdown(sockets))


def _deadline(header: str | None, setting: float) -> float:
    """Return the seconds left for the collectors: the smaller of our setting and Prometheus's own limit."""
    try:
        theirs = float(header or "inf")
    except ValueError:
        theirs = float("inf")
    if not theirs > 0:
        return setting
    # A tenth is kept back of limits so short that the margin would leave nothing.
    return min(setting, max(theirs - MARGIN_SECONDS, theirs * 0.9 if theirs < 1 else 0.5))


def _build_info() -> Sample:
    note = Path(__file__).with_name("REVISION")  # written when an image is built
    revision = note.read_text().strip() if note.is_file() else "unknown"
    return BUILD_INFO.sample(1, version=__version__, revision=revision)


def _landing(runners: list[Runner]) -> str:
    rows = "".join(f"<tr><td>{html.escape(runner.name)}<td>{_state(runner)}</tr>" for runner in runners)
    return (
        "<!doctype html><html lang=en><meta charset=utf-8><title>Watchkeeper</title>"
        "<style>body{font:1rem/1.5 system-ui;margin:2rem auto;max-width:50rem;padding:0 1rem}"
        "td,th{text-align:left;padding:.2rem 1rem .2rem 0;vertical-align:top}</style>"
        f"<h1>Watchkeeper {__version__}</h1>"
        "<p><a href=metrics>Metrics</a> for Prometheus.</p>"
        f"<table><tr><th>Collector<th>Last run</tr>{rows}</table></html>"
    )


def _state(runner: Runner) -> str:
    if runner.last is None:
        return "not run yet: it runs when the metrics are read"
    if runner.last.error:
        return html.escape(f"failed ({runner.last.reason}): {runner.last.advice}")
    age = max(time.time() - runner.last_success, 0)
    return f"{len(runner.last.samples)} samples in {runner.last.seconds:.3f} s, {age:.0f} s ago"
