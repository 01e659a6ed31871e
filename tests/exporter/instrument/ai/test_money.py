"""What calls cost, and what they may cost: told when it is known, without anybody waiting for it."""

import json
import os
import signal
import threading

import genai_prices
import pytest

from exporter.instrument.ai import _prices
from exporter.instrument.ai._rates import Rates
from tests.exporter.instrument.ai.driving import ASK, TELL

GPT = ("openai", ASK["model"])
PRICES = {
    GPT[1]: {
        "input_cost_per_token": 1e-6,
        "cache_read_input_token_cost": 1e-7,
        "output_cost_per_token": 4e-6,
        "input_cost_per_token_flex": 5e-7,
        "output_cost_per_token_flex": 2e-6,
    },
    TELL["model"]: {"input_cost_per_token_batches": 1e-3, "output_cost_per_token_batches": 2e-3},
}


@pytest.fixture
def priced(watched, tmp_path):
    """An observer with a price file of its own, and the package beside it."""
    path = tmp_path / "prices.json"
    path.write_text(json.dumps(PRICES))
    watched.obs.ai.prices(path)
    watched.ledger.prices._installed = True
    return watched


@pytest.fixture
def slow(monkeypatch):
    """The package takes until the gate opens."""
    gate = threading.Event()

    def looked_up(call):
        gate.wait(10)
        return [Rates(0, {"input_uncached": 1.0, "output_text": 1.0})]

    monkeypatch.setattr(_prices, "_looked_up", looked_up)
    yield gate
    gate.set()


def ask(watched, **more):
    watched.run(lambda sdk: sdk.do(sdk.openai.chat.completions.create(**ASK | more)), sync=True)


def cost(watched):
    watched.ledger.prices.wait()
    return watched.samples("ai_cost_usd_total")


def test_a_call_costs_what_the_users_file_says(priced):
    """Cached input has its own price; the tier that answered decides, not the one that was asked for."""
    priced.fake.say(input=1000, cached=400, output=100)
    ask(priced)
    assert cost(priced) == {(*GPT, "none"): pytest.approx(600e-6 + 40e-6 + 400e-6)}
    priced.fake.say(input=1000, output=100, service_tier="flex")
    ask(priced, service_tier="auto")
    assert cost(priced) == {(*GPT, "none"): pytest.approx(1040e-6 + 700e-6)}
    assert priced.seen["unpriced"] == {}


def test_a_message_of_a_batch_costs_what_batches_cost(priced):
    """The batch itself costs nothing; its messages do when they are read, by the price of batches."""

    async def case(sdk):
        await sdk.do(sdk.anthropic.messages.batches.create(requests=[{"custom_id": "a", "params": TELL}]))
        number = f"money_{sdk.fake.url.rpartition(':')[2]}"
        await sdk.all(await sdk.do(sdk.anthropic.messages.batches.results(number)))

    for answer in priced.fake.batch_results:
        answer.model = TELL["model"]
    priced.run(case, sync=True)
    assert cost(priced) == {("anthropic", TELL["model"], "none"): pytest.approx(11e-3 + 14e-3)}


def test_a_model_that_the_file_does_not_know_costs_what_the_package_says(priced):
    """To the cent what genai-prices itself computes, cache included, and for the model that has answered."""
    priced.fake.say(model="gpt-4o-2024-08-06", input=2000, cached=1024, output=500)
    ask(priced, model="gpt-4o")
    usage = genai_prices.Usage(input_tokens=2000, cache_read_tokens=1024, output_tokens=500)
    theirs = genai_prices.calc_price(usage, model_ref="gpt-4o-2024-08-06", provider_id="openai")
    assert cost(priced) == {("openai", "gpt-4o", "none"): pytest.approx(float(theirs.total_price))}


def test_a_model_that_nobody_knows_is_unpriced_and_never_free(priced):
    """There is no series of its cost, and the calls are counted."""
    for _ in range(2):
        ask(priced, model="made-up-model-9")
    assert cost(priced) == {}
    assert "ai_cost_usd_total{" not in priced.obs.store.page().decode()
    assert priced.samples("ai_unpriced_calls_total") == {("openai", "made-up-model-9", "no_price"): 2}


def test_nobody_waits_for_a_price(priced, slow):
    """The answer, the count of calls and tokens are there while the price is still looked up."""
    ask(priced, model="slow")
    assert priced.samples("ai_api_calls_total") == {("openai", "slow", "chat", "success"): 1}
    assert priced.samples("ai_cost_usd_total") == priced.samples("ai_unpriced_calls_total") == {}
    slow.set()
    assert cost(priced) == {("openai", "slow", "none"): 19}


