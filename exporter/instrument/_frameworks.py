"""Where Flask and Django say which route they have chosen, and what nobody handled."""

import functools
import sys
from collections.abc import Callable, Iterable
from importlib import import_module
from typing import Any

from exporter.instrument._answer import Environ, StartResponse
from exporter.instrument._guard import failed
from exporter.instrument.wsgi import WSGIMetrics
from exporter.store import Store

Make = Callable[..., WSGIMetrics]  # WSGIMetrics with the user's options
Undo = Callable[[], None]


def is_flask(app: Any) -> bool:
    """Whether this is a Flask application; nothing is imported to find out."""
    return _comes_from(app, "flask.app")


def is_django(app: Any) -> bool:
    """Whether this is what Django's `get_wsgi_application()` returns."""
    return _comes_from(app, "django.core.handlers.wsgi")


def watch_flask(app: Any, store: Store, make: Make) -> Undo:
    """Put the middleware around a Flask application; return what takes it away."""
    flask: Any = import_module("flask")
    not_allowed = import_module("werkzeug.exceptions").MethodNotAllowed
    inner = app.wsgi_app
    layer = make(inner, store, routes=lambda: _flask_routes(app))

    # The signals of all applications, because one may be mounted in another and share its environ.
    def routed(sender: Any, **_: Any) -> None:
        request = flask.request._get_current_object()
        rule = request.url_rule
        if rule is None and isinstance(request.routing_exception, not_allowed):
            # Refused for its method, but the path is one of ours.
            method = request.routing_exception.valid_methods[0]
            rule, _values = sender.create_url_adapter(request).match(method=method, return_rule=True)
        if rule is not None:
            layer.routed(request.environ, rule.rule)

    def raised(_sender: Any, exception: BaseException, **_: Any) -> None:
        layer.raised(flask.request.environ, exception)

    on_routed, on_raised = _safely(store, routed), _safely(store, raised)
    flask.request_started.connect(on_routed, weak=False)
    flask.got_request_exception.connect(on_raised, weak=False)
    app.wsgi_app = layer

    def undo() -> None:
        flask.request_started.disconnect(on_routed)
        flask.got_request_exception.disconnect(on_raised)
        layer.disable()
        if app.wsgi_app is layer:  # else another middleware was put around it
            app.wsgi_app = inner

    return undo


def watch_django(handler: Any, store: Store, make: Make) -> Undo:
    """Put the middleware around a Django handler, in place; return what takes it away."""
    signals: Any = import_module("django.core.signals")
    original = type(handler)
    layer = make(functools.partial(original.__call__, handler), store)

    class Watched(original):  # type: ignore[misc,valid-type]
        # Django names the handler's class as the sender of its signals; receivers shall see no other.
        __class__ = original

        def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
            return layer(environ, start_response)

        def resolve_request(self, request: Any) -> Any:
            match = super().resolve_request(request)
            on_routed(request, match)
            return match

    def routed(request: Any, match: Any) -> None:
        layer.routed(request.environ, _django_template(match.route))

    def raised(request: Any, **_: Any) -> None:
        error = sys.exc_info()[1]
        if error is not None:
            layer.raised(request.environ, error)

    on_routed, on_raised = _safely(store, routed), _safely(store, raised)
    signals.got_request_exception.connect(on_raised, weak=False)
    # Not by assignment, which a `Watched` around this one would take for an attribute of its own.
    object.__dict__["__class__"].__set__(handler, Watched)

    def undo() -> None:
        signals.got_request_exception.disconnect(on_raised)
        layer.disable()
        if type(handler) is Watched:
            object.__dict__["__class__"].__set__(handler, original)

    return undo


def _flask_routes(app: Any) -> Iterable[tuple[str, set[str]]]:
    for rule in app.url_map.iter_rules():
        yield rule.rule, set(rule.methods or ()) - {"HEAD", "OPTIONS"}  # Flask answers these by itself


def _django_template(route: str) -> str:
    """Write `users/<int:id>/` and `^users/$` with the slash that every path begins with."""
    return "/" + route.removeprefix("^").removeprefix("/").removesuffix("$")


def _comes_from(app: Any, module: str) -> bool:
    return any(kind.__module__ == module for kind in type(app).__mro__)


def _safely(store: Store, receive: Callable[..., None]) -> Callable[..., None]:
    """Keep what fails in a receiver from the application, which a signal would carry it into."""

    def receiver(*args: Any, **kwargs: Any) -> None:
        try:
            receive(*args, **kwargs)
        except Exception:
            failed(store, "http")

    return receiver
