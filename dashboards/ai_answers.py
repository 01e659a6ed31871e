"""Rows of the AI board: limits, retries and waiting, and how good the answers are."""

from typing import Any, Final

from dashboards.colours import alerting, falling, rising
from dashboards.layout import cell, link, row
from dashboards.panels import timeseries
from dashboards.queries import RANGE, increase, less, limit, quantile, rate, ratio, scaled, value
from dashboards.selectors import like, metric
from dashboards.tables import table
from exporter.instrument import ai

UID: Final = "watchkeeper-ai"
CHOSEN: dict[str, Any] = {"provider": like("$provider"), "model": like("$model")}
RATE_LIMITS = "threshold:ai_rate_limit_used:ratio"

_provider = like("$provider")
_checked = ("task", "model")
_right = increase(ai.FEEDBACK, *_checked, over=RANGE, result=like("tp|tn"))
_harmless = increase(ai.FEEDBACK, *_checked, over=RANGE, result=like("fp|tn"))

RELIABILITY = row(
    "Limits, retries and waiting",
    timeseries(
        "Rate limit used",
        value(ai.USED, "provider", "model", "limit", agg="max", **CHOSEN),
        limit(RATE_LIMITS, "AiRateLimitNear"),
        limit(RATE_LIMITS, "AiRateLimitReached"),
        top=1,
        note="As the last answers told. At 100 % the provider refuses calls.",
    ),
    table(
        "Rate limits",
        value(ai.USED, "provider", "model", "limit", agg="max", **CHOSEN).named("Used"),
        value(ai.REMAINING, "provider", "model", "limit", agg="min", **CHOSEN).named("Left"),
        value(ai.LIMIT, "provider", "model", "limit", agg="max", **CHOSEN).named("Limit"),
        note="The most used on top, as last told. A model's name leads to this board for it alone.",
        colours={"Used": alerting(RATE_LIMITS)},
        links={"model": link(UID, model=cell("model"))},
        width=12,
    ),
    timeseries(
        "Retries",
        scaled(
            less(
                rate(ai.ATTEMPTS, "provider", provider=_provider),
                rate(ai.CALLS, "provider", provider=_provider),
            ),
            60,
            "suffix: /min",
        ),
        note="Single requests less calls, per minute. They cost time, and some of them money.",
    ),
    timeseries(
        "Single requests by answer",
        scaled(rate(ai.ATTEMPTS, "provider", "status", provider=_provider), 60, "suffix: /min"),
        stacked=True,
        note="Per minute. 429 is a rate limit, 529 and 503 an overloaded provider.",
    ),
    timeseries(
        "Time to the first piece of an answer",
        quantile(0.5, ai.FIRST_CHUNK, "model", **CHOSEN),
        quantile(0.95, ai.FIRST_CHUNK, "model", **CHOSEN),
        note="Of streamed calls: how long a reader looks at an empty page.",
    ),
    timeseries(
        "Calls under way",
        value(ai.IN_PROGRESS, "provider", provider=_provider),
        note="A pile that grows means that answers have become slow.",
    ),
    collapsed=True,
)

QUALITY = row(
    "How good the answers are",
    table(
        "Feedback by task",
        increase(ai.FEEDBACK, *_checked, over=RANGE).named("Checked"),
        ratio(_right, increase(ai.FEEDBACK, *_checked, over=RANGE)).named("Right"),
        ratio(increase(ai.FEEDBACK, *_checked, over=RANGE, result="fp"), _harmless).named("False alarms"),
        note="Answers that somebody checked in the shown time: the share that was right, and the share of "
        "harmless cases that were flagged all the same.",
        colours={"Right": falling(0.8, 0.95), "False alarms": rising(0.02, 0.05)},
        links={"model": link(UID, model=cell("model"))},
        width=12,
    ),
    timeseries(
        "Feedback by result",
        increase(ai.FEEDBACK, "result", over="1h"),
        bars=True,
        stacked=True,
        colours={"tp": "green", "tn": "blue", "fp": "orange", "fn": "red"},
        interval="1h",
        note="Each bar is the hour before it. tp and tn were right, fp is a false alarm, fn was missed.",
    ),
    timeseries(
        "Accuracy of models",
        value(metric("business_model_accuracy_ratio"), "model", agg="max"),
        top=1,
        note="From the database: the share of the last 30 days' checked decisions that were right.",
    ),
    timeseries(
        "False positives of models",
        value(metric("business_model_false_positive_ratio"), "model", agg="max"),
        note="From the database: the share of the last 30 days' harmless cases that were flagged.",
    ),
    collapsed=True,
)
