"""One WSGI request under way: what the server iterates over, and so what the application returned."""

from collections.abc import Callable, Iterable, Iterator
from time import perf_counter
from typing import Any, Protocol

from exporter.instrument._http import CLIENT_GONE, bounded_method
from exporter.instrument._templates import UNMATCHED

Environ = dict[str, Any]
StartResponse = Callable[..., Any]


class Counts(Protocol):
    """What is told of an answer: `wsgi.WSGIMetrics`."""

    def started(self, answer: "Answer") -> None: ...
    def raised(self, environ: Environ, error: BaseException) -> None: ...
    def ended(self, answer: "Answer", status: str) -> None: ...


class Answer:
    """Stands between the application and its server; passes on everything untouched."""

    __slots__ = (
        "_body",
        "_headers",
        "_layer",
        "_next",
        "_start",
        "_status",
        "_write",
        "done",
        "environ",
        "gauge",
        "method",
        "raised",
        "route",
        "size",
        "started",
        "trace",
    )

    def __init__(self, layer: Counts, environ: Environ, start_response: StartResponse) -> None:
        self.started = perf_counter()
        self.environ = environ
        self.method = bounded_method(environ.get("REQUEST_METHOD", ""))
        self.route = UNMATCHED
        self.size = 0
        self.raised = False
        self.done = False
        self.gauge: Any = None  # where it is counted as in progress
        self.trace: bytes | None = None
        self._layer = layer
        self._start = start_response
        self._status = ""
        self._headers: Any = ()

    def start(self, status: str, headers: Any, exc_info: Any = None) -> Any:
        """Stand in for the server's start_response."""
        self._status, self._headers = status[:3], headers
        self._layer.started(self)
        given = (status, headers) if exc_info is None else (status, headers, exc_info)
        self._write = self._start(*given)
        return self._count_written

    def around(self, body: Iterable[bytes]) -> Iterable[bytes]:
        """Return what the server shall iterate over."""
        self._body = body
        wrapper = self.environ.get("wsgi.file_wrapper")
        if isinstance(wrapper, type) and isinstance(body, wrapper) and self._hooked(body):
            return body
        return _Counted(self) if hasattr(body, "__len__") else self

    def fail(self, error: BaseException) -> None:
        """End with an exception, which its server turns into a 500 or a broken answer."""
        if not self.done:
            self._layer.raised(self.environ, error)
            self._end("500")

    def __iter__(self) -> Iterator[bytes]:
        try:
            self._next = iter(self._body).__next__
        except BaseException as error:
            self.fail(error)
            raise
        return self

    def __next__(self) -> bytes:
        try:
            piece = self._next()
        except StopIteration:
            self._end(self._status or "500")
            raise
        except BaseException as error:
            self.fail(error)
            raise
        if isinstance(piece, bytes):  # else the server will complain, not we
            self.size += len(piece)
        return piece

    def close(self) -> None:
        """End a request: early when the server has not come to the end, because nobody is listening."""
        if not self.done:
            self._end(self._status or "500" if self._is_whole() else str(CLIENT_GONE))
        close = getattr(self._body, "close", None)
        if close is not None:
            close()

    def _end(self, status: str) -> None:
        if not self.done:
            self.done = True
            self._layer.ended(self, status)

    def _is_whole(self) -> bool:
        """Whether a server may rightly stop here: with all that was announced, or where no body is due."""
        if self.method == "HEAD" or self._status in ("", "204", "304"):
            return True
        length = self._declared_length()
        return length is not None and self.size >= length

    def _declared_length(self) -> int | None:
        for name, value in self._headers:
            if name.lower() == "content-length" and value.isdecimal():
                return int(value)
        return None

    def _count_written(self, piece: bytes) -> None:
        self._write(piece)
        self.size += len(piece)

    def _hooked(self, body: Any) -> bool:
        """A server sends its own file wrapper by itself, without iterating; only its end can be seen."""
        close = getattr(body, "close", None)

        def closed() -> None:
            self.size = self._declared_length() or 0
            self._end(self._status or "500")
            if close is not None:
                close()

        try:
            body.close = closed
        except (AttributeError, TypeError):
            return False
        return True


class _Counted:
    """The same for a list: some servers take a Content-Length from its one piece."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self.close = answer.close

    def __len__(self) -> int:
        return len(self._answer._body)  # type: ignore[arg-type]

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._answer)
