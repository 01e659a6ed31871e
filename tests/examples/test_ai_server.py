"""The AI stand-in as the real OpenAI SDK sees it, and how the demo counts what it uses."""

import asyncio

import httpx2 as httpx
import openai
import pytest
from prometheus_client import CollectorRegistry

from examples import ai_server
from examples.shop.summaries import AiAwayError, AiBusyError, observe, summarise
from exporter import instrument
from tests.serving import serving


@pytest.fixture
def client():
    """An SDK client of a stand-in that lets twelve requests a minute through, two of them at once."""
    app = ai_server.make(requests_a_minute=12, median_seconds=0.0, seed=1)
    with (
        serving(app) as url,
        openai.OpenAI(
            base_url=f"{url}/v1",
            api_key="demo",
            max_retries=0,
            http_client=openai.DefaultHttpxClient(trust_env=False),
        ) as client,
    ):
        yield client


def ask(client: openai.OpenAI, **changes):
    messages = [
        {"role": "system", "content": "Answer briefly. " * 20},
        {"role": "user", "content": "What is new?"},
    ]
    return client.chat.completions.create(model="gpt-5.6-mini", messages=messages, **changes)


def test_an_answer_is_what_the_sdk_expects(client):
    """The SDK reads text, model and usage; the fingerprint says that this is a stand-in."""
    answer = ask(client)
    assert answer.choices[0].message.content
    assert answer.choices[0].finish_reason == "stop"
    assert answer.model == "gpt-5.6-mini"
    assert answer.system_fingerprint == "fp_demo_stand_in_not_openai"
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens


def test_a_known_beginning_is_cached(client):
    """The second call with the same instructions reads them from the prompt cache."""
    first, second = ask(client).usage, ask(client).usage
    assert first.prompt_tokens == second.prompt_tokens
    assert first.prompt_tokens_details.cached_tokens == 0
    assert 0 < second.prompt_tokens_details.cached_tokens < second.prompt_tokens


def test_too_many_calls_are_rate_limited(client):
    """Beyond the limit the SDK raises its RateLimitError; limit and remainder are in the headers."""
    raw = client.chat.completions.with_raw_response.create(
        model="m", messages=[{"role": "user", "content": "one"}]
    )
    assert raw.headers["x-ratelimit-limit-requests"] == "12"
    assert 0 < int(raw.headers["x-ratelimit-remaining-requests"]) < 12
    with pytest.raises(openai.RateLimitError) as caught:
        for _ in range(5):
            ask(client)
    assert caught.value.response.headers["x-ratelimit-remaining-requests"] == "0"
    assert caught.value.response.headers["retry-after"] == "1"


def test_the_limit_refills():
    """A bucket is full after a minute at the latest, and never more than full."""
    now = [0.0]
    limit = ai_server.Limit(60, clock=lambda: now[0])
    assert [limit.take() for _ in range(11)] == [True] * 10 + [False]
    now[0] += 2
    assert [limit.take() for _ in range(3)] == [True, True, False]
    now[0] += 3600
    assert sum(limit.take() for _ in range(20)) == 10


def test_what_it_cannot_do_is_refused(client):
    """Streaming is no silent nonsense but the SDK's BadRequestError."""
    with pytest.raises(openai.BadRequestError, match="does not stream"):
        ask(client, stream=True)


@pytest.mark.parametrize("status", [400, 429, 503])
def test_the_demo_says_whether_to_come_again(status):
    """Out of capacity is another thing than out of order, and both are the demo's own errors."""
    error = AiBusyError if status == 429 else AiAwayError

    async def answer(request):
        return httpx.Response(status, json={"error": {"message": "no"}})

    async def run():
        http = openai.DefaultAsyncHttpxClient(transport=httpx.MockTransport(answer))
        async with openai.AsyncOpenAI(api_key="x", max_retries=0, http_client=http) as client:
            await summarise(client, instrument(registry=CollectorRegistry(), ai=False).ai, "text")

    with pytest.raises(error):
        asyncio.run(run())


def test_the_demos_own_prices_are_used(client):
    """Calls through the SDK are counted by themselves, with cost by the demo's table and its feature."""
    registry = CollectorRegistry()
    obs = instrument(registry=registry)
    try:
        observe(obs.ai, str(client.base_url))
        with obs.ai.feature("summary"):
            usage = ask(client).usage
    finally:
        obs.uninstrument()
    spent = registry.get_sample_value(
        "ai_cost_usd_total", {"provider": "openai", "model": "gpt-5.6-mini", "feature": "summary"}
    )
    assert spent == pytest.approx(usage.prompt_tokens * 0.25e-6 + usage.completion_tokens * 2e-6)
