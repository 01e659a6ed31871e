"""Putting the health pages around an application that is there already."""

from collections.abc import Callable, Iterable, Iterator
from importlib import import_module
from typing import Any

from exporter.instrument import _frameworks
from exporter.instrument._templates import Templates
from exporter.instrument.health._checker import Checker
from exporter.instrument.health._layers import ASGIHealth, WSGIHealth
from exporter.instrument.health._pages import PATHS, Pages

Undo = Callable[[], None]


def attach(app: Any, checker: Checker, pages: Pages, *, override: bool) -> Undo:
    """Answer the health pages of an application; return what undoes that.

    A route of the application's own with one of these paths stays, unless `override`. Raises TypeError for
    what is neither Starlette nor FastAPI, Flask or Django's handler.
    """
    if hasattr(app, "build_middleware_stack"):
        return _starlette(app, checker, pages, tuple if override else lambda: _starlette_paths(app))
    if _frameworks.is_flask(app):
        return _flask(app, checker, pages, tuple if override else lambda: _flask_paths(app))
    if _frameworks.is_django(app):
        return _django(app, checker, pages, tuple if override else _django_paths)
    raise TypeError(
        f"health pages go around Starlette, FastAPI, Flask and Django, not {type(app).__name__}; "
        "wrap another application in health.ASGIHealth or health.WSGIHealth"
    )


def _starlette(app: Any, checker: Checker, pages: Pages, taken: Callable[[], Iterable[str]]) -> Undo:
    build = app.build_middleware_stack
    layers: list[ASGIHealth] = []

    def around(stack: Any) -> ASGIHealth:
        layers.append(ASGIHealth(stack, checker, pages, taken))
        return layers[-1]

    def build_with_health() -> ASGIHealth:
        return around(build())

    def undo() -> None:
        if app.build_middleware_stack is build_with_health:
            app.build_middleware_stack = build
        for layer in layers:
            layer.disable()

    app.build_middleware_stack = build_with_health
    if app.middleware_stack is not None:  # it has answered requests already
        app.middleware_stack = around(app.middleware_stack)
    return undo


def _flask(app: Any, checker: Checker, pages: Pages, taken: Callable[[], Iterable[str]]) -> Undo:
    layer = WSGIHealth(app.wsgi_app, checker, pages, taken)
    app.wsgi_app = layer

    def undo() -> None:
        layer.disable()
        if app.wsgi_app is layer:  # else another middleware was put around it
            app.wsgi_app = layer.app

    return undo


def _django(handler: Any, checker: Checker, pages: Pages, taken: Callable[[], Iterable[str]]) -> Undo:
    kind, told = type(handler), handler.__class__
    set_class = object.__dict__["__class__"].__set__  # the plain way is barred: see `_frameworks`

    def inner(environ: Any, start_response: Any) -> Any:
        return kind.__call__(handler, environ, start_response)

    layer = WSGIHealth(inner, checker, pages, taken)

    class Healthy(kind):  # type: ignore[misc,valid-type]
        __class__ = told

        def __call__(self, environ: Any, start_response: Any) -> Any:
            return layer(environ, start_response)

    set_class(handler, Healthy)

    def undo() -> None:
        layer.disable()
        if type(handler) is Healthy:
            set_class(handler, kind)

    return undo


def _starlette_paths(app: Any) -> Iterator[str]:
    for template, methods in Templates(app).all():
        if "GET" in methods:
            yield template


def _flask_paths(app: Any) -> Iterator[str]:
    for rule in app.url_map.iter_rules():
        yield rule.rule


def _django_paths() -> Iterator[str]:
    resolve: Any = import_module("django.urls").resolve
    missing: Any = import_module("django.urls").Resolver404
    for path in PATHS:
        try:
            route = resolve(path).route
        except missing:
            continue
        if "/" + route.strip("^/$") == path:  # and not a pattern that takes everything
            yield path
