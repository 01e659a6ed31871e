"""One call to an AI service, as it is known when it is over."""

from collections.abc import Mapping
from contextvars import Context, ContextVar
from dataclasses import dataclass
from typing import Any

from exporter.store import OTHER

NO_FEATURE = "none"
NO_MODEL = "none"

# What the code that calls is for; read when a call begins.
FEATURE: ContextVar[str] = ContextVar("watchkeeper_feature", default=NO_FEATURE)


@dataclass(slots=True)
class Call:
    """All that metrics, prices and log lines are made from.

    `model` is what the caller asked for and `answered_model` what the provider says it used; one stands in
    for the other where it is not known. `tokens` are by `TOKEN_TYPES`, None where the reply told nothing;
    `usage` is the provider's own words. `partial` means that the answer broke off before its last word on
    usage. `free` calls cost nothing by themselves; with `only_usage`, this is a message of a batch and not a
    call of its own. Durations are in seconds, `started` in Unix time. `context` is where its log line
    belongs, which may be over by then; None for a call without a line.
    """

    provider: str
    model: str
    operation: str
    outcome: str = "success"
    category: str = OTHER
    answered_model: str = ""
    status: int | None = None
    attempts: int = 1
    started: float = 0.0
    duration: float | None = None
    first_chunk: float | None = None
    tokens: Mapping[str, int] | None = None
    usage: Mapping[str, Any] | None = None
    partial: bool = False
    service_tier: str = ""
    batch: bool = False
    free: bool = False
    only_usage: bool = False
    request_id: str = ""
    streaming: bool = False
    feature: str = NO_FEATURE
    cost_usd: float | None = None
    context: Context | None = None
