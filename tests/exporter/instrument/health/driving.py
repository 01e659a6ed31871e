"""An application with health pages on a real server, and words for what they say."""

import contextlib
from contextlib import asynccontextmanager

import httpx
from prometheus_client import CollectorRegistry
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from exporter import instrument
from exporter.store import Store
from tests.serving import serving
from tests.waiting import wait_for

QUICK = {"period": 0.1, "timeout": 0.5}
DETAILED = "/api/v1/health/detailed"


async def hello(request):
    return PlainTextResponse("hello")


def client(url):
    # A connection for each request: on a kept one the client's late ACK adds 40 ms to every answer. And
    # reading the machine's certificates would be most of the tests' time.
    return httpx.Client(base_url=url, headers={"Connection": "close"}, verify=False, timeout=10)


class Application:
    """`app` and its observer `obs`; `prepare` registers checks while the application starts."""

    def __init__(self, prepare=None, routes=(), **options):
        self.registry = CollectorRegistry()

        @asynccontextmanager
        async def lifespan(app):
            if prepare is None:
                yield
            else:
                async with prepare(self.obs):
                    yield

        self.app = Starlette(routes=[Route("/", hello), *routes], lifespan=lifespan)
        self.obs = instrument(self.app, registry=self.registry, **{"health": QUICK, **options})

    @property
    def health(self):
        return self.obs.health

    def value(self, name, **labels):
        Store.of(self.registry).tick()
        return self.registry.get_sample_value(name, labels)

    @contextlib.contextmanager
    def served(self, **options):
        with serving(self.app, **options) as url, client(url) as http:
            try:
                yield http
            finally:
                self.obs.uninstrument()


def component(http, name, group=""):
    """What the detailed page says of a component now, or None."""
    told = http.get(DETAILED).json()
    return (told.get(group, {}) if group else told).get(name)


def wait_for_status(http, name, status, group="", **fields):
    """What it says as soon as it has this status and these fields."""

    def said():
        found = component(http, name, group)
        return found and found["status"] == status and fields.items() <= found.items() and found

    return wait_for(said, 10, f"{name} is {status}")
