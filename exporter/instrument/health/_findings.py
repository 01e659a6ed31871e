"""What a check finds: a status and a reason from closed lists, and numbers; never an exception's text."""

import socket
import ssl
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, Literal, NamedTuple, get_args

Status = Literal["healthy", "degraded", "unhealthy", "unknown"]
Reason = Literal[
    "timeout",
    "refused",
    "dns",
    "tls",
    "auth",
    "rate_limited",
    "too_many_connections",
    "unavailable",  # it answers, and says that it cannot; or it has hung up
    "stopped",  # it is there, and does not work: a scheduler that nobody has started
    "pending",  # not looked at yet
    "stale",  # not looked at for three periods
    "error",
]
REASONS: tuple[Reason, ...] = get_args(Reason)

# https://www.postgresql.org/docs/current/errcodes-appendix.html; the longest match counts.
_BY_SQLSTATE: dict[str, Reason] = {
    "28": "auth",
    "53300": "too_many_connections",
    "57014": "timeout",
    "08": "unavailable",
    "57": "unavailable",
}
# By class name, whichever driver it comes from, so that none is imported for this.
_BY_NAME: dict[str, Reason] = {
    "Timeout": "timeout",
    "TimeoutError": "timeout",
    "TimeoutException": "timeout",
    "ConnectionTimeout": "timeout",
    "AuthenticationError": "auth",
    "AuthorizationError": "auth",
    "NoPermissionError": "auth",
    "PermissionDeniedError": "auth",
    "PermissionError": "auth",
    "RateLimitError": "rate_limited",
    "MaxConnectionsError": "too_many_connections",
    "ConnectionError": "unavailable",
    "ConnectError": "unavailable",
    "InterfaceError": "unavailable",
    "OperationalError": "unavailable",
}
_VAGUE = ("unavailable", "error")


class Finding(NamedTuple):
    """The outcome of one check. `details` are shown by their names; after `wait` seconds ask again."""

    status: Status = "healthy"
    reason: Reason | Literal[""] = ""
    details: Mapping[str, Any] = MappingProxyType({})
    wait: float = 0.0


def degraded(reason: Reason = "error") -> Finding:
    """Return what a check returns for something that works, but not as it should."""
    return Finding("degraded", _known(reason))


def unhealthy(reason: Reason = "error") -> Finding:
    """Return what a check returns for something that does not work."""
    return Finding("unhealthy", _known(reason))


def finding_of(outcome: Any) -> Finding:
    """Return what a check's return value means: nothing or True is healthy, False is not."""
    if isinstance(outcome, Finding):
        return outcome
    return unhealthy() if outcome is False else Finding()


def failure(error: BaseException) -> Finding:
    """Return what an exception means. Who limits our rate works: that alone is no failure."""
    reason = reason_of(error)
    return degraded(reason) if reason == "rate_limited" else unhealthy(reason)


def reason_of(error: BaseException) -> Reason:
    """Return the one word for an exception; what it came from may know better."""
    vague: Reason = "error"
    for each in _chain(error):
        found = _own(each)
        if found and found not in _VAGUE:
            return found
        if found:
            vague = found
    return vague


def of_status(code: int) -> Reason | Literal[""]:
    """Return the word for an HTTP status code, "" for one that is no failure."""
    if code in (401, 403):
        return "auth"
    if code == 429:
        return "rate_limited"
    if code >= 500:
        return "unavailable"
    return "error" if code >= 400 else ""


def _own(error: BaseException) -> Reason | Literal[""]:
    state = getattr(error, "sqlstate", None)
    if isinstance(state, str):
        for length in (5, 2):
            if state[:length] in _BY_SQLSTATE:
                return _BY_SQLSTATE[state[:length]]
    code = getattr(error, "status_code", None)  # of the SDKs for HTTP interfaces
    if isinstance(code, int) and of_status(code):
        return of_status(code)
    if isinstance(error, socket.gaierror):
        return "dns"
    if isinstance(error, ssl.SSLError):
        return "tls"
    if isinstance(error, ConnectionRefusedError):
        return "refused"
    for kind in type(error).__mro__:
        if kind.__name__ in _BY_NAME:
            return _BY_NAME[kind.__name__]
    return "unavailable" if isinstance(error, OSError | EOFError) else ""


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and what it came from: `orig` is SQLAlchemy's, `reason` urllib's."""
    seen: list[BaseException] = []
    waiting: list[Any] = [error]
    while waiting and len(seen) < 10:
        each = waiting.pop(0)
        if isinstance(each, BaseException) and each not in seen:
            seen.append(each)
            waiting += [getattr(each, name, None) for name in ("orig", "reason")]
            waiting += [each.__cause__, each.__context__]
            yield each


def _known(reason: str) -> Reason:
    return next((word for word in REASONS if word == reason), "error")
