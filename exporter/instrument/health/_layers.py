"""The health pages as middleware, for ASGI and for WSGI; all other requests pass untouched."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from exporter.instrument.health._checker import Checker
from exporter.instrument.health._pages import FORWARDED, PATHS, Asked, Pages, status_line

Taken = Callable[[], Iterable[str]]
_ENDS = tuple({"/" + path.rpartition("/")[2] for path in PATHS})
_FORWARDED = frozenset(name.encode() for name in FORWARDED)
_FORWARDED_WSGI = tuple("HTTP_" + name.upper().replace("-", "_") for name in FORWARDED)


class _Layer:
    def __init__(self, app: Any, checker: Checker, pages: Pages, taken: Taken = tuple) -> None:
        self.app = app
        self.enabled = True
        self._checker = checker
        self._pages = pages
        self._find_taken = taken
        self._ours: frozenset[str] | None = None

    def _is_ours(self, path: str) -> bool:
        if self._ours is None:  # routes may be added until the first request
            self._ours = frozenset(PATHS).difference(self._find_taken())
        return path in self._ours

    def disable(self) -> None:
        """Be a plain pass-through from now on."""
        self.enabled = False


class ASGIHealth(_Layer):
    """Stands around a whole ASGI application. `taken` names the paths that the application answers itself."""

    def __call__(self, scope: Any, receive: Any, send: Any) -> Awaitable[None]:
        # Every request comes by here: one look, and no coroutine of our own.
        if scope["type"] == "http" and self._checker.running and not scope["path"].endswith(_ENDS):
            return self.app(scope, receive, send)  # type: ignore[no-any-return]
        return self._look(scope, receive, send)

    def _look(self, scope: Any, receive: Any, send: Any) -> Awaitable[None]:
        if self.enabled and scope["type"] == "lifespan":
            return self._lifespan(scope, receive, send)
        if self.enabled and scope["type"] == "http":
            if not self._checker.running and not self._checker.starting:
                self._start()
            path = scope["path"].removeprefix(scope.get("root_path", ""))
            if path.endswith(_ENDS) and scope["method"] in ("GET", "HEAD") and self._is_ours(path):
                return self._answer(path, scope, send)
        return self.app(scope, receive, send)  # type: ignore[no-any-return]

    async def _answer(self, path: str, scope: Any, send: Any) -> None:
        headers = {key.lower(): value.decode("latin-1") for key, value in scope["headers"]}
        asked = Asked(
            headers.get(b"accept", ""),
            headers.get(b"authorization", ""),
            (scope.get("client") or ("",))[0],
            not _FORWARDED.isdisjoint(headers),
        )
        answer = self._pages.answer(path, asked)
        pairs = [(name.lower().encode(), value.encode()) for name, value in answer.headers]
        await send({"type": "http.response.start", "status": answer.status, "headers": pairs})
        body = b"" if scope["method"] == "HEAD" else answer.body
        await send({"type": "http.response.body", "body": body})

    async def _lifespan(self, scope: Any, receive: Any, send: Any) -> None:
        checker = self._checker
        loop = _loop()

        async def receiving() -> Any:
            message = await receive()
            if message["type"] == "lifespan.startup":
                checker.starting, checker.stopping = True, False
            elif message["type"] == "lifespan.shutdown":
                # Before the application closes what the checks ask.
                checker.stopping = True
                checker.stop(loop)
            return message

        async def sending(message: Any) -> None:
            if message["type"] == "lifespan.startup.complete":
                self._start()
            await send(message)

        try:
            await self.app(scope, receiving, sending)
        finally:
            checker.stop(loop)
            checker.starting = checker.stopping = False  # also where the application knows no lifespan

    def _start(self) -> None:
        self._checker.starting = False
        if not self._checker.stopping:
            self._checker.start(_loop())


class WSGIHealth(_Layer):
    """The same around a WSGI application; coroutines are run in threads of their own."""

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        if not self.enabled:
            return self.app(environ, start_response)
        if not self._checker.running:
            self._checker.start()
        path = environ.get("PATH_INFO", "")
        if path.endswith(_ENDS) and environ["REQUEST_METHOD"] in ("GET", "HEAD") and self._is_ours(path):
            asked = Asked(
                environ.get("HTTP_ACCEPT", ""),
                environ.get("HTTP_AUTHORIZATION", ""),
                environ.get("REMOTE_ADDR", ""),
                any(name in environ for name in _FORWARDED_WSGI),
            )
            answer = self._pages.answer(path, asked)
            start_response(status_line(answer.status), answer.headers)
            return [answer.body] if environ["REQUEST_METHOD"] == "GET" else []
        return self.app(environ, start_response)


def _loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:  # another kind of loop: coroutines are run in threads of their own
        return None
