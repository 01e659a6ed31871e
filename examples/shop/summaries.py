"""Summaries by an AI service: one call through its SDK, which is counted by itself."""

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from openai import APIConnectionError, APIStatusError, AsyncOpenAI, DefaultAsyncHttpxClient, RateLimitError

from examples.settings import is_loopback

MODEL = "gpt-5.6-mini"
# The demo's own prices; a real application takes its contract's, or the package genai-prices.
PRICES = Path(__file__).parents[1] / "prices.json"
_INSTRUCTIONS = "You summarise notes of a small software company. Answer in two sentences, no preface."
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


def observe(ai: Any, base_url: str) -> None:
    """Tell `obs.ai` what it cannot know: whose service answers at this address, its prices, our budget."""
    ai.register_base_url(base_url, provider="openai")
    ai.prices(PRICES)
    ai.budget(day=1, week=6, month=20)
    ai.features("summary")


async def summarise(client: AsyncOpenAI, ai: Any, text: str) -> str:
    """Return a summary of `text`; `ai` is `obs.ai`, which is told what the call is for.

    Raises AiBusyError when the service is out of capacity, AiAwayError when it fails otherwise.
    """
    try:
        with ai.feature("summary"):
            completion = await client.chat.completions.create(
                model=MODEL,
                messages=[
                    {"role": "system", "content": _INSTRUCTIONS},
                    {"role": "user", "content": text},
                ],
            )
    except (APIStatusError, APIConnectionError) as error:
        raise (AiBusyError if isinstance(error, RateLimitError) else AiAwayError)(str(error)) from error
    return completion.choices[0].message.content or ""
