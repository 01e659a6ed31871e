"""Starting the SDK by a policy that is said aloud, once in a process, and guarded while it runs."""

import logging
import sys
import warnings
from collections.abc import Callable, Iterable
from importlib import import_module
from typing import Any
from urllib.parse import urlsplit

from exporter.instrument.sentry import _bridge
from exporter.instrument.sentry._clean import Scrubber
from exporter.instrument.sentry._deliveries import Deliveries
from exporter.instrument.sentry._gate import Gate
from exporter.instrument.sentry._hooks import Hooks
from exporter.instrument.sentry._pages import Pages
from exporter.instrument.sentry._settings import Settings
from exporter.instrument.sentry._transport import ensure, transport_type
from exporter.store import Store

_FLUSH_SECONDS = 2.0
# By what an application has imported: the SDK's name, its class and options.
_FRAMEWORKS: dict[str, tuple[str, str, dict[str, str]]] = {
    "starlette.applications": ("starlette", "StarletteIntegration", {}),
    "fastapi.applications": ("fastapi", "FastApiIntegration", {}),
    "flask.app": ("flask", "FlaskIntegration", {"transaction_style": "url"}),  # or functions name them
    "django.core.handlers.wsgi": ("django", "DjangoIntegration", {}),
}
_log = logging.getLogger("watchkeeper")


class Sentry:
    """The SDK at work for this process."""

    def __init__(self, settings: Settings, store: Store) -> None:
        self.settings = settings
        self.deliveries = Deliveries(store)
        self.users = 0  # observers that have asked for it
        self._store = store
        scrubber = settings.chosen.scrubber or _engine(store)
        gate = Gate(
            scrubber,
            self.deliveries.withheld,
            personal=settings.send_default_pii,
            variables=settings.include_local_variables,
        )
        self.client = _start(settings, Hooks(settings, store), transport_type(gate, self.deliveries, store))
        self.pages = Pages(settings, self.deliveries, _capture)
        store.at_fork(self._forked)

    def watch(self, app: Any) -> Callable[[], None]:
        """Continue traces and name routes of an application; return what ends it."""
        return _bridge.watch(app, self._store, self.pages)

    def is_current(self) -> bool:
        """Whether errors still come here: somebody may have closed or replaced the client."""
        import sentry_sdk

        return sentry_sdk.get_global_scope().client is self.client and self.client.transport is not None

    def stop(self) -> None:
        """Send what is waiting, for two seconds at most, and report no more."""
        import sentry_sdk

        if self.is_current():
            sentry_sdk.get_global_scope().set_client(None)
        self.client.close(timeout=_FLUSH_SECONDS)
        _mine.remove(self.client)

    def _forked(self) -> None:
        """Leave the counted sessions to the parent, as the transport leaves it the queue."""
        flusher = self.client.session_flusher
        flusher.pending_sessions, flusher.pending_aggregates = [], {}


def policy(settings: Settings) -> str:
    """Return one line that says what is sent where, without a secret."""
    parts = urlsplit(settings.dsn)
    where = f"project {parts.path.rpartition('/')[2]} at {parts.hostname}"
    by = {name: f" ({origin})" for name, origin in settings.origins.items()}
    traces = settings.traces_sample_rate
    told = [
        f"environment {settings.environment}{by.get('environment', '')}",
        f"release {settings.release or 'unknown'}{by.get('release', '')}",
        f"errors {settings.sample_rate:.0%}, {' and '.join(sorted(settings.chosen.always)) or 'fatal'} all",
        f"traces {traces:.1%} ({settings.trace_lifecycle})" if traces is not None else "no traces",
        f"profiles {settings.profiles_sample_rate:.1%}" if settings.profiles_sample_rate else "no profiles",
        "log lines" if settings.enable_logs else "no log lines",
        "request data, scrubbed" if settings.send_default_pii else "no request data",
        "local variables, scrubbed" if settings.include_local_variables else "no local variables",
        f"not reported: {', '.join(sorted(settings.chosen.filters)) or 'nothing'}",
    ]
    return f"Sentry is on, {where}: " + "; ".join(told)


