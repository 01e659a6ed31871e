"""What is told of AI calls: the metrics, and the closed sets that their labels come from."""

from exporter.catalog import Metric
from exporter.store import OTHER

CALLS = Metric(
    "ai_api_calls_total",
    "counter",
    "Logical calls to AI services, with the retries inside: success, error or cancelled.",
    ("provider", "model", "operation", "outcome"),
)
ATTEMPTS = Metric(
    "ai_api_attempts_total",
    "counter",
    "Single requests to AI services by status code, or timeout, connection, cancelled. Less calls: retries.",
    ("provider", "status"),
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
FIRST_CHUNK = Metric(
    "ai_api_time_to_first_chunk_seconds",
    "histogram",
    "Time from a streaming call to the first bytes of its answer.",
    ("provider", "model"),
    buckets=(0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20),
)
IN_PROGRESS = Metric(
    "ai_api_calls_in_progress",
    "gauge",
    "Calls to AI services under way now, streams included until their end.",
    ("provider",),
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
    "Calls whose cost is not (wholly) known: no_price for the model, no_usage told, or partial_usage.",
    ("provider", "model", "reason"),
)
BUDGET = Metric(
    "ai_budget_usd",
    "gauge",
    "What may be spent on AI services in a day, week or month, in US dollars, as the application was told.",
    ("period",),
    merge="max",
)
FEEDBACK = Metric(
    "ai_feedback_total",
    "counter",
    "What turned out of the answers of AI: tp and tn were right, fp (false alarm) and fn (missed) wrong.",
    ("task", "model", "result"),
)
LIMIT = Metric(
    "ai_rate_limit_limit",
    "gauge",
    "The provider's rate limit (requests or tokens in its window), as its last answer told.",
    ("provider", "model", "limit"),
    merge="newest",
)
REMAINING = Metric(
    "ai_rate_limit_remaining",
    "gauge",
    "What is left of the provider's rate limit, as its last answer told.",
    ("provider", "model", "limit"),
    merge="newest",
)
USED = Metric(
    "ai_rate_limit_used_ratio",
    "gauge",
    "Share of the provider's rate limit that is used, as its last answer told; at 1 it refuses calls.",
    ("provider", "model", "limit"),
    merge="newest",
)
RESET = Metric(
    "ai_rate_limit_reset_timestamp_seconds",
    "gauge",
    "When the provider's rate limit is whole again, as Unix time; after that the other numbers are old.",
    ("provider", "model", "limit"),
    merge="newest",
)
FAILURES = Metric(
    "ai_instrumentation_errors_total",
    "counter",
    "Failures inside the observation of AI calls, and readings that made no sense and were left out.",
    ("stage",),
)

OUTCOMES = ("success", "error", "cancelled")
RESULTS = ("tp", "fp", "tn", "fn")
PERIODS = ("day", "week", "month")
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
