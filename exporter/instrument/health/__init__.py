"""Health: components checked in the background, and pages that tell the last verdicts without waiting."""

from collections.abc import Callable, Mapping
from typing import Any, TypedDict, TypeVar, Unpack

from exporter.instrument.health import _components
from exporter.instrument.health._attach import attach
from exporter.instrument.health._check import PERIOD_SECONDS, TIMEOUT_SECONDS, Check, Settings
from exporter.instrument.health._checker import Checker
from exporter.instrument.health._findings import REASONS, Finding, degraded, unhealthy
from exporter.instrument.health._layers import ASGIHealth, WSGIHealth
from exporter.instrument.health._metrics import DEGRADED, DEPENDENCY_UP, LAG, LAST_CHECK, LATENCY, UP
from exporter.instrument.health._pages import PageOptions, Pages
from exporter.store import Store

_GROUPS = AI_PROVIDERS, INTEGRATIONS = "ai_providers", "integrations"
F = TypeVar("F", bound=Callable[[], Any])


class HealthOptions(PageOptions, total=False):
    """What `instrument(app, health={…})` takes.

    `token`, `networks` and `lag_limit` are explained at `Pages`. `override` lets our pages take the place of
    the application's own routes with these paths. `period` and `timeout` (seconds) are what checks have that
    say nothing else.
    """

    override: bool
    period: float
    timeout: float


class CheckOptions(TypedDict, total=False):
    """What every check takes.

    `critical=True` lets a component make /api/v1/health a 503, `ready=True` /health/ready. `period` and
    `timeout` are seconds. With `dependency`, the metric dependency_up tells of it, under its own name or
    under the one given. `group` is where it stands on the detailed page.
    """

    critical: bool
    ready: bool
    period: float
    timeout: float
    dependency: bool | str
    group: str


class Health:
    """The components of one store. Every check has a name, and replaces an earlier one with that name.

    Checks begin with the application, when its start-up is over or at its first request.
    """

    def __init__(self, store: Store) -> None:
        self.checker = Checker(store)
        self.period, self.timeout = PERIOD_SECONDS, TIMEOUT_SECONDS
        self._store = store

    @classmethod
    def of(cls, store: Store) -> "Health":
        """Return the health of a store, always the same."""
        return store.share("health", lambda: cls(store))

    def watch(self, app: Any, **options: Unpack[HealthOptions]) -> Callable[[], None]:
        """Answer the pages of an application; return what undoes that. Raises TypeError and ValueError."""
        rest: dict[str, Any] = dict(options)
        self.period = rest.pop("period", self.period)
        self.timeout = rest.pop("timeout", self.timeout)
        override = rest.pop("override", False)
        undo = attach(app, self.checker, Pages(self.checker, **rest), override=override)

        def stop() -> None:
            undo()
            self.stop()

        return stop

    def start(self) -> None:
        """Check from now on, for a program that serves no requests: only the metrics tell of it then."""
        self.checker.start()

    def stop(self) -> None:
        """Check no more."""
        self.checker.stop()

    def check(self, name: str, **options: Unpack[CheckOptions]) -> Callable[[F], F]:
        """Make a function without arguments a check: `@obs.health.check("billing", timeout=5)`.

        It fails by an exception or by returning False; `degraded("rate_limited")` and `unhealthy(…)` say
        more, by a word of `REASONS`. A coroutine function runs in the event loop, another one in a thread of
        its own. Raises ValueError for times that are not above 0, and for the name of a group.
        """

        def decorate(function: F) -> F:
            self._add(name, function, options)
            return function

        return decorate

    def asyncpg(self, name: str, pool: Any, **options: Unpack[CheckOptions]) -> None:
        """Check that an asyncpg pool answers a SELECT in time. Options: those of `check`."""
        self._add(name, _components.of_asyncpg(pool), options, outside=True)

    def sqlalchemy(self, name: str, engine: Any, **options: Unpack[CheckOptions]) -> None:
        """Check an SQLAlchemy engine, sync or async, likewise."""
        self._add(name, _components.of_sqlalchemy(engine), options, outside=True)

    def redis(self, name: str, client: Any, **options: Unpack[CheckOptions]) -> None:
        """Check that a client of redis-py, sync or async, gets its pong."""
        self._add(name, _components.of_redis(client), options, outside=True)

    def apscheduler(self, scheduler: Any, name: str = "scheduler", **options: Unpack[CheckOptions]) -> None:
        """Check that a scheduler of APScheduler 3 runs; tells how many jobs are pending."""
        self._add(name, _components.of_apscheduler(scheduler), options, timed=False)

    def ai(self, *providers: str, **options: Unpack[CheckOptions]) -> None:
        """Tell the used share of the providers' rate limits, as their last replies gave it; asks nobody.

        The names are the label `provider` of the AI metrics: openai, anthropic. From 95 % on it is degraded.
        """
        for provider in providers:
            ask = _components.of_ai(self._store, provider)
            self._add(provider, ask, options, timed=False, group=AI_PROVIDERS)

    def http(
        self,
        name: str,
        url: str,
        *,
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
        **options: Unpack[CheckOptions],
    ) -> None:
        """Check another service by an address of it: below 400 is healthy, 429 degraded (rate_limited).

        Redirects are not followed. A Retry-After up to five minutes is kept to. Raises ValueError for an
        address that is not of HTTP.
        """
        ask = _components.of_http(url, method, headers or {}, options.get("timeout", self.timeout))
        self._add(name, ask, options, timed=False, outside=True, group=INTEGRATIONS)

    def sentry(
        self, delivery: Callable[[], str | None] | None = None, **options: Unpack[CheckOptions]
    ) -> None:
        """Check that events reach Sentry; `degraded` where not, for the application works without.

        `delivery` returns "" for yes, a word of `REASONS` for no, None for not known. Without it the SDK is
        asked, which knows of rate limits and a full queue, not of a dead address.
        """
        self._add("sentry", _components.of_sentry(delivery), options, timed=False)

    def _add(
        self,
        name: str,
        function: Callable[[], Any],
        given: CheckOptions,
        *,
        timed: bool = True,
        outside: bool = False,
        group: str = "",
    ) -> None:
        dependency = given.get("dependency", outside)
        group = given.get("group", group)
        settings = Settings(
            critical=given.get("critical", False),
            ready=given.get("ready", False),
            period=given.get("period", self.period),
            timeout=given.get("timeout", self.timeout),
            dependency=dependency if isinstance(dependency, str) else name if dependency else "",
            timed=timed and not group,
        )
        if settings.period <= 0 or settings.timeout <= 0:
            raise ValueError(f"health check {name!r}: period and timeout are seconds above 0")
        if not group and name in _GROUPS:
            raise ValueError(f"health check {name!r}: this is the name of a group; choose another")
        self.checker.add(Check(name, function, settings, group))


__all__ = [
    "DEGRADED",
    "DEPENDENCY_UP",
    "LAG",
    "LAST_CHECK",
    "LATENCY",
    "REASONS",
    "UP",
    "ASGIHealth",
    "Finding",
    "Health",
    "HealthOptions",
    "Pages",
    "WSGIHealth",
    "degraded",
    "unhealthy",
]
