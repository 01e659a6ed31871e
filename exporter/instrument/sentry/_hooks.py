"""What the SDK asks before it sends: filter, category, sampling, names. Scrubbing is the gate's."""

from collections.abc import Mapping
from typing import Any

from exporter.instrument._guard import failed
from exporter.instrument.sentry import _filters
from exporter.instrument.sentry._categories import Categories
from exporter.instrument.sentry._metrics import FILTERED
from exporter.instrument.sentry._request import AROUND
from exporter.instrument.sentry._settings import Settings
from exporter.store import Store

TEST_LOGGER = "watchkeeper.sentry.test"
_LEFT_OUT = "_watchkeeper_left_out"
# A name that the application has chosen itself is kept; the SDK's word.
_CHOSEN = "custom"


class Hooks:
    """Functions for `sentry_sdk.init`. None of them raises: that would lose what it was asked about."""

    def __init__(self, settings: Settings, store: Store) -> None:
        chosen = settings.chosen
        self._store = store
        self._settings = settings
        self._filters = chosen.filters
        self._always = chosen.always
        self._quiet = frozenset(path.rstrip("/") for path in chosen.quiet_paths)
        self._categories = Categories(chosen.categories)
        for reason in self._filters:
            FILTERED.on(store).labels(reason).inc(0)

    def before_send(self, event: Any, hint: Mapping[str, Any]) -> Any:
        """Drop what is filtered; give the rest its category and the name of its route."""
        try:
            around, error = AROUND.get(), _error(hint)
            if event.get("type") != "check_in":
                reason = _filters.reason(error, around.path if around else "", self._quiet)
                category = self._categories.of(error, _asked(event), in_request=around is not None)
                if getattr(error, _LEFT_OUT, False):  # a server logs again what left the application
                    return None
                if reason in self._filters and not (reason == "timeout" and category in self._always):
                    FILTERED.on(self._store).labels(reason).inc()
                    if error is not None:
                        setattr(error, _LEFT_OUT, True)
                    return None
                if category and error is not None:
                    _categorise(event, category)
            self._name(event)
        except Exception:
            failed(self._store, "sentry")
        return event

    def before_send_transaction(self, event: Any, _hint: Any) -> Any:
        """Name a transaction by its route."""
        try:
            self._name(event)
        except Exception:
            failed(self._store, "sentry")
        return event

    def before_send_span(self, span: Any, _hint: Any) -> Any:
        """Name a streamed span's segment by its route, for the SDK learns it late or never."""
        try:
            attributes = span.get("attributes") or {}
            name = attributes.get("sentry.segment.name")
            around = AROUND.get()
            if around is not None and isinstance(name, str) and "://" in name:
                attributes["sentry.segment.name"] = around.find() or name
        except Exception:
            failed(self._store, "sentry")
        return span

    def sample_error(self, event: Any, hint: Mapping[str, Any]) -> float:
        """Return the share of errors like this one that are kept: all of those that are always kept."""
        try:
            if event.get("logger") == TEST_LOGGER or event.get("level") == "fatal":
                return 1.0
            around = AROUND.get()
            category = self._categories.of(_error(hint), _asked(event), in_request=around is not None)
            if category in self._always:
                return 1.0
        except Exception:
            failed(self._store, "sentry")
            return 1.0
        return self._settings.sample_rate

    def sample_trace(self, context: Mapping[str, Any]) -> float:
        """Return the share of traces like this one that are kept; what the caller has decided holds."""
        try:
            scope, environ = context.get("asgi_scope"), context.get("wsgi_environ")
            path = (scope or {}).get("path") or (environ or {}).get("PATH_INFO") or ""
            if str(path).rstrip("/") in self._quiet and (scope or environ):
                return 0.0
            parent = context.get("parent_sampled")
            if parent is not None:
                return float(parent)
        except Exception:
            failed(self._store, "sentry")
        return self._settings.traces_sample_rate or 0.0

    def _name(self, event: Any) -> None:
        around = AROUND.get()
        information = event.get("transaction_info") or {}
        if around is None or information.get("source") == _CHOSEN:
            return
        name = around.find()
        if name:
            event["transaction"] = name
            event["transaction_info"] = {**information, "source": "route"}


def _error(hint: Mapping[str, Any]) -> BaseException | None:
    information = hint.get("exc_info")
    return information[1] if information else None


def _asked(event: Any) -> Any:
    tags = event.get("tags")
    return tags.get("category") if isinstance(tags, Mapping) else None


def _categorise(event: Any, category: str) -> None:
    tags = event.get("tags")
    if not isinstance(tags, list):
        event["tags"] = {**(tags or {}), "category": category}
    if not event.get("fingerprint"):
        event["fingerprint"] = ["{{ default }}", category]
