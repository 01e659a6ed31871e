"""The exporter's pages: metrics, one for each target, a landing page, reload, liveness."""

import html
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager

from prometheus_client import PROCESS_COLLECTOR
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from exporter import __version__
from exporter.config import ConfigError
from exporter.runner import Runner
from exporter.scrape import Scraper
from exporter.service import Service
from exporter.store.readings import blocks, grouped, page
from exporter.store.text import CONTENT_TYPE, rendered

# What Prometheus's own time-out must leave for rendering and the way back.
MARGIN_SECONDS = 0.5

_TIMEOUT_HEADER = "x-prometheus-scrape-timeout-seconds"
_HEADERS = {"content-type": CONTENT_TYPE}


def application(service: Service) -> Starlette:
    """Return the ASGI application that serves these pages."""

    async def metrics(request: Request) -> Response:
        try:
            async with service.scraping() as scraper:
                text = await _scraped(request, service, scraper)
        except _BadRequestError as error:
            return error.response
        if not _only(request):
            text += page([blocks(grouped(service.samples()))]) + rendered(PROCESS_COLLECTOR.collect())
        return Response(text, headers=_HEADERS)

    async def probe(request: Request) -> Response:
        """Answer for a target that the settings name; an address in the request would be an open door."""
        target = request.query_params.get("target", "")
        names = [name for name in service.scrapers if name]
        if target not in names:
            known = (
                f"known here: {', '.join(names)}" if names else "name one under 'targets:' in the settings"
            )
            return PlainTextResponse(f"No such target; {known}.\n", 404)
        try:
            async with service.scraping(target) as scraper:
                return Response(await _scraped(request, service, scraper), headers=_HEADERS)
        except KeyError:  # new settings have come in between
            return PlainTextResponse("The target has gone.\n", 404)
        except _BadRequestError as error:
            return error.response

    async def targets(request: Request) -> Response:
        """List the targets as Prometheus's http_sd_configs reads them."""
        names = [name for name in service.scrapers if name]
        return JSONResponse([_discovered(request.url.netloc, name) for name in names])

    async def landing(request: Request) -> Response:
        return HTMLResponse(_landing(service.scrapers))

    async def reload(request: Request) -> Response:
        try:
            await service.reload()
        except ConfigError as error:
            return PlainTextResponse(f"The settings in force stay.\n{error}\n", 500)
        return PlainTextResponse("New settings are in force.\n")

    async def healthy(request: Request) -> Response:
        return PlainTextResponse("Watchkeeper is healthy.\n")

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        yield
        await service.close()

    pages = {"/": landing, "/metrics": metrics, "/probe": probe, "/targets": targets, "/-/healthy": healthy}
    return Starlette(
        routes=[*_routes(pages, "GET"), *_routes({"/-/reload": reload}, "POST")],
        # Level 1: a tenth of the size for a fifth of the work of the higher levels.
        middleware=[Middleware(GZipMiddleware, minimum_size=1000, compresslevel=1)],
        lifespan=lifespan,
    )


class _BadRequestError(Exception):
    def __init__(self, text: str) -> None:
        self.response = PlainTextResponse(f"{text}\n", 400)


def _routes(pages: Mapping[str, Callable[[Request], Awaitable[Response]]], method: str) -> list[Route]:
    return [Route(path, endpoint, methods=[method]) for path, endpoint in pages.items()]


async def _scraped(request: Request, service: Service, scraper: Scraper) -> str:
    only = _only(request)
    unknown = only - scraper.known()
    if unknown:
        known = ", ".join(sorted(scraper.known()))
        raise _BadRequestError(f"No collector {min(unknown)!r} here; known are: {known}.")
    return await scraper.page(deadline(request.headers.get(_TIMEOUT_HEADER), service.scrape_timeout), only)


def _only(request: Request) -> set[str]:
    """Return the collectors that a scrape is limited to, as with the other exporters."""
    return set(request.query_params.getlist("collect[]"))


def deadline(header: str | None, setting: float) -> float:
    """Return the seconds left for the collectors: the smaller of our setting and Prometheus's own limit."""
    try:
        theirs = float(header or "inf")
    except ValueError:
        theirs = float("inf")
    if not theirs > 0:
        return setting
    # A tenth is kept back of limits so short that the margin would leave nothing.
    return min(setting, max(theirs - MARGIN_SECONDS, theirs * 0.9 if theirs < 1 else 0.5))


def _discovered(address: str, name: str) -> dict[str, object]:
    labels = {"__metrics_path__": "/probe", "__param_target": name, "instance": name}
    return {"targets": [address], "labels": labels}


def _landing(scrapers: dict[str, Scraper]) -> str:
    tables = "".join(_table(name, scraper.runners) for name, scraper in scrapers.items())
    return (
        "<!doctype html><html lang=en><meta charset=utf-8><title>Watchkeeper</title>"
        "<style>body{font:1rem/1.5 system-ui;margin:2rem auto;max-width:60rem;padding:0 1rem}"
        "td,th{text-align:left;padding:.2rem 1rem .2rem 0;vertical-align:top}</style>"
        f"<h1>Watchkeeper {__version__}</h1>{tables}</html>"
    )


def _table(name: str, runners: list[Runner]) -> str:
    rows = "".join(f"<tr><td>{html.escape(runner.name)}<td>{_state(runner)}</tr>" for runner in runners)
    link = f"<a href='probe?target={html.escape(name)}'>Metrics of {html.escape(name)}</a>"
    head = link if name else "<a href=metrics>Metrics</a>"
    return f"<p>{head} for Prometheus.</p><table><tr><th>Collector<th>Last run</tr>{rows}</table>"


def _state(runner: Runner) -> str:
    if runner.last is None:
        return "not run yet: it runs when the metrics are read"
    if runner.last.error:
        return html.escape(f"failed ({runner.last.reason}): {runner.last.advice}")
    age = max(time.time() - runner.last_success, 0)
    return f"{len(runner.last.samples)} samples in {runner.last.seconds:.3f} s, {age:.0f} s ago"
