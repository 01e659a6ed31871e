"""Which errors are of which category, and which are left out."""

import asyncio

import httpx
import openai
import pytest
import redis
import sqlalchemy.exc
from fastapi import HTTPException

from exporter.instrument.sentry import _filters
from exporter.instrument.sentry._categories import Categories


class InvoiceError(Exception):
    pass


class PermissionDeniedError(Exception):
    pass


class OddError(Exception):
    pass


class CardError(Exception):
    __module__ = "stripe._error"


def raised(error, cause=None):
    try:
        raise error from cause
    except Exception as caught:
        return caught


@pytest.mark.parametrize(
    ("error", "category"),
    [
        (CardError(), "payment"),
        (InvoiceError(), "payment"),
        (PermissionDeniedError(), "security"),
        (PermissionError(), ""),
        (redis.ConnectionError(), "database"),
        (sqlalchemy.exc.OperationalError("s", None, Exception()), "database"),
        (openai.APIConnectionError(request=None), "ai_ml"),
        (httpx.ConnectError("x"), "api"),
        (HTTPException(500), "api"),
        (OddError(), ""),
        (raised(OddError(), CardError()), "payment"),
        (raised(InvoiceError(), redis.ConnectionError()), "payment"),
        (None, ""),
    ],
)
def test_the_category_is_that_of_the_class_or_of_what_it_came_from(error, category):
    """By the package of the class, or by the words of its name."""
    assert Categories({}).of(error) == category


def test_the_application_has_the_last_word():
    """By a tag, or for a whole module or class of its own."""
    assert Categories({}).of(CardError(), "api") == "api"
    assert Categories({f"{__name__}.OddError": "payment"}).of(OddError()) == "payment"
    assert Categories({__name__: "shipping"}).of(InvoiceError()) == "shipping"
    assert Categories({}).of(OddError(), in_request=True) == "api"


def test_a_chain_that_bites_its_tail_ends():
    """Exceptions may be each other's cause."""
    one, two = OddError(), OddError()
    one.__cause__, two.__cause__ = two, one
    assert Categories({}).of(one) == ""


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (HTTPException(404), "not_found"),
        (HTTPException(500), ""),
        (TimeoutError(), "timeout"),
        (httpx.ReadTimeout("x"), "timeout"),
        (asyncio.CancelledError(), "client_gone"),
        (BrokenPipeError(), "client_gone"),
        (sqlalchemy.exc.TimeoutError(), ""),
        (OddError(), ""),
        (None, ""),
    ],
)
def test_what_is_left_out_is_told_by_class(error, reason):
    """A database's full pool is called a time-out too, and is no such thing."""
    assert _filters.reason(error, "", frozenset()) == reason


def test_errors_of_health_checks_are_left_out_whatever_they_are():
    """With and without a slash at the end."""
    quiet = frozenset({"/health"})
    for path in ("/health", "/health/"):
        assert _filters.reason(OddError(), path, quiet) == "health_check"
    assert _filters.reason(OddError(), "/healthy", quiet) == ""
