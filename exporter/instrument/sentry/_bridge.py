"""Outside of the SDK's own middleware: W3C traces continue, routes give names, our pages are answered."""

import asyncio
import functools
import sys
import weakref
from collections.abc import Callable
from typing import Any

from exporter.instrument._context import Context, of_environ, of_scope
from exporter.instrument._guard import failed, guarded
from exporter.instrument._templates import UNMATCHED, Templates
from exporter.instrument.sentry._pages import Pages, Reply
from exporter.instrument.sentry._request import AROUND, Around
from exporter.store import Store

_SEEN = "watchkeeper.sentry"
_HOMES = {"starlette.applications": "asgi", "flask.app": "wsgi", "django.core.handlers.wsgi": "wsgi"}
# A class is patched once, and only these of its applications are concerned.
_watched: "weakref.WeakKeyDictionary[Any, _Watch]" = weakref.WeakKeyDictionary()


class _Watch:
    """What is known of one application."""

    def __init__(self, app: Any, store: Store, pages: Pages) -> None:
        self.store = store
        self.pages = pages
        self.templates = Templates(app)


def watch(app: Any, store: Store, pages: Pages) -> Callable[[], None]:
    """Stand around an application's calls, outside of what the SDK has put there; return what ends it."""
    for kind in type(app).__mro__:
        protocol = _HOMES.get(kind.__module__)
        if protocol and "__call__" in vars(kind):
            _patch(kind, _around_asgi if protocol == "asgi" else _around_wsgi)
            _watched[app] = _Watch(app, store, pages)
            break

    def unwatch() -> None:
        _watched.pop(app, None)

    return unwatch


def _patch(kind: Any, around: Callable[..., Any]) -> None:
    original = kind.__call__
    if hasattr(original, "_watchkeeper_sentry"):
        return
    patched = around(original)
    patched._watchkeeper_sentry = True
    kind.__call__ = patched


def _around_asgi(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    async def call(app: Any, scope: Any, receive: Any, send: Any) -> None:
        watched = _watched.get(app) if scope["type"] in ("http", "websocket") and _SEEN not in scope else None
        if watched is None:
            await original(app, scope, receive, send)
            return
        scope[_SEEN] = True
        if scope["type"] == "http" and watched.pages.is_one(scope["method"], scope["path"]):
            authorization = dict(scope["headers"]).get(b"authorization", b"").decode("latin-1")
            answer = functools.partial(watched.pages.answer, scope["path"], authorization)
            await _send(send, await asyncio.to_thread(answer))
            return
        with guarded(watched.store, "sentry"):
            _continue_asgi(scope)
        around = Around(scope["path"], functools.partial(watched.templates.of, scope))

        def sending(message: Any) -> Any:
            if message["type"] in ("http.response.start", "websocket.accept"):
                _name(watched, around)
            return send(message)

        token = AROUND.set(around)
        try:
            await original(app, scope, receive, sending)
        finally:
            AROUND.reset(token)

    return call


def _around_wsgi(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def call(app: Any, environ: Any, start_response: Any) -> Any:
        watched = _watched.get(app) if _SEEN not in environ else None
        if watched is None:
            return original(app, environ, start_response)
        environ[_SEEN] = True
        path = environ.get("PATH_INFO", "")
        if watched.pages.is_one(environ.get("REQUEST_METHOD", ""), path):
            reply = watched.pages.answer(path, environ.get("HTTP_AUTHORIZATION", ""))
            start_response(reply.line, reply.headers)
            return [reply.body]
        with guarded(watched.store, "sentry"):
            _continue_wsgi(environ)
        token = AROUND.set(Around(path, str))  # the SDK's integrations know the route
        try:
            return original(app, environ, start_response)
        finally:
            AROUND.reset(token)

    return call


def _continue_wsgi(environ: Any) -> None:
    context = of_environ(environ)
    if _leads(context) and "HTTP_SENTRY_TRACE" not in environ:
        environ["HTTP_SENTRY_TRACE"] = _header(context)


def _continue_asgi(scope: Any) -> None:
    context = of_scope(scope)
    headers = scope["headers"]
    if _leads(context) and not any(name == b"sentry-trace" for name, _ in headers):
        scope["headers"] = [*headers, (b"sentry-trace", _header(context).encode())]


def _leads(context: Context) -> bool:
    """Whether logs and metrics name this trace: OpenTelemetry begins its own where none came."""
    return not context.made or "opentelemetry.sdk.trace" not in sys.modules


def _header(context: Context) -> str:
    # Without a decision: that a caller keeps its spans is no reason to keep all of ours.
    return f"{context.trace_id}-{context.parent_id or context.span_id}"


def _name(watched: _Watch, around: Around) -> None:
    try:
        import sentry_sdk

        scope = sentry_sdk.get_current_scope()
        chosen = getattr(scope, "_transaction_info", {}).get("source") == "custom"
        if not chosen:
            scope.set_transaction_name(around.find() or UNMATCHED, source="route")
    except Exception:
        failed(watched.store, "sentry")


async def _send(send: Any, reply: Reply) -> None:
    pairs = [(name.lower().encode(), value.encode()) for name, value in reply.headers]
    await send({"type": "http.response.start", "status": reply.status, "headers": pairs})
    await send({"type": "http.response.body", "body": reply.body})
