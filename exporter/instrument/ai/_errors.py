"""What kind of failure it was: from the status, the provider's own words, or the exception."""

from collections.abc import Mapping
from typing import Any

from exporter.store import OTHER

# The code or type in the error object of OpenAI, Azure, Anthropic and compatible services.
_WORDS = {
    "insufficient_quota": "quota",
    "billing_hard_limit_reached": "quota",
    "billing_error": "quota",
    "rate_limit_exceeded": "rate_limit",
    "rate_limit_error": "rate_limit",
    "context_length_exceeded": "context_length",
    "content_filter": "content_filter",
    "content_policy_violation": "content_filter",
    "moderation_blocked": "content_filter",
    "overloaded_error": "overloaded",
    "engine_overloaded": "overloaded",
    "slow_down": "overloaded",
    "timeout_error": "timeout",
    "authentication_error": "auth",
    "permission_error": "auth",
    "invalid_api_key": "auth",
    "not_found_error": "not_found",
    "model_not_found": "not_found",
    "api_error": "provider_error",
    "server_error": "provider_error",
}
_STATUSES = {
    401: "auth",
    402: "quota",
    403: "auth",
    404: "not_found",
    408: "timeout",
    429: "rate_limit",
    503: "overloaded",
    504: "timeout",
    529: "overloaded",
}
# Where the provider has no code of its own for it, its sentence has these words.
_SENTENCES = (
    ("prompt is too long", "context_length"),
    ("maximum context length", "context_length"),
    ("context window", "context_length"),
    ("credit balance is too low", "quota"),
)


def of_reply(status: int, error: Mapping[str, Any] | None) -> str:
    """Return the category of a reply with this status and error object."""
    return of_words(error) or of_status(status)


def of_words(error: Mapping[str, Any] | None) -> str | None:
    """Return the category that the provider's error object names, if it is one that we know."""
    if not error:
        return None
    for key in ("code", "type"):
        found = _WORDS.get(str(error.get(key)))
        if found:
            return found
    sentence = str(error.get("message"))[:2000].lower()
    return next((category for words, category in _SENTENCES if words in sentence), None)


def of_status(status: int) -> str:
    """Return the category of a status alone."""
    if status in _STATUSES:
        return _STATUSES[status]
    if status >= 500:
        return "provider_error"
    return "invalid_request" if status in (400, 413, 422) else OTHER


def of_exception(error: BaseException, *, answering: bool) -> str:
    """Return timeout, connection, or stream_interrupted where the answer had begun; or `cancelled`.

    By the names of the classes, because httpx and httpx2 have the same ones and neither may be imported.
    """
    if not isinstance(error, Exception):
        return "cancelled"
    names = {kind.__name__ for kind in type(error).__mro__}
    if "TimeoutException" in names or isinstance(error, TimeoutError):
        return "timeout"
    if answering:
        return "stream_interrupted"
    return "connection" if "TransportError" in names or isinstance(error, OSError) else OTHER