def _start(settings: Settings, hooks: Hooks, transport: type[Any]) -> Any:
    import sentry_sdk

    _guard()
    scope = sentry_sdk.get_global_scope()
    before = scope.client
    with warnings.catch_warnings():
        # Profiles by transaction are deprecated, and are what the variable has always meant.
        warnings.filterwarnings("ignore", message="Transaction-based profiling", category=DeprecationWarning)
        client = sentry_sdk.Client(**_options(settings, hooks, transport))
    try:
        if ensure(client, transport):
            _log.warning("SENTRY_PRINT_ENVELOPES is ignored: it would print what is not scrubbed yet")
    except RuntimeError:
        client.close(timeout=0)
        raise
    if before.is_active():
        _log.warning(
            "Sentry had been started already; that client is closed, all goes through the scrubbed one"
        )
        before.close(timeout=_FLUSH_SECONDS)
    _mine.append(client)
    scope.set_client(client)
    return client


def _options(settings: Settings, hooks: Hooks, transport: type[Any]) -> dict[str, Any]:
    personal = settings.send_default_pii
    shown = {"mode": "denylist" if personal else "off"}
    traced = settings.traces_sample_rate is not None
    stream = settings.trace_lifecycle == "stream"
    options: dict[str, Any] = {
        "dsn": settings.dsn,
        "environment": settings.environment,
        "release": settings.release,  # "" rather than None: the SDK would start git
        "debug": settings.debug,
        "max_breadcrumbs": settings.max_breadcrumbs,
        "transport": transport,
        "spotlight": False,  # a second way out, around the gate
        "error_sampler": hooks.sample_error,
        "traces_sampler": hooks.sample_trace if traced else None,
        "trace_lifecycle": settings.trace_lifecycle,
        "before_send": hooks.before_send,
        "before_send_transaction": hooks.before_send_transaction,
        "before_send_span": hooks.before_send_span if stream else None,
        "enable_logs": settings.enable_logs,
        "max_request_body_size": "medium" if personal else "never",
        "include_local_variables": settings.include_local_variables,
        # All that there is, because what is left out here is collected.
        "data_collection": {
            "user_info": personal,
            "cookies": {"mode": "off"},
            "http_headers": {"request": {"mode": "denylist"}},
            "http_bodies": ["incoming_request"] if personal else [],
            "url_query_params": shown,
            "graphql": {"document": False, "variables": False},
            "gen_ai": {"inputs": False, "outputs": False},
            "database_query_data": False,
            "queues": False,
            "stack_frame_variables": settings.include_local_variables,
            "frame_context_lines": 5,
        },
    }
    if settings.profiles_sample_rate and traced:
        if stream:
            options |= {
                "profile_session_sample_rate": settings.profiles_sample_rate,
                "profile_lifecycle": "trace",
            }
        else:
            options["profiles_sample_rate"] = settings.profiles_sample_rate
    given = settings.chosen.sdk
    return {**options, **given, "integrations": _integrations(given.get("integrations", ()))}


def _integrations(given: Iterable[Any]) -> list[Any]:
    """Return the user's integrations, and those of the frameworks in use: names and traces rest on them."""
    integrations = list(given)
    known = {each.identifier for each in integrations}
    for imported, (name, kind, options) in _FRAMEWORKS.items():
        if imported in sys.modules and name not in known:
            module = import_module(f"sentry_sdk.integrations.{name}")
            integrations.append(getattr(module, kind)(**options))
    return integrations


_mine: list[Any] = []  # clients of ours; the last is the one


def _guard() -> None:
    """Refuse further clients for the whole process while ours runs: they would send unscrubbed."""
    from sentry_sdk.scope import Scope

    original = Scope.set_client
    if hasattr(original, "_watchkeeper"):
        return

    def set_client(scope: Any, client: Any = None) -> None:
        ours = scope.client if scope.client in _mine else None
        theirs = client is not None and client not in _mine and client.is_active()
        if scope is Scope.get_global_scope() and ours is not None and theirs and ours.transport is not None:
            _log.warning(
                "sentry_sdk.init() was called at %s while Sentry is on already: refused, for that would send "
                "unscrubbed; its options belong into SentryOptions(sdk=...), or use instrument(sentry=False)",
                _caller(),
            )
            client.close(timeout=0)
            return
        original(scope, client)

    set_client._watchkeeper = True  # type: ignore[attr-defined]
    Scope.set_client = set_client  # type: ignore[method-assign,assignment]


def _caller() -> str:
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith(
        ("sentry_sdk", "exporter.instrument.sentry")
    ):
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"


def _capture(event: Any) -> Any:
    import sentry_sdk

    return sentry_sdk.capture_event(event)


def _engine(store: Store) -> Scrubber:
    from exporter.instrument.pii import Scrubber as Engine
    from exporter.instrument.pii import counting

    return Engine(counted=counting(store))
