"""The one place where AI calls are seen: `send` of httpx's and httpx2's clients, and the SDKs' `request`."""

import functools
import threading
import weakref
from collections.abc import Callable
from contextlib import suppress
from types import ModuleType
from typing import Any

from exporter.instrument.ai._attempts import CURRENT, Attempt, Running, settle
from exporter.instrument.ai._hosts import Hosts
from exporter.instrument.ai._imports import Waiting
from exporter.instrument.ai._ledger import Ledger
from exporter.instrument.ai._tee import watch

HOSTS = Hosts()

_lock = threading.Lock()
# A ledger belongs to its store and goes with it; the number says how many observers want it.
_wanted: "weakref.WeakKeyDictionary[Ledger, int]" = weakref.WeakKeyDictionary()
# Our functions by class and name, with what stood there before.
_patched: dict[tuple[type, str], tuple[Any, Any]] = {}


def switch_on(ledger: Ledger) -> Callable[[], None]:
    """Let `ledger` have the AI calls of this process; return the function that stops it."""
    with _lock:
        _wanted[ledger] = _wanted.get(ledger, 0) + 1
        ledger.before_scrape = settle
        _waiting.start()
    done = threading.Event()

    def stop() -> None:
        if not done.is_set():
            done.set()
            _switch_off(ledger)

    return stop


def _switch_off(ledger: Ledger) -> None:
    with _lock:
        _wanted[ledger] = _wanted.get(ledger, 1) - 1
        if _wanted[ledger] <= 0:
            del _wanted[ledger]
        if _wanted:
            return
        _waiting.stop()
        for (owner, name), (ours, before) in list(_patched.items()):
            # Where another library has put its own function on top, ours stays below and lets all pass.
            if owner.__dict__.get(name) is ours:
                setattr(owner, name, before)
                del _patched[owner, name]


def _patch_clients(module: ModuleType) -> None:
    _patch(module, "Client", "send", _sync_send)
    _patch(module, "AsyncClient", "send", _async_send)


def _patch_sdk(module: ModuleType) -> None:
    _patch(module, "SyncAPIClient", "request", _sync_request)
    _patch(module, "AsyncAPIClient", "request", _async_request)


_waiting = Waiting(
    {
        "httpx": _patch_clients,
        "httpx2": _patch_clients,
        # Private modules: should they move, every attempt counts as a call, and nothing else is lost.
        "openai._base_client": _patch_sdk,
        "anthropic._base_client": _patch_sdk,
    }
)


def _patch(module: ModuleType, owner_name: str, name: str, wrap: Callable[[Any], Any]) -> None:
    try:
        owner = getattr(module, owner_name)
        if (owner, name) not in _patched:
            before = getattr(owner, name)
            ours = functools.wraps(before)(wrap(before))
            setattr(owner, name, ours)
            _patched[owner, name] = (ours, before)
    except Exception:
        _failed("patch")


def _failed(stage: str) -> None:
    for ledger in list(_wanted):
        ledger.failed(stage)


def _begin(request: Any) -> Attempt | None:
    """Return the attempt that this request is, or None for a request that is none of ours."""
    try:
        route = HOSTS.route(request.method, request.url)
        if route is None:
            return None
        settle()
        running = CURRENT.get() or Running()
        return running.attempt(route, request, tuple(_wanted))
    except Exception:
        _failed("request")
        return None


def _answered(attempt: Attempt, response: Any) -> None:
    """Read what is there already, or listen while the application reads it."""
    try:
        attempt.answered(response)
        try:
            body = response.content
        except Exception:  # httpx's way to say that it has not been read
            watch(response, attempt)
            return
        attempt.feed(body)
        attempt.ended()
    except Exception:
        attempt.failed("response")
        attempt.ended()


def _raised(attempt: Attempt, error: BaseException) -> None:
    try:
        attempt.raised(error)
    except Exception:
        attempt.failed("error")


def _sync_send(before: Any) -> Any:
    def send(client: Any, request: Any, *args: Any, **kwargs: Any) -> Any:
        attempt = _begin(request) if _wanted else None
        if attempt is None:
            return before(client, request, *args, **kwargs)
        try:
            response = before(client, request, *args, **kwargs)
        except BaseException as error:
            _raised(attempt, error)
            raise
        _answered(attempt, response)
        return response

    return send


def _async_send(before: Any) -> Any:
    async def send(client: Any, request: Any, *args: Any, **kwargs: Any) -> Any:
        attempt = _begin(request) if _wanted else None
        if attempt is None:
            return await before(client, request, *args, **kwargs)
        try:
            response = await before(client, request, *args, **kwargs)
        except BaseException as error:
            _raised(attempt, error)
            raise
        _answered(attempt, response)
        return response

    return send


def _sync_request(before: Any) -> Any:
    def request(client: Any, *args: Any, **kwargs: Any) -> Any:
        if not _wanted:
            return before(client, *args, **kwargs)
        running = Running(_options(args, kwargs), of_sdk=True)
        token = CURRENT.set(running)
        try:
            result = before(client, *args, **kwargs)
        except BaseException as error:
            _call_raised(running, error)
            raise
        finally:
            CURRENT.reset(token)
        _call_returned(running)
        return result

    return request


def _async_request(before: Any) -> Any:
    async def request(client: Any, *args: Any, **kwargs: Any) -> Any:
        if not _wanted:
            return await before(client, *args, **kwargs)
        running = Running(_options(args, kwargs), of_sdk=True)
        token = CURRENT.set(running)
        try:
            result = await before(client, *args, **kwargs)
        except BaseException as error:
            _call_raised(running, error)
            raise
        finally:
            with suppress(ValueError):  # a coroutine that is dropped may end in another context
                CURRENT.reset(token)
        _call_returned(running)
        return result

    return request


def _options(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    return kwargs.get("options", args[1] if len(args) > 1 else None)  # request(cast_to, options)


def _call_raised(running: Running, error: BaseException) -> None:
    try:
        running.raised(error)
    except Exception:
        _failed("call")


def _call_returned(running: Running) -> None:
    try:
        running.returned()
    except Exception:
        _failed("call")
