"""What the last verdicts say, as words and as JSON: nothing is asked here, and nothing waits."""

import time
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from exporter.instrument.health._check import Check, Seen
from exporter.instrument.health._findings import Status

# https://datatracker.ietf.org/doc/html/draft-inadarei-api-health-check-06, section 3.1
WORDS: dict[Status, str] = {"healthy": "pass", "degraded": "warn", "unknown": "warn", "unhealthy": "fail"}
_LOST = ("unhealthy", "stale")

Shown = list[tuple[Check, Seen]]


def shown(checks: Iterable[Check]) -> Shown:
    """Return the components with what is known of each now."""
    now = time.monotonic()
    return [(check, check.now(now)) for check in checks]


def overall(components: Shown) -> Status:
    """Return one word for all. Critical components alone make it `unhealthy`.

    One that was not looked at for three periods is as good as away; one that was not looked at yet is not.
    """
    word: Status = "healthy"
    for check, seen in components:
        lost = seen.status in _LOST or seen.reason in _LOST
        if check.settings.critical and lost:
            return "unhealthy"
        if seen.reason == "pending":
            word = "unknown" if check.settings.critical and word == "healthy" else word
        elif seen.status != "healthy":
            word = "degraded"
    return word


def ready(components: Shown) -> bool:
    """Whether the components that readiness depends on are known to work."""
    return all(seen.status in ("healthy", "degraded") for check, seen in components if check.settings.ready)


def age(components: Shown) -> int:
    """Return the age of the oldest verdict in seconds."""
    now = time.monotonic()
    return int(max((now - seen.at for _, seen in components), default=0.0))


def plain(components: Shown) -> dict[str, Any]:
    """Return each component by its name, those of a group inside it."""
    told: dict[str, Any] = {}
    for check, seen in components:
        place = told.setdefault(check.group, {}) if check.group else told
        entry = place[check.name] = {"status": seen.status}
        if check.settings.timed and check.seen is not None:
            entry["latency_ms"] = round(seen.latency * 1000)
        entry.update(seen.finding.details)
        if seen.reason:
            entry["error"] = seen.reason
    return told


def standard(components: Shown) -> dict[str, Any]:
    """Return the same in the words of application/health+json."""
    checks: dict[str, Any] = {}
    for check, seen in components:
        entry: dict[str, Any] = {"status": WORDS[seen.status], "componentType": "component"}
        if check.settings.dependency:
            entry["componentType"] = "datastore" if not check.group else "system"
        key, value, unit = _measured(check, seen)
        if value is not None:
            entry |= {"observedValue": value, "observedUnit": unit}
        if check.seen is not None:
            entry["time"] = datetime.fromtimestamp(seen.time, UTC).isoformat(timespec="milliseconds")
        if seen.reason:
            entry["output"] = seen.reason
        checks[key] = [entry]
    return {"status": WORDS[overall(components)], "checks": checks}


def _measured(check: Check, seen: Seen) -> tuple[str, float | None, str]:
    """Return the key of a component with what is measured of it, the value and its unit."""
    details = seen.finding.details
    if "jobs_pending" in details:
        return f"{check.label}:jobsPending", details["jobs_pending"], "jobs"
    if "rate_limit" in details:
        return f"{check.label}:rateLimitUsed", float(details["rate_limit"].removesuffix("%")), "percent"
    if check.settings.timed and check.seen is not None:
        return f"{check.label}:responseTime", round(seen.latency * 1000, 3), "ms"
    return check.label, None, ""
