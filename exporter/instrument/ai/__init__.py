"""Calls to AI services: outcomes, time, tokens and money."""

import math
from collections.abc import Mapping

from exporter.catalog import Metric
from exporter.instrument._guard import guarded
from exporter.store import OTHER, Store

CALLS = Metric(
    "ai_api_calls_total",
    "counter",
    "Logical calls to AI services, with the retries inside: success, error or cancelled.",
    ("provider", "model", "operation", "outcome"),
)
ERRORS = Metric(
    "ai_api_errors_total",
    "counter",
    "Calls to AI services that failed, by the kind of failure.",
    ("provider", "model", "category"),
)
DURATION = Metric(
    "ai_api_call_duration_seconds",
    "histogram",
    "Time that a call to an AI service took, retries included.",
    ("provider", "model", "operation"),
    # Doubling from a quick embedding to a long reasoning answer.
    buckets=(0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 40, 80, 160, 320),
)
TOKENS = Metric(
    "ai_tokens_total",
    "counter",
    "Tokens used. The types are disjoint: their sum is what was used, nothing counts twice.",
    ("provider", "model", "type"),
)
COST = Metric(
    "ai_cost_usd_total",
    "counter",
    "Money spent on AI services in US dollars, as far as prices are known.",
    ("provider", "model", "feature"),
)
UNPRICED = Metric(
    "ai_unpriced_calls_total",
    "counter",
    "Calls whose cost is unknown: no_price for the model, or no_usage in the reply.",
    ("provider", "model", "reason"),
)
FAILURES = Metric(
    "ai_instrumentation_errors_total",
    "counter",
    "Readings of AI calls that made no sense and were left out.",
    ("stage",),
)

OUTCOMES = ("success", "error", "cancelled")
TOKEN_TYPES = (
    "input_uncached",
    "input_cache_read",
    "input_cache_write",
    "output_text",
    "output_reasoning",
)
CATEGORIES = (
    "rate_limit",
    "quota",
    "timeout",
    "connection",
    "auth",
    "invalid_request",
    "context_length",
    "content_filter",
    "overloaded",
    "provider_error",
    "stream_interrupted",
    "not_found",
    OTHER,
)


class AI:
    """Records calls to AI services."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def record(
        self,
        *,
        provider: str,
        model: str,
        operation: str,
        outcome: str = "success",
        duration_seconds: float,
        tokens: Mapping[str, int] | None = None,
        cost_usd: float | None = None,
        feature: str = "none",
        error: str = OTHER,
    ) -> None:
        """Record one logical call.

        `outcome` is success, error or cancelled; with error, `error` names one of `CATEGORIES`. `tokens`
        gives numbers by `TOKEN_TYPES`, which are disjoint: cached input is not part of `input_uncached`,
        reasoning is not part of `output_text`. `cost_usd` is in US dollars; None means that it is not
        known, and the call is counted as unpriced. Keep `model` and `feature` to a closed set.
        """
        store = self._store
        with guarded(store, "ai"):
            if outcome not in OUTCOMES:
                FAILURES.on(store).labels("outcome").inc()
                outcome = OTHER
            CALLS.on(store).labels(provider, model, operation, outcome).inc()
            if 0 <= duration_seconds < math.inf:
                DURATION.on(store).labels(provider, model, operation).observe(duration_seconds)
            else:
                FAILURES.on(store).labels("duration").inc()
            if outcome == "error":
                category = error if error in CATEGORIES else OTHER
                ERRORS.on(store).labels(provider, model, category).inc()
            for kind, count in (tokens or {}).items():
                if kind in TOKEN_TYPES and count >= 0:
                    TOKENS.on(store).labels(provider, model, kind).inc(count)
                else:
                    FAILURES.on(store).labels("tokens").inc()
            if cost_usd is not None and not 0 <= cost_usd < math.inf:
                FAILURES.on(store).labels("cost").inc()
                cost_usd = None
            if cost_usd is not None:
                COST.on(store).labels(provider, model, feature).inc(cost_usd)
            elif outcome == "success":
                reason = "no_price" if tokens else "no_usage"
                UNPRICED.on(store).labels(provider, model, reason).inc()
