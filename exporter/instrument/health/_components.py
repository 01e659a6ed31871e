"""Ready checks: what to ask a pool, a cache, a scheduler, a service; or where to read what is known."""

import sys
import time
import urllib.error
import urllib.request
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from exporter.instrument.health._findings import Finding, Reason, degraded, of_status, unhealthy
from exporter.store import Store
from exporter.store.keys import labels_of

_USED, _RESET = "ai_rate_limit_used_ratio", "ai_rate_limit_reset_timestamp_seconds"
_NEARLY_USED = 0.95  # the alert's higher threshold
_AI_SECONDS = 600.0  # how long a limit without a reset time is believed
_MOST_WAIT_SECONDS = 300.0  # a Retry-After beyond is asked earlier

Ask = Callable[[], Any] | Callable[[], Awaitable[Any]]


def of_asyncpg(pool: Any) -> Ask:
    """Ask through the pool, because that is the application's way: an exhausted one is late as well."""

    async def ask() -> None:
        await pool.fetchval("SELECT 1")

    return ask


def of_sqlalchemy(engine: Any) -> Ask:
    """Ask through the engine's pool, in a thread or, for an async engine, in the application's loop."""
    from sqlalchemy import literal, select

    statement = select(literal(1))

    def ask() -> None:
        with engine.connect() as connection:
            connection.scalar(statement)

    async def ask_async() -> None:
        async with engine.connect() as connection:
            await connection.scalar(statement)

    return ask_async if hasattr(engine, "sync_engine") else ask


def of_redis(client: Any) -> Ask:
    """Ask a client of redis-py, either kind, for a pong."""

    async def ask_async() -> None:
        await client.ping()

    def ask() -> None:
        client.ping()

    is_async = any(kind.__module__.startswith("redis.asyncio") for kind in type(client).__mro__)
    return ask_async if is_async else ask


def of_apscheduler(scheduler: Any) -> Ask:
    """Look whether a scheduler of APScheduler 3 works, and how many jobs wait for their next run."""

    def ask() -> Finding:
        jobs = scheduler.get_jobs()  # perhaps from a database
        pending = sum(1 for job in jobs if getattr(job, "next_run_time", None) is not None)
        found = Finding(details={"jobs_pending": pending})
        if not scheduler.running:
            return found._replace(status="unhealthy", reason="stopped")
        # STATE_PAUSED of apscheduler.schedulers.base
        return found._replace(status="degraded", reason="stopped") if scheduler.state == 2 else found

    return ask


def of_ai(store: Store, provider: str) -> Ask:
    """Read what the last replies of a provider said of its rate limits, whichever worker got them."""

    def ask() -> Finding:
        numbers = store.numbers()
        resets = _newest(numbers, _RESET, provider)
        now, used = time.time(), []
        for labels, (at, ratio) in _newest(numbers, _USED, provider).items():
            reset = resets.get(labels, (0.0, 0.0))[1]
            if reset:
                used.append(ratio if reset > now else 0.0)  # whole again
            elif now - at < _AI_SECONDS:
                used.append(ratio)
        if not used:
            return Finding("unknown", "pending")
        found = Finding(details={"rate_limit": f"{max(used):.0%}"})
        if max(used) >= _NEARLY_USED:
            return found._replace(status="degraded", reason="rate_limited")
        return found

    return ask


def of_http(url: str, method: str, headers: Mapping[str, str], timeout: float) -> Ask:
    """Ask another service's address; any answer below 400 is good. Raises ValueError for another scheme.

    In a thread with the standard library: a dead name would hold one of the few threads in which an event
    loop looks names up, which are the application's.
    """
    if not url.startswith(("http://", "https://")):
        raise ValueError(f"a health check asks http:// or https:// addresses, not {url.partition(':')[0]}:")
    opener = urllib.request.build_opener(_NoRedirect)

    def ask() -> Finding:
        request = urllib.request.Request(url, method=method, headers=dict(headers))  # noqa: S310 - checked
        try:
            with opener.open(request, timeout=timeout):
                return Finding()
        except urllib.error.HTTPError as error:
            with error:
                reason = of_status(error.code)
                if not reason:
                    return Finding()
                found = degraded(reason) if reason == "rate_limited" else unhealthy(reason)
                return found._replace(wait=_retry_after(error.headers.get("Retry-After")))

    return ask


def of_sentry(delivery: Callable[[], str | None] | None) -> Ask:
    """Ask whether events arrive: our own part for Sentry where it is in use, or else the SDK's transport."""

    def ask() -> Finding:
        said = delivery() if delivery is not None else _ask_sentry()
        if said is None:
            return Finding("unknown", "pending")
        return degraded(_word(said)) if said else Finding()

    return ask


def _ask_sentry() -> str | None:
    ours = getattr(sys.modules.get("exporter.instrument.sentry"), "delivery", None)
    if ours is not None:
        word: str | None = ours()
        return word
    sdk = sys.modules.get("sentry_sdk")
    client = sdk.get_client() if sdk is not None else None
    if client is None or not client.is_active() or client.transport is None:
        return "stopped"
    return "" if client.transport.is_healthy() else "rate_limited"  # or its queue is full


def _newest(numbers: Any, name: str, provider: str) -> dict[tuple[str, ...], tuple[float, float]]:
    """Return when each series of a provider was last set, and to what."""
    found = {}
    for text, key in numbers.slots.special.get(name, {}).items():
        labels = labels_of(text)
        if labels["provider"] == provider and key in numbers.newest:
            found[tuple(labels.values())] = numbers.newest[key]
    return found


def _retry_after(text: str | None) -> float:
    return min(float(text), _MOST_WAIT_SECONDS) if text and text.isascii() and text.isdecimal() else 0.0


def _word(said: str) -> Reason:
    return degraded(said).reason or "error"  # type: ignore[arg-type]


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        """Go nowhere: that the service answers is enough, and headers with keys stay where they belong."""
