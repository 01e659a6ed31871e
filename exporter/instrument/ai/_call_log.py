"""One log line for each call: what happened and what it cost, never what was asked or answered."""

import logging
from contextvars import Context, copy_context
from typing import Any

from exporter.instrument import _context
from exporter.instrument.ai._calls import Call

LOGGER = logging.getLogger("watchkeeper.ai")
_LONGEST = 200  # characters of a text that comes from outside


def context() -> Context | None:
    """Return what a line will belong to: trace and user of the code that calls; None if none is wanted."""
    return copy_context() if LOGGER.isEnabledFor(logging.INFO) else None


def tell(call: Call, cost: float | None, feature: str) -> None:
    """Write the line, in the context of the code that called, whichever thread this is."""
    if call.context is not None:
        call.context.run(_tell, call, cost, feature)


def _tell(call: Call, cost: float | None, feature: str) -> None:
    failed = call.outcome == "error"
    fields: dict[str, Any] = {
        "provider": call.provider,
        "model": (call.model or call.answered_model)[:_LONGEST],
        "operation": call.operation,
        "outcome": call.outcome,
        "category": call.category if failed else None,
        "status": call.status,
        "attempts": call.attempts,
        "duration_ms": _milliseconds(call.duration),
        "ttfc_ms": _milliseconds(call.first_chunk),
        "tokens": dict(call.tokens) if call.tokens else None,
        "cost_usd": cost,
        "feature": feature,
        "request_id": call.request_id[:_LONGEST] or None,
        "trace_id": _trace_id(),
    }
    told = {name: value for name, value in fields.items() if value is not None}
    LOGGER.info("ai_call", extra=told)


def _milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 3)


def _trace_id() -> str | None:
    current = _context.CURRENT.get()
    ids = current.ids() if current is not None else _context.span_ids()
    return ids[0] if ids else None
