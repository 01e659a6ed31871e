"""Calls to AI services: tokens are never invented, cost is never guessed."""

import pytest

from exporter.instrument.ai._ledger import Ledger

CALL = {"provider": "openai", "model": "m", "operation": "chat", "duration_seconds": 0.8}


def test_a_call_with_usage_and_price_is_counted_whole(observed):
    """Calls, time, tokens by disjoint type, and money by feature."""
    tokens = {"input_uncached": 100, "input_cache_read": 50, "output_text": 20}
    observed.obs.ai.record(**CALL, tokens=tokens, cost_usd=0.002, feature="summary")
    labels = {"provider": "openai", "model": "m"}
    assert observed.value("ai_api_calls_total", **labels, operation="chat", outcome="success") == 1
    assert observed.value("ai_api_call_duration_seconds_sum", **labels, operation="chat") == 0.8
    for kind, count in tokens.items():
        assert observed.value("ai_tokens_total", **labels, type=kind) == count
    assert observed.value("ai_cost_usd_total", **labels, feature="summary") == 0.002
    assert observed.value("ai_unpriced_calls_total", **labels, reason="no_price") is None


@pytest.mark.parametrize(("tokens", "reason"), [({"output_text": 1}, "no_price"), (None, "no_usage")])
def test_a_call_without_a_price_is_counted_as_such(observed, tokens, reason):
    """Unknown cost never becomes 0 in silence."""
    observed.obs.ai.record(**CALL, tokens=tokens)
    Ledger.of(observed.obs.store).prices.wait()
    assert observed.value("ai_unpriced_calls_total", provider="openai", model="m", reason=reason) == 1
    assert observed.value("ai_cost_usd_total", provider="openai", model="m", feature="none") is None


@pytest.mark.parametrize(("error", "category"), [("rate_limit", "rate_limit"), ("weird text", "other")])
def test_a_failed_call_has_its_category_from_a_closed_set(observed, error, category):
    """What is not a known category is `other`, so no message becomes a label."""
    observed.obs.ai.record(**CALL, outcome="error", error=error)
    assert observed.value("ai_api_errors_total", provider="openai", model="m", category=category) == 1
    assert observed.value("ai_unpriced_calls_total", provider="openai", model="m", reason="no_usage") is None


@pytest.mark.parametrize("tokens", [{"output_text": -1}, {"prompt_tokens": 5}])
def test_readings_that_make_no_sense_are_left_out_and_counted(observed, tokens):
    """A negative count or an unknown type raises nothing in the application."""
    observed.obs.ai.record(**CALL, tokens=tokens, cost_usd=0.0)
    assert observed.value("ai_instrumentation_errors_total", stage="tokens") == 1
    assert observed.value("ai_tokens_total", provider="openai", model="m", type="output_text") is None


def test_a_failure_of_ours_never_reaches_the_caller(observed):
    """Even a label of the wrong type is our problem: counted, not raised."""
    observed.obs.ai.record(**CALL | {"duration_seconds": "fast"}, cost_usd=0.0)
    assert observed.value("watchkeeper_instrumentation_errors_total", part="ai") == 1


@pytest.mark.parametrize(
    ("wrong", "stage"),
    [
        ({"outcome": "whatever-42"}, "outcome"),
        ({"duration_seconds": -4}, "duration"),
        ({"duration_seconds": float("nan")}, "duration"),
        ({"cost_usd": float("inf")}, "cost"),
        ({"cost_usd": -1}, "cost"),
    ],
)
def test_values_that_cannot_be_are_left_out_and_counted(observed, wrong, stage):
    """No label from outside, no negative time, no infinite bill."""
    observed.obs.ai.record(**CALL | {"tokens": {"output_text": 1}} | wrong)
    assert observed.value("ai_instrumentation_errors_total", stage=stage) == 1
    labels = {"provider": "openai", "model": "m"}
    outcome = "other" if stage == "outcome" else "success"
    assert observed.value("ai_api_calls_total", **labels, operation="chat", outcome=outcome) == 1
    seconds = observed.value("ai_api_call_duration_seconds_sum", **labels, operation="chat")
    assert seconds == (None if stage == "duration" else 0.8)
    assert observed.value("ai_cost_usd_total", **labels, feature="none") is None
