"""The applications that are measured, and every way to instrument them, each as its documents say."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

from fastapi import APIRouter, FastAPI
from prometheus_client.registry import CollectorRegistry
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from exporter import instrument
from exporter.store import family

Make = Callable[..., Any]
PEERS = (
    "prometheus-fastapi-instrumentator",
    "starlette-exporter",
    "opentelemetry-instrumentation-asgi",
    "opentelemetry-instrumentation-fastapi",
    "opentelemetry-exporter-prometheus",
    "fastapi",
    "starlette",
)
RECORDS = {
    "bare": "nothing",
    "pass-through": "nothing: an empty ASGI middleware, the floor of any",
    "ours": "requests by exact status, latency and size histograms, in progress, exceptions",
    "ours, in memory": "the same, in this process's own memory instead of its worker's file",
    "prometheus-fastapi-instrumentator": "two latency histograms, two size summaries, requests by class",
    "same, with in progress": "the same and in progress",
    "starlette-exporter": "latency histogram, requests by exact status, in progress",
    "OpenTelemetry ASGI": "latency and body size histograms, in progress (no route label)",
    "OpenTelemetry FastAPI": "latency and body size histograms, in progress",
    "FastAPI telemetry": "latency histogram, in progress (tracing and logs off)",
}


async def _answer(request: Request) -> PlainTextResponse:
    return PlainTextResponse("a short answer")


def starlette_app(**settings: Any) -> Starlette:
    """Fifty routes with a parameter each."""
    return Starlette(routes=[Route(f"/things{n}/{{thing}}", _answer) for n in range(1, 51)], **settings)


def fastapi_app(**settings: Any) -> FastAPI:
    """Five included routers with ten routes each."""
    app = FastAPI(openapi_url=None, **settings)
    for area in range(5):
        router = APIRouter(prefix=f"/area{area}")
        for n in range(area * 10 + 1, area * 10 + 11):

            @router.get(f"/things{n}/{{thing}}")
            async def answer(thing: str) -> dict[str, str]:
                return {"thing": thing}

        app.include_router(router)
    return app


def paths(make: Make) -> list[str]:
    """Return one path from each fifth of the routes: routers look from the first to the last."""
    chosen = (1, 14, 27, 38, 50)
    if make is starlette_app:
        return [f"/things{n}/7" for n in chosen]
    return [f"/area{(n - 1) // 10}/things{n}/7" for n in chosen]


class _PassThrough:
    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self.app(scope, receive, send)


def pass_through(make: Make) -> Any:
    return _PassThrough(make())


def ours(make: Make) -> Any:
    app = make()
    instrument(app, registry=CollectorRegistry())
    return app


@contextlib.contextmanager
def no_files() -> Iterator[None]:
    """Stores that are made in here find no place for files, and keep to this process's memory."""
    with mock.patch.object(family, "folder", side_effect=OSError("none, for the measurement")):
        yield


def ours_in_memory(make: Make) -> Any:
    with no_files():
        return ours(make)


def instrumentator(make: Make, in_progress: bool = False) -> Any:
    from prometheus_fastapi_instrumentator import Instrumentator

    app = make()
    chosen = Instrumentator(should_instrument_requests_inprogress=in_progress, registry=CollectorRegistry())
    chosen.instrument(app)
    return app


def instrumentator_in_progress(make: Make) -> Any:
    return instrumentator(make, in_progress=True)


def starlette_exporter(make: Make) -> Any:
    from starlette_exporter import PrometheusMiddleware

    app = make()
    app.add_middleware(PrometheusMiddleware, app_name="bench", prefix="bench")
    return app


def _meters() -> Any:
    from opentelemetry.exporter.prometheus import PrometheusMetricReader
    from opentelemetry.sdk.metrics import MeterProvider

    return MeterProvider(metric_readers=[PrometheusMetricReader()])


def opentelemetry_asgi(make: Make) -> Any:
    from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware

    return OpenTelemetryMiddleware(make(), meter_provider=_meters())


def opentelemetry_fastapi(make: Make) -> Any:
    from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor

    app = make()
    FastAPIInstrumentor.instrument_app(app, meter_provider=_meters())
    return app


def fastapi_telemetry(make: Make) -> Any:
    return make(telemetry={"meter_provider": _meters(), "tracing": False, "logs": False})


STARLETTE: dict[str, Callable[[Make], Any]] = {
    "bare": lambda make: make(),
    "pass-through": pass_through,
    "ours": ours,
    "ours, in memory": ours_in_memory,
    "prometheus-fastapi-instrumentator": instrumentator,
    "same, with in progress": instrumentator_in_progress,
    "starlette-exporter": starlette_exporter,
    "OpenTelemetry ASGI": opentelemetry_asgi,
}
FASTAPI = STARLETTE | {"OpenTelemetry FastAPI": opentelemetry_fastapi, "FastAPI telemetry": fastapi_telemetry}
# OpenTelemetry keeps to its own process, so it has no part where several workers are one page.
WORKERS = {name: STARLETTE[name] for name in STARLETTE if "OpenTelemetry" not in name}


def available(ways: dict[str, Callable[[Make], Any]], make: Make) -> dict[str, Any]:
    """Return the instrumented applications; ways whose package is not installed are left out."""
    apps = {}
    for name, way in ways.items():
        with contextlib.suppress(ImportError):
            apps[name] = way(make)
    return apps
