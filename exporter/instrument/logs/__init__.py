"""Logs as JSON lines that tell which request they belong to: `instrument(app, logs=True)`."""

import functools
from collections.abc import Callable, Mapping
from typing import Any

from exporter.instrument import _frameworks
from exporter.instrument.logs.asgi import ASGILogs
from exporter.instrument.logs.handler import Handler
from exporter.instrument.logs.log import Log
from exporter.instrument.logs.options import LogOptions
from exporter.instrument.logs.pipeline import Pipeline
from exporter.instrument.logs.takeover import take_over
from exporter.instrument.logs.wsgi import WSGILogs
from exporter.store import Store


def switch_on(
    app: Any, store: Store, given: bool | LogOptions | Mapping[str, Any], skip: tuple[str, ...] = ()
) -> tuple[Log, Callable[[], None]]:
    """Write logs as JSON lines; return what the application speaks through, and what undoes it all.

    `app` is a Starlette, FastAPI or Flask application, Django's handler, or None for a program without
    requests. Paths in `skip` get no access line. Raises ValueError for options that cannot be, and OSError
    for a file that cannot be opened.
    """
    options = LogOptions.of(given)
    pipeline = Pipeline(store, options)
    undo: list[Callable[[], None]] = [pipeline.writer.close]
    retake: Callable[[], None] = lambda: None  # noqa: E731 - nothing, where it is not wanted
    if options.take_over:
        handler = Handler(pipeline)
        taking = functools.partial(take_over, handler, pipeline.level, options.access and app is not None)
        undo.append(taking())

        def retake() -> None:
            taking()  # a server may have set up its logging after the application was made

    if app is not None:
        around = functools.partial(
            WSGILogs if not hasattr(app, "build_middleware_stack") else ASGILogs,
            pipeline=pipeline,
            skip=frozenset(path for path in skip if path),
            access=options.access,
            response_header=options.response_header,
            at_start=retake,
        )
        undo.append(_around(app, store, around))

    def switch_off() -> None:
        while undo:
            undo.pop()()

    return Log(pipeline), switch_off


def _around(app: Any, store: Store, make: Any) -> Callable[[], None]:
    if _frameworks.is_flask(app):
        return _frameworks.watch_flask(app, store, make)
    if _frameworks.is_django(app):
        return _frameworks.watch_django(app, store, make)
    build = app.build_middleware_stack
    layers: list[ASGILogs] = []

    def build_with_logs() -> ASGILogs:
        layer: ASGILogs = make(build(), routes=app)
        layers.append(layer)
        return layer

    def undo() -> None:
        app.build_middleware_stack = build
        for layer in layers:
            layer.disable()

    app.build_middleware_stack = build_with_logs
    if app.middleware_stack is not None:  # it has answered requests already
        app.middleware_stack = build_with_logs()
    return undo


__all__ = ["Log", "LogOptions", "switch_on"]
