"""Error tracking with Sentry: errors and traces go out, nothing private with them."""

import importlib.util
import logging
import sys
import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypedDict

from exporter.instrument.sentry._contexts import (
    capture_exception_with_context,
    set_transaction_context,
    set_user_context,
)
from exporter.instrument.sentry._metrics import ENVELOPES, FILTERED, LAST_DELIVERY, WITHHELD
from exporter.instrument.sentry._settings import SentryOptions, Settings, is_wanted, resolve
from exporter.store import Store

if TYPE_CHECKING:
    from exporter.instrument.sentry._setup import Sentry

__all__ = [
    "ENVELOPES",
    "FILTERED",
    "LAST_DELIVERY",
    "WITHHELD",
    "Health",
    "SentryOptions",
    "Settings",
    "capture_exception_with_context",
    "delivery",
    "health",
    "init_sentry",
    "policy",
    "set_transaction_context",
    "set_user_context",
    "switch_on",
]

_log = logging.getLogger("watchkeeper")
_lock = threading.Lock()
_running: "Sentry | None" = None


class Health(TypedDict):
    """What is known of the delivery to Sentry, by this process."""

    configured: bool
    status: str  # healthy, pending (nothing sent yet), degraded, stopped or off
    reason: str  # of a degraded one: rate_limited, refused, unreachable, queue_full or unscrubbed
    last_delivery: float | None  # Unix time
    delivered: int
    dropped: int
    withheld_items: int
    rate_limited_until: float | None  # Unix time


def init_sentry(options: SentryOptions | None = None, store: Store | None = None) -> bool:
    """Start error tracking for this process, as the environment and `options` say; return whether it is on.

    `instrument(app)` does this by itself. A second call changes nothing. Without a DSN, or with
    SENTRY_ENABLED=false, nothing is imported. Raises ValueError for settings that cannot be, and
    ModuleNotFoundError where sentry-sdk is not installed.
    """
    global _running
    options = options or SentryOptions()
    if not is_wanted(options):
        return False
    with _lock:
        if _running is None:
            if importlib.util.find_spec("sentry_sdk") is None:
                raise ModuleNotFoundError("sentry-sdk is missing: pip install 'watchkeeper[sentry]'")
            settings = resolve(options)
            from exporter.instrument.sentry import _setup

            _running = _setup.Sentry(settings, store or Store.of())
            if "environment" not in settings.origins and not options.environment:
                _log.warning(
                    "nobody says which environment this is: it is development (set SENTRY_ENVIRONMENT)"
                )
            _log.info(_setup.policy(settings))
        elif options not in (SentryOptions(), _running.settings.chosen):
            _log.warning("Sentry is on already, with other options; the new ones have no effect")
    return True


def switch_on(
    store: Store, app: Any, wanted: bool | SentryOptions | Mapping[str, Any] | None
) -> Callable[[], None] | None:
    """Do what `instrument(app, sentry=wanted)` says; return what ends it, None where it is off."""
    if wanted is False:
        return None
    given = SentryOptions(**wanted) if isinstance(wanted, Mapping) else wanted
    options = given if isinstance(given, SentryOptions) else SentryOptions()
    try:
        if wanted is None and _is_theirs():
            _log.warning("the application has started Sentry itself, unscrubbed; sentry=True takes over")
            return None
        if not init_sentry(options, store):
            if wanted:
                _log.warning("Sentry is off: there is no SENTRY_DSN, or SENTRY_ENABLED is false")
            return None
    except (ValueError, ModuleNotFoundError) as error:
        if wanted is not None:
            raise
        _log.error("Sentry is off: %s", error)
        return None
    running = _running
    assert running is not None
    unwatch = running.watch(app) if app is not None else lambda: None
    with _lock:
        running.users += 1

    def off() -> None:
        unwatch()
        _release(running)

    return off


def policy() -> str:
    """Return in one line what is sent where, "" while Sentry is off."""
    if _running is None:
        return ""
    from exporter.instrument.sentry import _setup

    return _setup.policy(_running.settings)


def health() -> Health:
    """Return what is known of deliveries. This asks nobody and takes no time."""
    running = _running
    if running is None:
        return Health(
            configured=False,
            status="off",
            reason="",
            last_delivery=None,
            delivered=0,
            dropped=0,
            withheld_items=0,
            rate_limited_until=None,
        )
    seen = running.deliveries
    transport = running.client.transport
    until = transport.rate_limited_until() if transport is not None else 0.0
    if not running.is_current():
        status, reason = "stopped", ""
    elif until:
        status, reason = "degraded", "rate_limited"
    elif seen.last_loss:
        status, reason = "degraded", seen.last_loss
    else:
        status, reason = ("healthy" if seen.last_delivery else "pending"), ""
    return Health(
        configured=True,
        status=status,
        reason=reason,
        last_delivery=seen.last_delivery or None,
        delivered=seen.counts["sent"],
        dropped=sum(count for outcome, count in seen.counts.items() if outcome != "sent"),
        withheld_items=seen.withheld_items,
        rate_limited_until=until or None,
    )


def delivery() -> str | None:
    """Return the word for a health check: "" while events arrive, None before the first, else the trouble."""
    if _running is None:
        sdk = sys.modules.get("sentry_sdk")
        client = sdk.get_client() if sdk is not None else None
        if client is None or not client.is_active() or client.transport is None:
            return "stopped"
        return "" if client.transport.is_healthy() else "rate_limited"
    now = health()
    words = {"refused": "error", "unreachable": "unavailable", "queue_full": "unavailable"}
    if now["status"] == "stopped":
        return "stopped"
    if now["status"] == "pending":
        return None
    return words.get(now["reason"], now["reason"])


def _is_theirs() -> bool:
    """Whether the application itself has started the SDK, which then runs without us."""
    sdk = sys.modules.get("sentry_sdk")
    return (
        _running is None and sdk is not None and bool(sdk.get_client().is_active() and sdk.get_client().dsn)
    )


def _release(running: "Sentry") -> None:
    """Let go of one observer; with the last one the SDK stops."""
    global _running
    with _lock:
        running.users -= 1
        if running.users > 0 or _running is not running:
            return
        _running = None
    running.stop()
