"""What a call costs: as the tables say, to the cent; unknown is never zero."""

import json
import os
import threading
from datetime import UTC, datetime

import genai_prices
import pytest
from genai_prices.data_snapshot import get_snapshot

from exporter.instrument.ai import _price_file, _prices
from exporter.instrument.ai._calls import Call
from exporter.instrument.ai._prices import Prices
from exporter.instrument.ai._rates import Rates, cost

TOKENS = {
    "input_uncached": 1000,
    "input_cache_read": 400,
    "input_cache_write": 50,
    "output_text": 200,
    "output_reasoning": 70,
}
TABLE = {
    "gpt-x": {
        "litellm_provider": "openai",
        "input_cost_per_token": 2e-6,
        "cache_read_input_token_cost": 0.5e-6,
        "output_cost_per_token": 8e-6,
        "input_cost_per_token_above_272k_tokens": 4e-6,
        "output_cost_per_token_above_272k_tokens": 12e-6,
        "input_cost_per_token_flex": 1e-6,
        "output_cost_per_token_flex": 4e-6,
        "input_cost_per_token_batches": 1e-6,
        "output_cost_per_token_batches": 4e-6,
    },
    "azure/gpt-x": {"input_cost_per_token": 3e-6, "output_cost_per_token": 9e-6},
}


def call(model="gpt-x", provider="openai", tokens=None, **more):
    return Call(
        provider, model, "chat", tokens={"input_uncached": 1000} if tokens is None else tokens, **more
    )


def told(prices, asked):
    """The answer, also one that comes later."""
    answers = []
    prices.ask(asked, answers.append)
    prices.wait()
    (answer,) = answers
    return answer


@pytest.mark.parametrize(
    ("asked", "dollars"),
    [
        (call(), 0.002),
        (call("gpt-x-2026-01-31"), 0.002),
        (call("mine", answered_model="gpt-x-20260131"), 0.002),
        (call(tokens={"input_uncached": 10, "input_cache_read": 20, "output_text": 3}), 54e-6),
        (call(tokens={"output_reasoning": 5, "output_text": 3}), 64e-6),
        (call(tokens={"input_uncached": 272_000, "output_text": 1}), 0.544008),
        (call(tokens={"input_uncached": 272_001, "output_text": 1}), 1.088016),
        (call(service_tier="flex"), 0.001),
        (call(service_tier="default"), 0.002),
        (call(batch=True), 0.001),
        (call(provider="azure"), 0.003),
        (call(service_tier="priority"), None),
        (call("gpt-z"), None),
        (call(provider="anthropic"), None),
        (call(tokens={"input_uncached": 1, "input_cache_write": 1}), None),
        (call(usage={"prompt_tokens_details": {"audio_tokens": 2}}), None),
    ],
)
def test_the_users_own_table_decides(asked, dollars):
    """By name, dated name or provider; with tiers, marks and cache rates; what it does not say is unknown."""
    prices = Prices(TABLE)
    prices._installed = False
    assert told(prices, asked) == (dollars if dollars is None else pytest.approx(dollars))


def test_a_long_cache_write_has_its_own_price():
    """Anthropic writes caches for five minutes or an hour, and says how much of which."""
    rates = [Rates(0, {"input_cache_write": 1.0, "input_cache_write_1h": 2.0})]
    usage = {"cache_creation": {"ephemeral_5m_input_tokens": 3, "ephemeral_1h_input_tokens": 4}}
    assert cost(call(tokens={"input_cache_write": 7}, usage=usage), rates) == 11.0


def test_the_table_before_the_package():
    """Who has a contract knows better than any list."""
    prices = Prices({"gpt-5": {"input_cost_per_token": 1.0}})
    assert told(prices, call("gpt-5")) == 1000


@pytest.mark.parametrize("provider", ["openai", "anthropic"])
def test_the_packages_models_cost_what_the_package_says(provider):
    """For every model, plain and in bulk, our sum of floats is its sum of decimals."""
    prices, compared = Prices(), 0
    (models,) = (each.models for each in get_snapshot().providers if each.id == provider)
    for model in models:
        for factor in (1, 400):
            tokens = {kind: count * factor for kind, count in TOKENS.items()}
            known = vars(model.get_prices(datetime.now(UTC)))
            if known.get("cache_read_mtok") is None:
                tokens.pop("input_cache_read")
            if known.get("cache_write_mtok") is None:
                tokens.pop("input_cache_write")
            if known.get("input_mtok") is None or known.get("output_mtok") is None:
                continue
            usage = genai_prices.Usage(
                input_tokens=sum(n for kind, n in tokens.items() if kind.startswith("input")),
                cache_read_tokens=tokens.get("input_cache_read", 0),
                cache_write_tokens=tokens.get("input_cache_write", 0),
                output_tokens=tokens["output_text"] + tokens["output_reasoning"],
            )
            try:
                theirs = genai_prices.calc_price(usage, model_ref=model.id, provider_id=provider)
            except LookupError:  # a family of names, not a name
                assert told(prices, call(model.id, provider, tokens)) is None
                continue
            assert told(prices, call(model.id, provider, tokens)) == pytest.approx(float(theirs.total_price))
            compared += 1
    assert compared > 20


