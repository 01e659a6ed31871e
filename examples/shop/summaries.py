"""Summaries by an AI service: one call, and how its tokens and cost are recorded."""

import time
from typing import Any
from urllib.parse import urlsplit

from openai import (
    APIConnectionError,
    APIStatusError,
    APITimeoutError,
    AsyncOpenAI,
    DefaultAsyncHttpxClient,
    RateLimitError,
)
from openai.types import CompletionUsage

from examples.settings import is_loopback

MODEL = "gpt-5.6-mini"
_INSTRUCTIONS = "You summarise notes of a small software company. Answer in two sentences, no preface."
# The demo's own price, USD per million tokens; a real application takes its contract's.
_PRICE = {
    "input_uncached": 0.25,
    "input_cache_read": 0.025,
    "output_text": 2.0,
    "output_reasoning": 2.0,
}
_ANSWER_SECONDS = 10.0


class AiBusyError(Exception):
    """The AI service has no capacity for us now."""


class AiAwayError(Exception):
    """The AI service does not answer, or not sensibly."""


def open_client(base_url: str, api_key: str) -> AsyncOpenAI:
    """Return a client of the OpenAI SDK; proxies of the environment are not for this machine itself."""
    outside = not is_loopback(urlsplit(base_url).hostname)
    return AsyncOpenAI(
        base_url=base_url,
        api_key=api_key,
        timeout=_ANSWER_SECONDS,
        max_retries=1,
        http_client=DefaultAsyncHttpxClient(trust_env=outside),
    )


async def summarise(client: AsyncOpenAI, ai: Any, text: str) -> str:
    """Return a summary of `text`; `ai` is `obs.ai`, which records the call whatever becomes of it.

    Raises AiBusyError when the service is out of capacity, AiAwayError when it fails otherwise.
    """
    call: dict[str, Any] = {"provider": "openai", "model": MODEL, "operation": "chat", "feature": "summary"}
    outcome, started = "cancelled", time.perf_counter()
    try:
        completion = await client.chat.completions.create(
            model=MODEL,
            messages=[
                {"role": "system", "content": _INSTRUCTIONS},
                {"role": "user", "content": text},
            ],
        )
        outcome = "success"
        if completion.usage:
            call["tokens"] = tokens_of(completion.usage)
            call["cost_usd"] = cost_of(call["tokens"])
        return completion.choices[0].message.content or ""
    except (APIStatusError, APIConnectionError) as error:
        outcome, call["error"] = "error", category_of(error)
        raise (AiBusyError if isinstance(error, RateLimitError) else AiAwayError)(str(error)) from error
    finally:
        ai.record(outcome=outcome, duration_seconds=time.perf_counter() - started, **call)


def tokens_of(usage: CompletionUsage) -> dict[str, int]:
    """Split usage into disjoint types; OpenAI counts cached inside input, reasoning inside output."""
    cached = (usage.prompt_tokens_details and usage.prompt_tokens_details.cached_tokens) or 0
    reasoning = (usage.completion_tokens_details and usage.completion_tokens_details.reasoning_tokens) or 0
    return {
        "input_uncached": usage.prompt_tokens - cached,
        "input_cache_read": cached,
        "output_text": usage.completion_tokens - reasoning,
        "output_reasoning": reasoning,
    }


def cost_of(tokens: dict[str, int]) -> float:
    """Return the price of these tokens in USD."""
    return sum(_PRICE[kind] * count for kind, count in tokens.items()) / 1_000_000


def category_of(error: APIStatusError | APIConnectionError) -> str:
    """Return the kind of an SDK error, as `ai_api_errors_total` names it."""
    if isinstance(error, APITimeoutError):
        return "timeout"
    if isinstance(error, APIConnectionError):
        return "connection"
    known = {401: "auth", 403: "auth", 404: "not_found", 429: "rate_limit", 503: "overloaded"}
    default = "provider_error" if error.status_code >= 500 else "invalid_request"
    return known.get(error.status_code, default)
