"""The AI stand-in as the real OpenAI SDK sees it, and how the demo counts what it uses."""

from types import SimpleNamespace

import openai
import pytest
from openai.types import CompletionUsage

from examples import ai_server
from examples.shop.summaries import category_of, cost_of, tokens_of
from exporter.instrument.ai import CATEGORIES
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
    assert category_of(caught.value) == "rate_limit"


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


def test_tokens_are_counted_once():
    """The four types are disjoint: they add up to what the service counted."""
    usage = CompletionUsage.model_validate(
        {
            "prompt_tokens": 100,
            "completion_tokens": 50,
            "total_tokens": 150,
            "prompt_tokens_details": {"cached_tokens": 64},
            "completion_tokens_details": {"reasoning_tokens": 30},
        }
    )
    tokens = tokens_of(usage)
    assert tokens == {
        "input_uncached": 36,
        "input_cache_read": 64,
        "output_text": 20,
        "output_reasoning": 30,
    }
    assert cost_of(tokens) == pytest.approx((36 * 0.25 + 64 * 0.025 + 50 * 2) / 1e6)


def test_a_service_without_details_is_counted_too():
    """Compatible services leave the details out; then nothing was cached and nothing reasoned."""
    usage = CompletionUsage(prompt_tokens=10, completion_tokens=5, total_tokens=15)
    assert sum(tokens_of(usage).values()) == 15


@pytest.mark.parametrize(
    ("status", "category"),
    [
        (400, "invalid_request"),
        (401, "auth"),
        (404, "not_found"),
        (429, "rate_limit"),
        (500, "provider_error"),
        (503, "overloaded"),
    ],
)
def test_errors_have_categories_of_the_catalogue(status, category):
    """Each error of the service has a category that ai_api_errors_total knows."""
    response = SimpleNamespace(status_code=status, headers={}, request=None)
    assert category_of(openai.APIStatusError("no", response=response, body=None)) == category
    assert category in CATEGORIES