def test_a_tier_that_the_package_does_not_know_has_no_price():
    """The ordinary price for it would be an invention."""
    prices = Prices()
    batch = told(prices, call("claude-opus-5", "anthropic", batch=True))
    assert batch == pytest.approx(told(prices, call("claude-opus-5", "anthropic")) / 2)
    assert told(prices, call("claude-opus-5", "anthropic", service_tier="priority")) is None


def test_the_first_call_of_a_model_does_not_wait(monkeypatch):
    """The package takes half a second to import; the answer comes from a thread of ours."""
    gate, threads = threading.Event(), []

    def slow(call):
        gate.wait(10)
        threads.append(threading.current_thread().name)
        return [Rates(0, {"input_uncached": 1.0})]

    monkeypatch.setattr(_prices, "_looked_up", slow)
    prices, answers = Prices(), []
    prices.ask(call("new"), answers.append)
    assert answers == []
    gate.set()
    prices.wait()
    prices.ask(call("new"), answers.append)
    assert (answers, threads) == ([1000.0, 1000.0], ["watchkeeper prices"])


def test_calls_that_wait_do_not_fill_the_memory(monkeypatch):
    """A look-up that hangs keeps a thousand calls; those beyond are without a price, at once."""
    gate, answers = threading.Event(), []
    monkeypatch.setattr(_prices, "_looked_up", lambda call: gate.wait(10) and [])
    prices = Prices()
    for _ in range(1500):
        prices.ask(call("new"), answers.append)
    assert 490 < len(answers) <= 500
    gate.set()
    prices.wait()
    assert answers == [None] * 1500


def test_a_forked_worker_asks_for_itself():
    """What its parent waits for is counted by the parent; the thread is not there in the child."""
    prices = Prices()
    assert told(prices, call("gpt-5")) > 0
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        prices.after_fork()
        answers = []
        prices.ask(call("gpt-4o"), answers.append)
        prices.wait()
        os.write(write, json.dumps(answers).encode())
        os._exit(0)
    os.close(write)
    assert json.loads(os.read(read, 1000))[0] > 0
    os.close(read)
    assert os.waitpid(child, 0)[1] == 0


def test_names_from_outside_do_not_fill_the_memory():
    """A visitor who may choose the model cannot make the table grow for ever."""
    prices = Prices(TABLE)
    for number in range(2500):
        prices.ask(call("gpt-x", answered_model=f"gpt-x{number}"), lambda dollars: None)
    assert len(prices._known) <= 1000


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{\n 'x': 1}", "prices.json:2: is no JSON"),
        ("[]", "prices.json: must be an object"),
        ('{"m": 1}', "prices.json: m: must be an object"),
        ('{"m": {"input_cost_per_token": "1"}}', "prices.json: m.input_cost_per_token: must be a number"),
        ('{"m": {"input_cost_per_token": -1}}', "prices.json: m.input_cost_per_token: must be a number"),
        ('{"m": {"mode": "chat"}}', "prices.json: m: names no price"),
    ],
)
def test_a_bad_file_is_told_by_its_place(tmp_path, text, problem):
    """File, line or key, and what to do."""
    path = tmp_path / "prices.json"
    path.write_text(text)
    with pytest.raises(ValueError) as error:
        _price_file.read(path)
    assert str(error.value).removeprefix(f"{tmp_path}/").startswith(problem)


def test_a_good_file_is_read(tmp_path):
    """And takes effect for models that were asked before."""
    path = tmp_path / "prices.json"
    path.write_text(json.dumps(TABLE))
    prices = Prices()
    assert told(prices, call()) is None
    prices.read(path)
    assert told(prices, call()) == pytest.approx(0.002)
    with pytest.raises(ValueError, match=r"gone\.json: cannot be read"):
        prices.read(tmp_path / "gone.json")
