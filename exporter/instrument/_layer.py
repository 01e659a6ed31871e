"""What the ASGI and the WSGI middleware have in common: their options, series and page."""

from collections.abc import Iterable, Mapping
from typing import TypedDict

from exporter.instrument._guard import guarded
from exporter.instrument._http import METHODS, HTTPSeries, Tenant
from exporter.instrument._page import Page
from exporter.store import Store

Routes = Iterable[tuple[str, Iterable[str]]]  # templates, and the methods of each


class Options(TypedDict, total=False):
    """Keyword arguments of the middleware; `exporter.instrument.instrument` explains them."""

    metrics_path: str
    skip: tuple[str, ...]
    token: str
    labels: Mapping[str, str] | None
    tenant: Tenant | None
    exemplars: bool


class Layer:
    """One application's middleware, as far as it does not matter how it is called."""

    def __init__(
        self,
        store: Store,
        *,
        metrics_path: str = "/metrics",
        skip: tuple[str, ...] = (),
        token: str = "",
        labels: Mapping[str, str] | None = None,
        tenant: Tenant | None = None,
        exemplars: bool = True,
    ) -> None:
        self.enabled = True
        self._store = store
        self._series = HTTPSeries(store, labels, tenant)
        self._page = Page(store, token)
        self._metrics_path = metrics_path
        self._skip = frozenset(skip)
        self._exemplars = exemplars
        self._announced = False

    def disable(self) -> None:
        """Stop counting and serving; the application goes on behind a plain pass-through."""
        self.enabled = False

    def _announce(self) -> None:
        """Make the 500s of every known route exist at 0, so that the first one is seen as an increase."""
        if self._announced:
            return
        self._announced = True
        if self._series.by_tenant:  # nobody knows the tenants yet
            return
        with guarded(self._store, "http"):
            for template, methods in self._routes():
                for method in METHODS.intersection(methods):
                    self._series.requests.labels(method, template, "500", *self._series.constant)

    def _routes(self) -> Routes:
        """Return the routes that are known before the first request."""
        return ()
