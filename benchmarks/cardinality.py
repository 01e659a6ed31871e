"""New series after requests that are made to fill the page: paths, methods, hosts, mount parameters."""

import asyncio
import contextlib
import gc
import os
from collections.abc import Callable, Iterable
from typing import Any

from prometheus_client import REGISTRY, generate_latest
from prometheus_client.registry import CollectorRegistry
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Host, Mount, Route

from benchmarks import _apps
from benchmarks._measure import Ratio, Report, Table, in_a_process
from benchmarks.http_overhead import ENVIRONMENT, _receive, _scope, _send

# As many as were ever tried on a peer that broke.
SIZES = {"random paths": 10_000, "invented methods": 10_000, "Host headers": 3_000, "mount parameters": 2_000}
# A first request to a route makes its own series, so each kind has had one before we count.
BEFORE = 3


async def _answer(request: Request) -> PlainTextResponse:
    return PlainTextResponse("a short answer")


def application(**settings: Any) -> Starlette:
    """Routes, a mount with a parameter, and one behind any subdomain."""
    inside = Starlette(routes=[Route("/things/{thing}", _answer)])
    return Starlette(
        routes=[
            Route("/", _answer),
            Mount("/tenants/{tenant}", app=inside),
            Host("{name}.example.com", app=inside),
        ],
        **settings,
    )


def scopes(attack: str, count: int) -> Iterable[dict[str, Any]]:
    for n in range(count):
        if attack == "random paths":
            yield _scope(f"/nothing/{os.urandom(4).hex()}")
        elif attack == "invented methods":
            yield _scope("/") | {"method": f"X{n:X}"}
        elif attack == "Host headers":
            yield _scope("/things/1") | {"headers": [(b"host", f"h{n}.example.com".encode())]}
        else:
            yield _scope(f"/tenants/t{n}/things/{n}")


def run(candidate: str, attack: str, count: int) -> int | None:
    """Return the series that the page has more after `count` requests; None where it cannot be tried."""
    ways: dict[str, Callable[..., Any]] = _apps.STARLETTE
    with contextlib.suppress(ImportError):
        app = ways[candidate](application)
        return asyncio.run(_grown(app, attack, count))
    return None


async def _grown(app: Any, attack: str, count: int) -> int:
    page = _page_of(app)
    for scope in scopes(attack, BEFORE):
        await app(scope, _receive, _send)
    before = await page()
    for scope in scopes(attack, count):
        await app(scope, _receive, _send)
    grown: int = await page() - before
    return grown


def _page_of(app: Any) -> Callable[[], Any]:
    """Return what counts the series of a candidate, wherever it keeps them."""

    async def count() -> int:
        parts: list[bytes] = []

        async def send(message: Any) -> None:
            parts.append(message.get("body", b""))

        await app(_scope("/metrics"), _receive, send)
        page = b"".join(parts)
        if b"# TYPE" not in page:  # it serves none itself
            page = b"".join(generate_latest(registry) for registry in (REGISTRY, *_registries(app)))
        return sum(1 for line in page.splitlines() if line and not line.startswith(b"#"))

    return count


def _registries(app: Any) -> list[CollectorRegistry]:
    return [
        found for found in gc.get_objects() if isinstance(found, CollectorRegistry) and found is not REGISTRY
    ]


# Title, way of instrumenting, environment. OpenTelemetry has its old names by default, and only the new ones
# are bounded.
CANDIDATES: tuple[tuple[str, str, dict[str, str]], ...] = (
    ("ours", "ours", {}),
    ("prometheus-fastapi-instrumentator", "prometheus-fastapi-instrumentator", {}),
    ("starlette-exporter", "starlette-exporter", {}),
    ("OpenTelemetry ASGI", "OpenTelemetry ASGI", ENVIRONMENT),
    ("the same, its default names", "OpenTelemetry ASGI", {}),
)


def measure(tiny: bool) -> Report:
    """Every pair in a process of its own: some peers keep their series in one place for all applications."""
    rows: list[tuple[Any, ...]] = []
    grown: dict[str, int] = {}
    for attack, size in SIZES.items():
        count = 20 if tiny else size
        cells = []
        for title, way, environment in CANDIDATES:
            found = in_a_process("benchmarks.cardinality:run", way, attack, count, environment=environment)
            cells.append("-" if found is None else found)
            if title == "ours":
                grown[attack] = found
        rows.append((f"{count:,} {attack}", *cells))
    ratios = [Ratio(f"new series after {attack}", grown[attack], most=0) for attack in SIZES]
    return Report(
        [Table("New series", ("after", *(title for title, _, _ in CANDIDATES)), rows)], ratios, _apps.PEERS
    )


if __name__ == "__main__":
    from benchmarks._measure import main

    main("cardinality", measure)
