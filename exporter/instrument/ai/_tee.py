"""Listening to a reply while the application reads it: same chunks, same moments, same errors."""

import functools
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from typing import Any

from exporter.instrument.ai._attempts import Attempt

_ATTRIBUTE = "_watchkeeper"
Feed = Callable[[bytes], None]


def watch(response: Any, attempt: Attempt) -> None:
    """Let `attempt` see the body of an httpx or httpx2 response that has not been read yet.

    The response changes its class until its end is known. Functions put on the object itself would hold
    it in a circle, and a connection that is dropped would stay open until the next garbage collection.
    """
    setattr(response, _ATTRIBUTE, attempt)
    kind: Any = type(response)
    response.__class__ = _watched(kind)


def _release(response: Any, base: Any) -> None:
    if response.__class__ is _watched(base):
        response.__class__ = base
        response.__dict__.pop(_ATTRIBUTE, None)


@functools.cache
def _watched(base: Any) -> Any:
    class Watched(base):  # type: ignore[misc]
        # `base.` instead of super(): a generator may go on after the object has its own class again.

        def iter_bytes(self, chunk_size: int | None = None) -> Iterator[bytes]:
            inner = base.iter_bytes(self, chunk_size)
            attempt = self.__dict__.get(_ATTRIBUTE)
            return inner if attempt is None else tee(self, attempt, inner, attempt.feed)

        def iter_raw(self, chunk_size: int | None = None) -> Iterator[bytes]:
            inner = base.iter_raw(self, chunk_size)
            attempt = self.__dict__.get(_ATTRIBUTE)
            # Inside iter_bytes the same bytes come by decoded.
            return inner if attempt is None or attempt.inside else tee(self, attempt, inner, attempt.feed_raw)

        def aiter_bytes(self, chunk_size: int | None = None) -> AsyncIterator[bytes]:
            inner = base.aiter_bytes(self, chunk_size)
            attempt = self.__dict__.get(_ATTRIBUTE)
            return inner if attempt is None else atee(self, attempt, inner, attempt.feed)

        def aiter_raw(self, chunk_size: int | None = None) -> AsyncIterator[bytes]:
            inner = base.aiter_raw(self, chunk_size)
            attempt = self.__dict__.get(_ATTRIBUTE)
            return (
                inner if attempt is None or attempt.inside else atee(self, attempt, inner, attempt.feed_raw)
            )

        def close(self) -> None:
            try:
                base.close(self)
            finally:
                left(self)

        async def aclose(self) -> None:
            try:
                await base.aclose(self)
            finally:
                left(self)

        def __del__(self) -> None:
            try:  # noqa: SIM105 - at the interpreter's end contextlib may be gone, as anything may
                left(self)
            except Exception:  # noqa: S110
                pass
            if hasattr(base, "__del__"):
                base.__del__(self)

    def left(response: Any) -> None:
        attempt = response.__dict__.get(_ATTRIBUTE)
        if attempt is not None and not attempt.inside:
            attempt.left()

    def tee(response: Any, attempt: Attempt, inner: Any, feed: Feed) -> Iterator[bytes]:
        try:
            while True:
                # httpx closes the response at its end and at an error, before either is known here.
                attempt.inside += 1
                try:
                    chunk = next(inner)
                except StopIteration:
                    attempt.ended()
                    return
                except BaseException as error:
                    attempt.raised(error)
                    raise
                finally:
                    attempt.inside -= 1
                feed(chunk)
                yield chunk
        finally:
            inner.close()  # at once, as without us
            if attempt.done:
                _release(response, base)

    async def atee(response: Any, attempt: Attempt, inner: Any, feed: Feed) -> AsyncGenerator[bytes, None]:
        try:
            while True:
                attempt.inside += 1
                try:
                    chunk = await anext(inner)
                except StopAsyncIteration:
                    attempt.ended()
                    return
                except BaseException as error:
                    attempt.raised(error)
                    raise
                finally:
                    attempt.inside -= 1
                feed(chunk)
                yield chunk
        finally:
            await inner.aclose()
            if attempt.done:
                _release(response, base)

    Watched.__name__, Watched.__qualname__, Watched.__module__ = (
        base.__name__,
        base.__qualname__,
        base.__module__,
    )
    return Watched
