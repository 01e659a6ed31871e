"""Whatever fails inside of the hook: the application does not notice, and we count it."""

import openai
import pytest

from exporter.instrument.ai import _attempts, _hook, _ledger, _replies
from tests.exporter.instrument.ai.driving import ASK, TELL

FAULTS = [
    (_hook.HOSTS, "route", "request"),
    (_attempts.Running, "attempt", "request"),
    (_attempts, "model_asked_for", "request"),
    (_attempts.Attempt, "answered", "response"),
    (_hook, "watch", "response"),
    (_attempts.Running, "returned", "call"),
    (_attempts.Running, "call", "finish"),
    (_attempts.Running, "attempt_done", "finish"),
    (_replies.Body, "end", "reply"),
    (_replies.Events, "feed", "reply"),
    (_replies.Events, "_data", "reply"),
    (_ledger.Ledger, "began", "request"),
    (_ledger.Ledger, "attempted", "response"),
    (_ledger.Ledger, "limits", "response"),
    (_ledger.Ledger, "ended", "finish"),
    (_ledger.Ledger, "finished", "finish"),
]


@pytest.mark.parametrize(
    ("owner", "name", "stage"), FAULTS, ids=lambda value: getattr(value, "__name__", None)
)
def test_a_fault_of_ours_is_counted_and_never_raised(watched, sync, monkeypatch, owner, name, stage):
    """Whichever part of the hook fails: the application has its answers, whole."""

    def fault(*args, **kwargs):
        raise RuntimeError("ours")

    monkeypatch.setattr(owner, name, fault)
    used = []

    async def case(sdk):
        done = await sdk.do(sdk.openai.chat.completions.create(**ASK))
        used.append(done.usage.total_tokens)
        stream = await sdk.do(sdk.openai.chat.completions.create(**ASK, stream=True))
        used.append("".join([c.choices[0].delta.content or "" async for c in sdk.each(stream)]))
        used.append((await sdk.do(sdk.anthropic.messages.create(**TELL))).usage.output_tokens)
        watched.fake.fail(400)
        with pytest.raises(openai.BadRequestError):
            await sdk.do(sdk.openai.chat.completions.create(**ASK))

    watched.run(case, sync=sync)
    assert used == [19, "Hello there, how are you?", 7]
    assert set(watched.seen["failures"]) == {stage}


def test_a_fault_at_the_error_of_a_request_hides_nothing(watched, sync, monkeypatch):
    """The application sees its own exception, not ours."""
    monkeypatch.setattr(_attempts.Attempt, "raised", lambda *_: 1 / 0)
    monkeypatch.setattr(_attempts.Running, "raised", lambda *_: 1 / 0)
    watched.fake.say(silent=True)

    async def case(sdk):
        with pytest.raises(openai.APITimeoutError):
            await sdk.do(sdk.openai.with_options(timeout=0.05, max_retries=0).chat.completions.create(**ASK))

    watched.run(case, sync=sync)
    assert set(watched.seen["failures"]) == {"error", "call"}


def test_a_broken_price_is_a_call_without_a_price(watched):
    """What computes money may fail; what it fails for is counted."""
    watched.ledger.prices.ask = lambda call, then: 1 / 0
    watched.run(lambda sdk: sdk.do(sdk.openai.chat.completions.create(**ASK)), sync=True)
    assert watched.seen["unpriced"] == {"no_price": 1}
    assert watched.seen["failures"] == {"price": 1}