def test_a_price_that_comes_after_the_end_does_no_harm(priced, slow):
    """The call was made, so its cost counts, and nothing is raised in any thread."""
    ask(priced, model="slow")
    priced.obs.uninstrument()
    slow.set()
    assert cost(priced) == {("openai", "slow", "none"): 19}


def test_what_waits_when_a_worker_is_forked_counts_once(priced, slow):
    """In the parent, who made the call; the child asks for its own calls, though the lock was held."""
    record = priced.obs.ai.record
    call = {"provider": "openai", "model": "slow", "operation": "chat", "duration_seconds": 1.0}
    record(**call, tokens={"output_text": 1})
    read, write = os.pipe()
    with priced.ledger.prices._lock:
        child = os.fork()
        if child == 0:
            signal.alarm(20)  # ends it where it waits for a lock that nobody will give back
            try:
                slow.set()
                record(**call, tokens={"output_text": 5})
                priced.ledger.prices.wait()
                os.write(write, b"told")
            finally:
                os._exit(0)
    os.close(write)
    assert os.read(read, 9) == b"told"
    os.close(read)
    os.waitpid(child, 0)
    slow.set()
    assert cost(priced) == {("openai", "slow", "none"): 6}


def test_a_package_that_is_broken_is_asked_once_and_said(priced, monkeypatch, caplog):
    """An import that fails takes its time; one warning, and calls without a price from there on."""
    asked = []
    monkeypatch.setattr(_prices, "_looked_up", lambda call: asked.append(call) or 1 / 0)
    for _ in range(3):
        ask(priced, model="m")
        assert cost(priced) == {}
    assert len(asked) == 1
    assert [record.message for record in caplog.records if record.levelname == "WARNING"] == [
        "genai-prices has failed; no price for m today"
    ]
    assert priced.samples("ai_unpriced_calls_total") == {("openai", "m", "no_price"): 3}


def test_without_a_thread_there_is_no_price(priced, monkeypatch):
    """A machine out of threads, an interpreter about to end: the call is unpriced, the caller untouched."""

    def refused(thread):
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refused)
        call = {"provider": "openai", "model": "gpt-4o", "operation": "chat", "duration_seconds": 1.0}
        priced.obs.ai.record(**call, tokens={"output_text": 1})
    assert priced.samples("ai_unpriced_calls_total") == {("openai", "gpt-4o", "no_price"): 1}


def test_two_observers_have_prices_of_their_own(priced):
    """What one of them was told is no secret price of the other."""
    from tests.exporter.instrument.ai.driving import Watched

    other = Watched(priced.fake)
    try:
        ask(priced)
    finally:
        other.obs.uninstrument()
    assert list(cost(priced)) == [(*GPT, "none")]
    assert cost(other) == {}
    assert other.seen["unpriced"] == {"no_price": 1}


def test_a_bad_price_file_is_refused_at_the_start(watched, tmp_path):
    """Where it is read, with the place, and what was known before stays."""
    path = tmp_path / "prices.json"
    path.write_text('{"m": {"input_cost_per_token": "cheap"}}')
    with pytest.raises(ValueError, match=r"prices\.json: m\.input_cost_per_token: must be a number"):
        watched.obs.ai.prices(path)


def test_a_budget_is_a_gauge_by_period(watched):
    """Set once, seen at every scrape; a later word adds to it or replaces it."""
    watched.obs.ai.budget(day=5, month=100.5)
    assert watched.samples("ai_budget_usd") == {("day",): 5, ("month",): 100.5}
    watched.obs.ai.budget(day=6, week=30)
    assert watched.samples("ai_budget_usd") == {("day",): 6, ("week",): 30, ("month",): 100.5}


@pytest.mark.parametrize("bad", [0, -3, float("nan"), float("inf"), "5", True])
def test_a_budget_that_is_no_amount_is_refused(watched, bad):
    """With the period, the value, and the unit that is asked for."""
    with pytest.raises(ValueError, match="budget: week must be a number of US dollars above 0"):
        watched.obs.ai.budget(day=1, week=bad)
    assert watched.samples("ai_budget_usd") == {}
    with pytest.raises(ValueError, match="at least one of day, week and month"):
        watched.obs.ai.budget()
