"""HTTP requests and WebSocket connections of an application, through ASGI and WSGI alike."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from exporter.catalog import Metric
from exporter.instrument._guard import failed
from exporter.store import OTHER, Store
from exporter.store.live import MAX_SERIES

REQUESTS = Metric(
    "http_requests_total",
    "counter",
    "Requests answered, by route template and exact status code (499: the client went away).",
    ("method", "route", "status"),
)
DURATION = Metric(
    "http_request_duration_seconds",
    "histogram",
    "Time from the request to the last byte of its answer; background tasks are not part of it.",
    ("method", "route", "status_class"),
    # The documented thresholds 0.2, 0.5, 1, 2 and 5 s are bounds, so alerts on them are exact.
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10),
)
IN_PROGRESS = Metric(
    "http_requests_in_progress", "gauge", "Requests being answered now.", ("method", "route")
)
EXCEPTIONS = Metric(
    "http_exceptions_total",
    "counter",
    "Exceptions that left the application unhandled, by type.",
    ("route", "exception"),
)
RESPONSE_SIZE = Metric(
    "http_response_size_bytes",
    "histogram",
    "Size of response bodies as sent.",
    ("method", "route"),
    # Factors of ten from a small JSON answer to a large download.
    buckets=(100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000),
)
CONNECTIONS = Metric("active_connections", "gauge", "WebSocket connections open now.", ("route",))
CONNECTIONS_TOTAL = Metric(
    "websocket_connections_total", "counter", "WebSocket connections accepted.", ("route",)
)

CLIENT_GONE = 499  # nginx's code, which the field has adopted
# RFC 9110 and PATCH; any other method comes from a scanner and shares one label value.
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE"})
TENANT = "tenant"
MOST_TENANTS = 100
_LONGEST_TENANT = 100  # characters
# Beyond this many series no new ones are made for tenants: a full metric would lose its routes as well.
_CROWDED = MAX_SERIES * 3 // 4

Tenant = Callable[[Any], Any]


class HTTPSeries:
    """The HTTP metrics in a store, with the labels that its applications add to them.

    `labels` are constant and stand on every metric. `tenant` is called with the scope or environ of a
    request that has been answered, and gives the label of that name to what is recorded then: requests,
    duration, size and exceptions. Its first `MOST_TENANTS` values are kept, further ones become "other".

    Raises ValueError when another application on the same registry has added other labels.
    """

    def __init__(
        self, store: Store, labels: Mapping[str, str] | None = None, tenant: Tenant | None = None
    ) -> None:
        constant = sorted((labels or {}).items())
        names = tuple(name for name, _ in constant)
        self.constant = tuple(str(value) for _, value in constant)
        self._store = store
        self._tenant = tenant
        self._tenants: set[str] = set()
        ended = names if tenant is None else (*names, TENANT)
        live = [_with(metric, ended) for metric in (REQUESTS, DURATION, RESPONSE_SIZE, EXCEPTIONS)]
        now = [_with(metric, names) for metric in (IN_PROGRESS, CONNECTIONS, CONNECTIONS_TOTAL)]
        _agree(store, names, tenant is not None)
        self.requests, self.duration, self.size, self.exceptions = map(store.live, live)
        self.connections, self.connections_total = map(store.live, now[1:])
        self.in_progress: Metric = now[0]

    @property
    def by_tenant(self) -> bool:
        """Whether requests are told apart by tenant."""
        return self._tenant is not None

    def added(self, request: Any) -> tuple[str, ...]:
        """Return the values of the added labels for a request that has been answered."""
        if self._tenant is None:
            return self.constant
        try:
            return (*self.constant, self._bounded(self._tenant(request)))
        except Exception:
            failed(self._store, TENANT)
            return (*self.constant, OTHER)

    def if_room(self, added: tuple[str, ...]) -> tuple[str, ...]:
        """Return the same while there is room for series of further tenants, and else those of "other"."""
        if self._tenant is not None and len(self.requests.children) >= _CROWDED:
            return (*self.constant, OTHER)
        return added

    def _bounded(self, value: Any) -> str:
        if value is None:  # an empty label is no label: a request of nobody
            return ""
        # What cannot be written as UTF-8 would spoil the page.
        tenant = str(value).encode(errors="replace").decode()
        if tenant not in self._tenants:
            if len(self._tenants) >= MOST_TENANTS or len(tenant) > _LONGEST_TENANT:
                return OTHER
            self._tenants.add(tenant)
        return tenant


def bounded_method(method: str) -> str:
    """Return the method, or "other" for one that nobody has defined."""
    return method if method in METHODS else OTHER


def _with(metric: Metric, names: tuple[str, ...]) -> Metric:
    return dataclasses.replace(metric, labels=(*metric.labels, *names)) if names else metric


def _agree(store: Store, names: tuple[str, ...], tenant: bool) -> None:
    known = store.share("http labels", lambda: (names, tenant))
    if known != (names, tenant):
        raise ValueError(
            f"the HTTP metrics of this registry have the added labels {_said(*known)}, "
            f"and this application asks for {_said(names, tenant)}; "
            "give all applications on a registry the same ones, or each a registry of its own"
        )


def _said(names: tuple[str, ...], tenant: bool) -> str:
    return str([*names, TENANT] if tenant else list(names))
