"""Errors that nobody wants to be woken by: they are counted and not reported."""

import asyncio
from typing import Any

# By class name, whichever framework or client they come from, so that none is imported for this.
_NOT_FOUND = frozenset({"Http404", "NotFound", "NotFoundError404", "Resolver404"})
_GONE = frozenset({"ClientDisconnect", "ClientDisconnected", "WebSocketDisconnect"})
_TIMEOUTS = frozenset(
    {"TimeoutException", "Timeout", "ConnectTimeout", "ReadTimeout", "WriteTimeout", "ServerTimeoutError"}
)


def reason(error: BaseException | None, path: str, quiet: frozenset[str]) -> str:
    """Return why an error is not to be reported, "" if it is. `path` is that of the request around it."""
    if path and path.rstrip("/") in quiet:
        return "health_check"
    if error is None:
        return ""
    names = {kind.__name__ for kind in type(error).__mro__}
    if _status(error) == 404 or names & _NOT_FOUND:
        return "not_found"
    if isinstance(error, asyncio.CancelledError | BrokenPipeError | ConnectionResetError) or names & _GONE:
        return "client_gone"
    if isinstance(error, TimeoutError) or names & _TIMEOUTS:
        return "timeout"
    return ""


def _status(error: BaseException) -> Any:
    """Return the status of an HTTPException of Starlette or Werkzeug; what a client got is another matter."""
    if not any(kind.__name__ == "HTTPException" for kind in type(error).__mro__):
        return None
    return getattr(error, "status_code", None) or getattr(error, "code", None)
