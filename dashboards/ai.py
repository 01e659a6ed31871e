"""AI Usage: what it costs, what for, and whether the providers answer."""

from dashboards.ai_answers import CHOSEN, QUALITY, RELIABILITY, UID
from dashboards.colours import alerting, falling, rising
from dashboards.common import urgent_alerts
from dashboards.layout import cell, link, page, row, variable
from dashboards.panels import Json, alertlist, bargauge, heatmap, stat, timeseries
from dashboards.queries import (
    RANGE,
    average,
    heat,
    increase,
    quantile,
    rate,
    ratio,
    recorded,
    rest,
    scaled,
    spent,
    value,
    worst,
)
from dashboards.selectors import like
from dashboards.tables import table
from exporter.instrument import ai

FAILING = alerting("threshold:ai_api_failures:ratio")
SPENDING = alerting("threshold:ai_spend:ratio")
PERIODS = ("day", "week", "month")

_calls = increase(ai.CALLS, over=RANGE, **CHOSEN)
_cost = increase(ai.COST, over=RANGE, **CHOSEN)
_model_calls = increase(ai.CALLS, "model", over=RANGE, **CHOSEN)
_model_cost = increase(ai.COST, "model", over=RANGE, **CHOSEN)
_budget = {period: value(ai.BUDGET, agg="max", period=period) for period in PERIODS}
# Of all providers, as the budget is.
_pace = {
    period: recorded("period:ai_spend:ratio", "percentunit", agg="max", period=period).named(f"a {period}")
    for period in PERIODS
}
_tokens = increase(ai.TOKENS, "model", over=RANGE, **CHOSEN)

_now = row(
    "Now",
    stat(
        "Spent",
        _cost,
        "In the shown time, as far as prices are known: see the calls without a price.",
    ),
    stat("Calls", _calls, "In the shown time; retries are inside a call."),
    stat(
        "Tokens",
        increase(ai.TOKENS, over=RANGE, **CHOSEN).named("tokens", "suffix: tok"),
        "In the shown time, all types together.",
    ),
    stat(
        "Failed",
        ratio(rate(ai.CALLS, outcome="error", over="15m", **CHOSEN), rate(ai.CALLS, over="15m", **CHOSEN)),
        "Share of the calls of the last 15 minutes that ended in an error after all retries.",
        colours=FAILING,
    ),
    stat(
        "95th percentile",
        quantile(0.95, ai.DURATION, over="15m", **CHOSEN),
        "One call in twenty took longer than this in the last 15 minutes.",
        colours=rising(10, 30),
    ),
    stat(
        "Least headroom",
        rest(worst(value(ai.USED, "provider", agg="max", **CHOSEN))),
        "Share of the tightest rate limit that is left; no data while no provider tells its limits.",
        colours=falling(0.05, 0.2),
    ),
    urgent_alerts(),
    stat(
        "Budget, at this day's pace",
        _pace["day"],
        "Spent in the last 24 hours as a share of the budget for a day; no data without one.",
        colours=SPENDING,
    ),
    alertlist(family="ai_.*"),
    table(
        "Models",
        _model_cost.named("Spent"),
        _model_calls.named("Calls"),
        _tokens.named("Tokens", "suffix: tok"),
        ratio(_model_cost, _model_calls).named("Per call", "currencyUSD"),
        quantile(0.95, ai.DURATION, "model", over=RANGE, **CHOSEN).named("95th percentile"),
        note="In the shown time, the dearest model on top. Its name leads to this board for it alone.",
        links={"model": link(UID, model=cell("model"))},
        width=12,
        height=6,
    ),
)

_money = row(
    "Cost and budget",
    bargauge(
        "Budget at this pace",
        *_pace.values(),
        note="Spent in the last 24 hours, 7 days and 30 days, as a share of what was set for a day, a week "
        "and a month. No data means that no such budget is set.",
        colours=SPENDING,
        top=1,
    ),
    timeseries(
        "Spent in 24 hours",
        increase(ai.COST, over="1d").named("spent"),
        _budget["day"].named("budget for a day"),
        note="The 24 hours before each point, all providers, beside what was set for a day.",
    ),
    timeseries(
        "Cost per hour, by model",
        increase(ai.COST, "model", over="1h", **CHOSEN),
        bars=True,
        stacked=True,
        interval="1h",
        note="Each bar is the hour before it.",
    ),
    bargauge(
        "Cost by feature",
        increase(ai.COST, "feature", over=RANGE, **CHOSEN),
        note="In the shown time; the feature is what the application named when it called.",
        width=12,
    ),
)

_use = row(
    "Tokens",
    timeseries(
        "Tokens by type",
        scaled(rate(ai.TOKENS, "type", **CHOSEN), 60, "suffix: tok/min"),
        stacked=True,
        note="Output and reasoning cost several times as much as input; cached input a fraction.",
    ),
    timeseries(
        "Tokens by model",
        scaled(rate(ai.TOKENS, "model", **CHOSEN), 60, "suffix: tok/min"),
        stacked=True,
        note="Which model the work goes to.",
    ),
    timeseries(
        "Tokens in a call",
        ratio(rate(ai.TOKENS, "model", **CHOSEN), rate(ai.CALLS, "model", **CHOSEN)).named(
            "{{model}}", "suffix: tok"
        ),
        note="Prompts that grow from release to release are paid with each call.",
    ),
    timeseries(
        "Input read from the provider's cache",
        ratio(
            rate(ai.TOKENS, type="input_cache_read", **CHOSEN),
            rate(ai.TOKENS, type=like("input_.*"), **CHOSEN),
        ),
        top=1,
        note="Share of the input tokens. It falls when the beginning of a prompt changes from call to call.",
    ),
)

_answers = row(
    "Answers",
    timeseries(
        "Calls by outcome",
        scaled(rate(ai.CALLS, "outcome", **CHOSEN), 60, "suffix: /min"),
        stacked=True,
        colours={"success": "green", "error": "red", "cancelled": "yellow"},
        note="Calls per minute. Cancelled calls were given up by the application, not by the provider.",
    ),
    timeseries(
        "Errors by category",
        increase(ai.ERRORS, "provider", "category", over="5m", **CHOSEN),
        bars=True,
        interval="5m",
        note="In five minutes. A rate limit asks for fewer calls, a wrong key for a person.",
    ),
    timeseries(
        "Waiting time",
        quantile(0.5, ai.DURATION, **CHOSEN),
        quantile(0.95, ai.DURATION, **CHOSEN),
        average(ai.DURATION, **CHOSEN).named("mean"),
        note="Of whole calls, retries included.",
    ),
    timeseries(
        "Calls at once",
        spent(ai.DURATION, "model", **CHOSEN),
        note="How many ran at the same time on average. A pile means that answers have become slow.",
    ),
    heatmap("Waiting time of all calls", heat(ai.DURATION, **CHOSEN)),
    bargauge(
        "Calls without a price",
        increase(ai.UNPRICED, "model", "reason", over=RANGE, **CHOSEN),
        note="In the shown time. Their cost is missing above: give the model a price.",
        width=12,
    ),
    collapsed=True,
)


def board() -> Json:
    """Return the board."""
    return page(
        UID,
        "AI Usage",
        _now,
        _money,
        _use,
        _answers,
        RELIABILITY,
        QUALITY,
        description="Calls to AI services: cost, tokens, failures, waiting times.",
        variables=[variable("provider", ai.CALLS), variable("model", ai.CALLS)],
        since="now-24h",
        refresh="1m",
    )
