"""What an application tells of an error, its user and its work, in the words of the helpers."""

import sys
from typing import Any

from exporter.instrument._context import CURRENT

_SHORT = 200  # characters of a tag


def capture_exception_with_context(
    error: BaseException | None = None,
    *,
    user_id: Any = None,
    operation: str = "",
    category: str = "",
    level: str = "",
    **context: Any,
) -> str | None:
    """Report an exception, by default the one that is being handled, with what surrounds it.

    `operation` names the work in hand and becomes a tag; `category` is one of payment, security, database,
    ai_ml and api where the exception itself does not tell. All else is shown beside the error, scrubbed.
    Returns the event's id; None where nothing is reported. Never raises.
    """
    sdk = sys.modules.get("sentry_sdk")
    if sdk is None:
        return None
    with sdk.new_scope() as scope:
        if user_id is not None:
            scope.set_user({"id": str(user_id)})
        for name, value in (("operation", operation), ("category", category)):
            if value:
                scope.set_tag(name, value[:_SHORT])
        if level:
            scope.set_level(level)
        if context:
            scope.set_context("details", context)
        event_id: str | None = sdk.capture_exception(error)
        return event_id


def set_user_context(user_id: Any, email: str = "", username: str = "", **more: Any) -> None:
    """Say who makes the request under way: errors and log lines name the id, and only that as it is.

    Of the address and the name, Sentry hears that they are known: `[email]`, `[redacted]`.
    """
    context = CURRENT.get()
    if context is not None:
        context.user_id = str(user_id)
    sdk = sys.modules.get("sentry_sdk")
    if sdk is not None:
        known = {"email": email, "username": username}
        sdk.set_user({"id": str(user_id), **{k: v for k, v in known.items() if v}, **more})


def set_transaction_context(name: str, **data: Any) -> None:
    """Name the work under way, for what its route does not tell, and add data to it, scrubbed."""
    sdk = sys.modules.get("sentry_sdk")
    if sdk is not None:
        scope = sdk.get_current_scope()
        scope.set_transaction_name(name, source="custom")
        if data:
            scope.set_context("transaction", data)
