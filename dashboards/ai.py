"""AI Usage: what it costs, what for, and whether the providers answer."""

from typing import Any

from dashboards.colours import rising
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
    scaled,
    spent,
)
from dashboards.selectors import like
from dashboards.tables import table
from exporter.instrument import ai

UID = "watchkeeper-ai"

FAILING = rising(0.02, 0.1)  # providers fail now and then, and clients try again

_chosen: dict[str, Any] = {"provider": like("$provider"), "model": like("$model")}
_calls = increase(ai.CALLS, over=RANGE, **_chosen)
_cost = increase(ai.COST, over=RANGE, **_chosen)
_model_calls = increase(ai.CALLS, "model", over=RANGE, **_chosen)
_model_cost = increase(ai.COST, "model", over=RANGE, **_chosen)
_tokens = increase(ai.TOKENS, "model", over=RANGE, **_chosen)

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
        increase(ai.TOKENS, over=RANGE, **_chosen).named("tokens", "suffix: tok"),
        "In the shown time, all types together.",
    ),
    stat(
        "Failed",
        ratio(rate(ai.CALLS, outcome="error", over="15m", **_chosen), rate(ai.CALLS, over="15m", **_chosen)),
        "Share of the calls of the last 15 minutes that ended in an error after all retries.",
        colours=FAILING,
    ),
    stat(
        "95th percentile",
        quantile(0.95, ai.DURATION, over="15m", **_chosen),
        "One call in twenty took longer than this in the last 15 minutes.",
        colours=rising(10, 30),
    ),
    urgent_alerts(),
    alertlist(family="ai.*"),
    table(
        "Models",
        _model_cost.named("Spent"),
        _model_calls.named("Calls"),
        _tokens.named("Tokens", "suffix: tok"),
        ratio(_model_cost, _model_calls).named("Per call", "currencyUSD"),
        quantile(0.95, ai.DURATION, "model", over=RANGE, **_chosen).named("95th percentile"),
        note="In the shown time, the dearest model on top. Its name leads to this board for it alone.",
        links={"model": link(UID, model=cell("model"))},
        width=12,
        height=6,
    ),
)

_money = row(
    "Cost",
    timeseries(
        "Cost per hour, by model",
        increase(ai.COST, "model", over="1h", **_chosen),
        bars=True,
        stacked=True,
        interval="1h",
        note="Each bar is the hour before it.",
    ),
    bargauge(
        "Cost by feature",
        increase(ai.COST, "feature", over=RANGE, **_chosen),
        "In the shown time; the feature is what the application named when it called.",
        width=12,
    ),
)

_use = row(
    "Tokens",
    timeseries(
        "Tokens by type",
        scaled(rate(ai.TOKENS, "type", **_chosen), 60, "suffix: tok/min"),
        stacked=True,
        note="Output and reasoning cost several times as much as input; cached input a fraction.",
    ),
    timeseries(
        "Input read from the provider's cache",
        ratio(
            rate(ai.TOKENS, type="input_cache_read", **_chosen),
            rate(ai.TOKENS, type=like("input_.*"), **_chosen),
        ),
        top=1,
        note="Share of the input tokens. It falls when the beginning of a prompt changes from call to call.",
    ),
)

_answers = row(
    "Answers",
    timeseries(
        "Calls by outcome",
        scaled(rate(ai.CALLS, "outcome", **_chosen), 60, "suffix: /min"),
        stacked=True,
        colours={"success": "green", "error": "red", "cancelled": "yellow"},
        note="Calls per minute. Cancelled calls were given up by the application, not by the provider.",
    ),
    timeseries(
        "Errors by category",
        increase(ai.ERRORS, "provider", "category", over="5m", **_chosen),
        bars=True,
        interval="5m",
        note="In five minutes. A rate limit asks for fewer calls, a wrong key for a person.",
    ),
    timeseries(
        "Waiting time",
        quantile(0.5, ai.DURATION, **_chosen),
        quantile(0.95, ai.DURATION, **_chosen),
        average(ai.DURATION, **_chosen).named("mean"),
        note="Of whole calls, retries included.",
    ),
    timeseries(
        "Calls at once",
        spent(ai.DURATION, "model", **_chosen),
        note="How many ran at the same time on average. A pile means that answers have become slow.",
    ),
    heatmap("Waiting time of all calls", heat(ai.DURATION, **_chosen)),
    bargauge(
        "Calls without a price",
        increase(ai.UNPRICED, "model", "reason", over=RANGE, **_chosen),
        "In the shown time. Their cost is missing above: give the model a price.",
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
        description="Calls to AI services: cost, tokens, failures, waiting times.",
        variables=[variable("provider", ai.CALLS), variable("model", ai.CALLS)],
        since="now-24h",
        refresh="1m",
    )
