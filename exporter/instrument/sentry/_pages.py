"""Two pages: one sends a test event and waits for its delivery, one tells the front end its settings."""

import hmac
import json
import time
import uuid
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from exporter.instrument.sentry._deliveries import Deliveries
from exporter.instrument.sentry._hooks import TEST_LOGGER
from exporter.instrument.sentry._settings import Settings

WAIT_SECONDS = 5.0


class Reply(NamedTuple):
    """An answer to a request."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes

    @property
    def line(self) -> str:
        return f"{self.status} {HTTPStatus(self.status).phrase}"


class Pages:
    """Answers for one application. Without a token there is no test page, without a path no settings."""

    def __init__(self, settings: Settings, deliveries: Deliveries, capture: Callable[[Any], Any]) -> None:
        self._settings = settings
        self._deliveries = deliveries
        self._capture = capture
        token = settings.test_token
        self._token = f"Bearer {token}".encode() if token else b""
        self._test_path = settings.chosen.test_path if token else ""

    def is_one(self, method: str, path: str) -> bool:
        """Whether this request is for one of them."""
        if method == "POST":
            return bool(self._test_path) and path == self._test_path
        return method == "GET" and bool(path) and path == self._settings.settings_path

    def answer(self, path: str, authorization: str) -> Reply:
        """Answer a request; the test page takes as long as the delivery."""
        if path != self._test_path:
            return _json(200, frontend(self._settings), ("Cache-Control", "public, max-age=300"))
        if not hmac.compare_digest(authorization.encode("latin-1", "replace"), self._token):
            return _json(401, {"error": "a bearer token is needed"}, ("WWW-Authenticate", "Bearer"))
        began = time.monotonic()
        event_id, outcome = self.send_test()
        status = 200 if outcome == "sent" else 504 if outcome == "timeout" else 502
        took = round(time.monotonic() - began, 3)
        return _json(status, {"event_id": event_id, "outcome": outcome, "seconds": took})

    def send_test(self, wait: float = WAIT_SECONDS) -> tuple[str, str]:
        """Send an event and return its id and what became of it within `wait` seconds.

        That is sent, timeout, or the outcome of a loss as in `sentry_envelopes_total`.
        """
        event_id = uuid.uuid4().hex
        waiting = self._deliveries.expect(event_id)
        try:
            self._capture(
                {
                    "event_id": event_id,
                    "level": "info",
                    "logger": TEST_LOGGER,
                    "message": "Watchkeeper's test event: errors arrive.",
                    "fingerprint": [TEST_LOGGER],
                }
            )
            waiting.done.wait(wait)
            return event_id, waiting.outcome or "timeout"
        finally:
            self._deliveries.forget(event_id)


def frontend(settings: Settings) -> dict[str, Any]:
    """Return what a browser's SDK needs, in its own words. A DSN is public, but for an old one's secret."""
    return {
        "dsn": public_dsn(settings.frontend_dsn or settings.dsn),
        "environment": settings.frontend_environment or settings.environment,
        "release": settings.release or None,
        "sampleRate": settings.sample_rate,
        "tracesSampleRate": settings.traces_sample_rate or 0.0,
        "sendDefaultPii": settings.send_default_pii,
    }


def public_dsn(dsn: str) -> str:
    """Return a DSN without the secret key that old ones have."""
    parts = urlsplit(dsn)
    server = parts.netloc.rpartition("@")[2]
    return parts._replace(netloc=f"{parts.username}@{server}").geturl()


def _json(status: int, value: Any, *headers: tuple[str, str]) -> Reply:
    body = json.dumps(value).encode()
    kept = headers or (("Cache-Control", "no-store"),)
    fixed = [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
    return Reply(status, [*fixed, *kept], body)
