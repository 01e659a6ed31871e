"""Each failure has its word, and advice without the error's own text."""

import re
import ssl
import sys

import asyncpg
import psycopg
import pytest
import redis.exceptions
from pydantic import BaseModel, ValidationError

from exporter.collectors._reasons import REASONS, UNREACHED, advice, places, reached, reason
from exporter.collectors.postgres.statements import NoStatementsError
from exporter.collectors.sql import QueryError


def caused(error: Exception, cause: BaseException) -> Exception:
    error.__cause__ = cause
    return error


def invalid() -> ValidationError:
    class Model(BaseModel):
        a: int

    with pytest.raises(ValidationError) as caught:
        Model()
    return caught.value


ERRORS = [
    (ConnectionRefusedError(111, "refused"), "down"),
    (OSError(-2, "Name or service not known"), "down"),
    (ssl.SSLError(1, "certificate verify failed"), "down"),
    (asyncpg.CannotConnectNowError("the database system is starting up"), "down"),
    (asyncpg.AdminShutdownError("terminating connection"), "down"),
    (asyncpg.ConnectionDoesNotExistError("connection was closed"), "down"),
    (asyncpg.InterfaceError("connection is closed"), "down"),
    (asyncpg.TargetServerAttributeNotMatched("None of the hosts match"), "down"),
    (NoStatementsError("the extension is not there"), "invalid"),
    (asyncpg.InvalidPasswordError("password authentication failed"), "auth"),
    (asyncpg.InvalidAuthorizationSpecificationError("no pg_hba.conf entry"), "auth"),
    (asyncpg.TooManyConnectionsError("sorry, too many clients already"), "too_many_connections"),
    (asyncpg.QueryCanceledError("statement timeout"), "timeout"),
    (asyncpg.LockNotAvailableError("lock timeout"), "lock"),
    (asyncpg.DeadlockDetectedError("deadlock"), "lock"),
    (asyncpg.InsufficientPrivilegeError("permission denied for table users"), "permission"),
    (asyncpg.UndefinedTableError('relation "users" does not exist'), "invalid"),
    (asyncpg.ReadOnlySQLTransactionError("cannot execute DELETE"), "invalid"),
    (asyncpg.InvalidCatalogNameError('database "x" does not exist'), "invalid"),
    (redis.exceptions.ConnectionError("Error 111 connecting"), "down"),
    (redis.exceptions.BusyLoadingError("loading"), "down"),
    (redis.exceptions.AuthenticationError("WRONGPASS"), "auth"),
    (redis.exceptions.ConnectionError("max number of clients reached"), "too_many_connections"),
    (redis.exceptions.TimeoutError("Timeout reading"), "timeout"),
    (redis.exceptions.NoPermissionError("NOPERM"), "permission"),
    (psycopg.OperationalError("connection failed: Connection refused"), "down"),
    (psycopg.OperationalError("FATAL:  password authentication failed"), "auth"),
    (psycopg.OperationalError("FATAL:  no such user: mon"), "auth"),
    (psycopg.OperationalError("FATAL:  not allowed"), "auth"),
    (psycopg.OperationalError("FATAL:  no more connections allowed"), "too_many_connections"),
    (psycopg.errors.ConnectionTimeout("connection timeout expired"), "timeout"),
    (psycopg.ProgrammingError("invalid connection option"), "invalid"),
    (TimeoutError(), "timeout"),
    (PermissionError(13, "Permission denied"), "permission"),
    (FileNotFoundError(2, "No such file"), "invalid"),
    (ValueError("not a number"), "invalid"),
    (invalid(), "invalid"),
    (QueryError("metric x: the query returns no column 'value'"), "invalid"),
    (caused(QueryError("metric x: canceling"), asyncpg.QueryCanceledError("timeout")), "timeout"),
    (caused(ConnectionError("lost"), asyncpg.InvalidPasswordError("no")), "auth"),
    (ZeroDivisionError("division by zero"), "error"),
]


@pytest.mark.parametrize(
    ("error", "expected"), ERRORS, ids=lambda x: x if isinstance(x, str) else type(x).__name__
)
def test_each_error_has_its_reason(error: Exception, expected: str):
    """What drivers and the system raise is told in one word of the closed list."""
    assert reason(error) == expected


def test_every_reason_is_tried():
    """The list above leaves no word out."""
    assert {expected for _, expected in ERRORS} == set(REASONS)
    assert set(REASONS) > UNREACHED


@pytest.mark.parametrize("error", [error for error, _ in ERRORS], ids=lambda error: type(error).__name__)
def test_advice_is_one_sentence_and_quotes_nothing(error: Exception):
    """Advice can be shown anywhere: nothing of the error's text, which may hold a secret, is in it."""
    text = advice(type(error)("hunter2")) if not isinstance(error, ValidationError) else advice(error)
    assert "hunter2" not in text
    assert re.fullmatch(r"[A-Z][^\n]*[^.]\.", advice(error))


def test_no_driver_is_imported_for_it():
    """The scrape asks for reasons where only one of the drivers may be installed."""
    import ast
    from pathlib import Path

    import exporter.collectors._reasons as module

    tree = ast.parse(Path(module.__file__).read_text())
    imported = {
        name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names
    } | {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {name.partition(".")[0] for name in imported} <= sys.stdlib_module_names


def test_a_statement_that_postgres_ended_does_not_make_it_down():
    """A slow query is not an outage: the server answered, with SQLSTATE 57014."""
    error = Exception("canceling statement")
    error.sqlstate = "57014"
    assert (reason(error), reached(error)) == ("timeout", True)
    assert not reached(TimeoutError())
    assert not reached(ConnectionRefusedError())
    assert reached(PermissionError())


def test_a_query_says_which_metric_and_what_is_missing_but_no_value():
    """Names of tables help; what stood in a row may be private."""
    error = QueryError('metric business_users: relation "users" does not exist')
    error.__cause__ = Exception()
    error.__cause__.sqlstate = "42P01"
    assert advice(error).startswith('Metric business_users: relation "users" does not exist. ')
    error.__cause__.sqlstate = "22P02"
    assert advice(error).startswith("Metric business_users. ")


def test_the_place_of_an_error_is_told_without_its_text():
    """File, line and function, for whoever must mend it."""
    try:
        raise KeyError("hunter2")
    except KeyError as error:
        place = places(error)
    assert place.startswith("test_reasons.py:")
    assert "hunter2" not in place
