"""Why a collector failed, in one word of a closed list, and what to do about it in one sentence.

Drivers are recognised by class name and by Postgres's SQLSTATE, so that none is imported for this.
"""

import ssl
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, get_args

Reason = Literal["down", "auth", "too_many_connections", "timeout", "lock", "permission", "invalid", "error"]
REASONS: tuple[Reason, ...] = get_args(Reason)

# With these nobody let us in. Others come from a server that answered.
UNREACHED: frozenset[Reason] = frozenset({"down", "auth", "too_many_connections", "timeout"})

# https://www.postgresql.org/docs/current/errcodes-appendix.html; the longest match counts.
_BY_SQLSTATE: dict[str, Reason] = {
    "08": "down",
    "57P01": "down",
    "57P02": "down",
    "57P03": "down",
    "57P05": "down",
    "28": "auth",
    "53300": "too_many_connections",
    "57014": "timeout",
    "25P03": "timeout",
    "25P04": "timeout",
    "55P03": "lock",
    "40P01": "lock",
    "42501": "permission",
    "42": "invalid",
    "3D": "invalid",
    "3F": "invalid",
    "22": "invalid",
    "25006": "invalid",  # a query that wants to write
}

# A statement or session that Postgres itself ended for its time limit: slow, but there.
_ENDED_BY_SERVER = frozenset({"57014", "25P03", "25P04"})

# By module and class name, base classes included; the first that fits counts.
_BY_CLASS: dict[tuple[str, str], Reason] = {
    ("redis", "AuthenticationError"): "auth",
    ("redis", "AuthenticationWrongNumberOfArgsError"): "auth",
    ("redis", "AuthorizationError"): "auth",
    ("redis", "TimeoutError"): "timeout",
    ("redis", "NoPermissionError"): "permission",
    ("redis", "ConnectionError"): "down",
    ("asyncpg", "ClientConfigurationError"): "invalid",
    ("asyncpg", "TargetServerAttributeNotMatched"): "down",  # as while a replica is not promoted yet
    ("psycopg", "ConnectionTimeout"): "timeout",
    ("psycopg", "OperationalError"): "down",
    ("psycopg", "ProgrammingError"): "invalid",
    ("pydantic_core", "ValidationError"): "invalid",
    ("exporter", "QueryError"): "invalid",
    ("exporter", "PageError"): "invalid",
    ("exporter", "NoStatementsError"): "invalid",
}

# Errors that have no class of their own, by a part of the text that the server sent.
_BY_TEXT: dict[tuple[str, str], tuple[tuple[str, Reason], ...]] = {
    ("redis", "ConnectionError"): (("max number of clients", "too_many_connections"),),
    ("psycopg", "OperationalError"): (  # PgBouncer's, which have no SQLSTATE while it lets nobody in
        ("authentication failed", "auth"),
        ("no such user", "auth"),
        ("not allowed", "auth"),
        ("no more connections allowed", "too_many_connections"),
    ),
}

_ADVICE: dict[Reason, str] = {
    "down": "Nothing answers there: check that the server runs, and its host and port.",
    "auth": "The server refused the login: check the user and the password, and what the server lets in.",
    "too_many_connections": "The server has no connection left: raise its limit or find who holds them.",
    "timeout": "No answer in time: look at the server's load, or raise the collector's timeout.",
    "lock": "Something holds a lock that the reading needs: find the blocking session.",
    "permission": "The user may not read this: grant it the rights for monitoring.",
    "invalid": "The request itself is wrong: check the names and values in the configuration.",
    "error": "Unexpected: the log names the place.",
}


def reason(error: BaseException) -> Reason:
    """Return the one word. An error raised `from` another has the reason of that other where it says more."""
    return next((found for each in _chain(error) if (found := _own(each))), "error")


def advice(error: BaseException) -> str:
    """Return what to do, in one sentence. It holds nothing of an error's own text that could be a secret."""
    found = reason(error)
    chain = list(_chain(error))
    if _is(error, "exporter", "QueryError"):
        # Our own words; the server's behind them only where they speak of names, not of values.
        cause = getattr(error.__cause__, "sqlstate", "42")
        text = str(error) if str(cause).startswith("42") else str(error).partition(":")[0]
        return f"{text[:1].upper()}{text[1:]}. {_ADVICE[found]}"
    if _is(error, "exporter", "PageError"):
        return f"{str(error)[:1].upper()}{str(error)[1:]}: a series can have one value only."
    if _is(error, "exporter", "NoStatementsError"):
        return (
            "The extension pg_stat_statements is missing: preload it and CREATE EXTENSION in the database of "
            "the address, or leave the topic out with `without: [statements]`."
        )
    if any(_is(each, "asyncpg", "TargetServerAttributeNotMatched") for each in chain):
        return "No host of the address is what target_session_attrs asks for: promote one, or ask for less."
    if any(isinstance(each, ssl.SSLError) for each in chain):
        return "TLS failed: check the certificate and the sslmode or scheme in the address."
    if any(_is(each, "psycopg", "OperationalError") and "not allowed" in str(each) for each in chain):
        return "The user may not ask PgBouncer's console: name it in stats_users in pgbouncer.ini."
    if found == "permission" and any(hasattr(each, "sqlstate") for each in chain):
        return "The role may not read this: GRANT pg_monitor to it, and SELECT on what your own queries read."
    if found == "permission" and any(_is(each, "redis", "NoPermissionError") for each in chain):
        return "The user may not run this command: ACL SETUSER it with +info."
    if found == "invalid" and any(getattr(each, "sqlstate", "") == "3D000" for each in chain):
        return "The database does not exist on that server: check its name in the configuration."
    return _ADVICE[found]


def reached(error: BaseException) -> bool:
    """Whether the server let us in before it failed, so that it is not to be called down."""
    cancelled = any(getattr(each, "sqlstate", "") in _ENDED_BY_SERVER for each in _chain(error))
    return cancelled or reason(error) not in UNREACHED


def places(error: BaseException) -> str:
    """Return where an error came through, innermost last, without its text: that may hold a secret."""
    frames = traceback.extract_tb(error.__traceback__)
    return " > ".join(f"{Path(f.filename).name}:{f.lineno} {f.name}" for f in frames)


def _own(error: BaseException) -> Reason | None:
    sqlstate = getattr(error, "sqlstate", None)
    if isinstance(sqlstate, str):
        for length in (5, 2):
            if found := _BY_SQLSTATE.get(sqlstate[:length]):
                return found
    for (module, name), texts in _BY_TEXT.items():
        if _is(error, module, name):
            for text, found in texts:
                if text in str(error):
                    return found
    for (module, name), found in _BY_CLASS.items():
        if _is(error, module, name):
            return found
    if _is(error, "asyncpg", "InterfaceError"):  # also raised for a connection that has gone
        return "down" if "clos" in str(error) else None
    if isinstance(error, TimeoutError):
        return "timeout"
    if isinstance(error, PermissionError):
        return "permission"
    if isinstance(error, FileNotFoundError | IsADirectoryError | NotADirectoryError):
        return "invalid"
    if isinstance(error, OSError | EOFError):
        return "down"
    if isinstance(error, ValueError | KeyError):
        return "invalid"
    return None


def _is(error: BaseException, module: str, name: str) -> bool:
    return any(
        kind.__name__ == name and kind.__module__.split(".")[0] == module for kind in type(error).__mro__
    )


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield the error's first cause before the error itself: the driver's own error knows best."""
    chain = [error]
    while (cause := chain[-1].__cause__) is not None and cause not in chain:
        chain.append(cause)
    return reversed(chain)
