"""Calls to AI services: outcomes, time, tokens and money."""

import math
from collections.abc import Callable, Mapping
from pathlib import Path

from exporter.instrument.ai import _call_log, _hook
from exporter.instrument.ai._calls import FEATURE, Call
from exporter.instrument.ai._feature import Feature
from exporter.instrument.ai._ledger import Ledger
from exporter.instrument.ai._metrics import (
    ATTEMPTS,
    BUDGET,
    CALLS,
    CATEGORIES,
    COST,
    DURATION,
    ERRORS,
    FAILURES,
    FEEDBACK,
    FIRST_CHUNK,
    IN_PROGRESS,
    LIMIT,
    OUTCOMES,
    PERIODS,
    REMAINING,
    RESET,
    RESULTS,
    TOKEN_TYPES,
    TOKENS,
    UNPRICED,
    USED,
)
from exporter.store import OTHER, Store

__all__ = [
    "AI",
    "ATTEMPTS",
    "BUDGET",
    "CALLS",
    "CATEGORIES",
    "COST",
    "DURATION",
    "ERRORS",
    "FAILURES",
    "FEEDBACK",
    "FIRST_CHUNK",
    "IN_PROGRESS",
    "LIMIT",
    "OUTCOMES",
    "PERIODS",
    "REMAINING",
    "RESET",
    "RESULTS",
    "TOKENS",
    "TOKEN_TYPES",
    "UNPRICED",
    "USED",
    "Call",
]


class AI:
    """Records calls to AI services: by itself what the OpenAI and Anthropic SDKs do, the rest by `record`."""

    def __init__(self, store: Store) -> None:
        self._ledger = Ledger.of(store)

    def switch_on(self) -> Callable[[], None]:
        """Count the calls that go through httpx or httpx2; return the function that stops it."""
        return _hook.switch_on(self._ledger)

    def register_base_url(self, url: str, provider: str) -> None:
        """Count calls to this address as well: a gateway, or a server of your own such as vLLM or Ollama.

        `url` is the SDK's `base_url`, or a beginning of it; `provider` becomes the label. It holds for the
        whole process. Raises ValueError for an address without scheme or host.
        """
        _hook.HOSTS.register(url, provider)

    def prices(self, path: str | Path) -> None:
        """Take the prices of a JSON file before all others; its shape is that of litellm's table.

        US dollars a token by `provider/model` or model, with keys such as `input_cost_per_token`,
        `cache_read_input_token_cost`, `output_cost_per_token`, and for tiers and long inputs the endings
        `_flex`, `_priority`, `_batches`, `_above_200k_tokens`. Calls that were counted before keep the cost
        that they had. Raises ValueError, naming file, line or key, for a file that is none of these.
        """
        self._ledger.prices.read(path)

    def budget(
        self, *, day: float | None = None, week: float | None = None, month: float | None = None
    ) -> None:
        """Say what may be spent, in US dollars; dashboards and alerts hold the cost against it.

        Raises ValueError for an amount that is not a number above 0, and where none is given.
        """
        given = {"day": day, "week": week, "month": month}
        told = {period: dollars for period, dollars in given.items() if dollars is not None}
        for period, dollars in told.items():
            if (
                isinstance(dollars, bool)
                or not isinstance(dollars, int | float)
                or not 0 < dollars < math.inf
            ):
                raise ValueError(
                    f"budget: {period} must be a number of US dollars above 0, not {dollars!r:.50}"
                )
        if not told:
            raise ValueError("budget: give at least one of day, week and month, in US dollars")
        self._ledger.budget = self._ledger.budget | told

    def feature(self, name: str) -> Feature:
        """Name what the calls inside are for: `with obs.ai.feature("summary"):`, or `async with`.

        It holds for the code inside and for the tasks and threads (`asyncio.to_thread`) that begin there. The
        innermost counts, as it stands when a call begins.
        """
        return Feature(name)

    def features(self, *names: str) -> None:
        """Allow these features and no others, which are `other` then.

        Further names may be allowed later. Without a list, the first 50 of a worker are kept. Raises
        ValueError for a name that is empty or longer than 200 characters.
        """
        self._ledger.features.allow(names)

    def feedback(self, task: str, result: str, model: str = "") -> None:
        """Count how an answer of AI turned out: `obs.ai.feedback("fraud", "fp")`.

        `result` is tp, fp, tn or fn: right to say yes, false alarm, right to say no, missed. `model` may say
        which model it was. Of tasks, the first 50 of a worker are kept. Another result raises nothing: it is
        left out and counted in `ai_instrumentation_errors_total{stage="feedback"}`.
        """
        self._ledger.feedback(task, result, model)

    def log_calls(self, wanted: bool = True) -> None:
        """Write one line a call to the logger `watchkeeper.ai`, as it is at first, or none.

        Its level is INFO; where the logger is not enabled for that, the line costs nothing.
        """
        self._ledger.logs_calls = wanted

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
        feature: str = "",
        error: str = OTHER,
    ) -> None:
        """Record one logical call that the hook cannot see: over gRPC, a WebSocket or boto3.

        `outcome` is success, error or cancelled; with error, `error` names one of `CATEGORIES`. `tokens`
        gives numbers by `TOKEN_TYPES`, which are disjoint: cached input is not part of `input_uncached`,
        reasoning is not part of `output_text`. `cost_usd` is in US dollars; without it the price is looked up
        as for any call, and where none is known the call is counted as unpriced. `feature` is that of the
        `with obs.ai.feature(...)` around, unless given; of model names, the first hundred of a worker are
        kept and the rest is `other`.
        """
        ledger = self._ledger
        ledger.finished(
            Call(
                provider=provider,
                model=model,
                operation=operation,
                outcome=outcome,
                category=error,
                duration=duration_seconds,
                tokens=tokens,
                feature=feature or FEATURE.get(),
                cost_usd=cost_usd,
                context=_call_log.context() if ledger.logs_calls else None,
            )
        )
