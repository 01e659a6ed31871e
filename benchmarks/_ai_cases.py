"""Calls of every kind through the real SDKs against the stand-in: what was made, and what a tool has seen."""

import asyncio
from collections.abc import Callable
from typing import Any

import anthropic
import openai
from pydantic import BaseModel

from benchmarks import _ai_tools
from exporter.testing import FakeAI

ASK = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hello?"}]}
STREAM = {**ASK, "stream": True, "stream_options": {"include_usage": True}}
TELL = {"model": "claude-sonnet-4-5", "max_tokens": 100, "messages": ASK["messages"]}
QUICK = {"retry-after-ms": "1", "retry-after": "0.001"}
_TOLD = ("calls", "requests", "input", "output", "apart", "cost")
_GIVEN_UP = ("stream closed early", "stream given up, async")
CASES: dict[str, Callable[["Clients"], Any]] = {}


class Clients:
    def __init__(self, fake: FakeAI) -> None:
        self.fake = fake
        common: Any = {"api_key": "none", "max_retries": 2, "timeout": 10}
        self.openai = openai.OpenAI(base_url=fake.openai_url, **common)
        self.anthropic = anthropic.Anthropic(base_url=fake.anthropic_url, **common)
        self.chat = self.openai.chat.completions
        self.asynchronous = lambda: openai.AsyncOpenAI(base_url=fake.openai_url, **common)


class City(BaseModel):
    name: str


def case(name: str) -> Callable[[Any], Any]:
    def keep(function: Any) -> Any:
        CASES[name] = function
        return function

    return keep


@case("chat")
def _(on: Clients) -> None:
    on.chat.create(**ASK)


@case("chat, cache and reasoning")
def _(on: Clients) -> None:
    on.fake.say(input=2000, cached=1536, output=300, reasoning=60)
    on.chat.create(**ASK)


@case("chat, async")
def _(on: Clients) -> None:
    async def call() -> None:
        async with on.asynchronous() as client:
            await client.chat.completions.create(**ASK)

    asyncio.run(call())


@case("chat, parsed")
def _(on: Clients) -> None:
    on.fake.say(text='{"name": "Oslo"}')
    on.chat.parse(**ASK, response_format=City)


@case("chat, raw response")
def _(on: Clients) -> None:
    on.chat.with_raw_response.create(**ASK).parse()


@case("chat, streaming response")
def _(on: Clients) -> None:
    with on.chat.with_streaming_response.create(**ASK) as reply:
        reply.read()


@case("stream with usage")
def _(on: Clients) -> None:
    list(on.chat.create(**STREAM))


@case("stream with usage, async")
def _(on: Clients) -> None:
    async def call() -> None:
        async with on.asynchronous() as client:
            async for _ in await client.chat.completions.create(**STREAM):
                pass

    asyncio.run(call())


@case("stream without usage")
def _(on: Clients) -> None:
    list(on.chat.create(**ASK, stream=True))


@case("stream helper")
def _(on: Clients) -> None:
    with on.chat.stream(**ASK, stream_options={"include_usage": True}) as stream:
        list(stream)


@case("stream closed early")
def _(on: Clients) -> None:
    stream = on.chat.create(**STREAM)
    next(iter(stream))
    stream.close()


@case("stream that breaks off")
def _(on: Clients) -> None:
    on.fake.say(breaks_after=2)
    list(on.chat.create(**ASK, stream=True))


@case("stream with an error inside")
def _(on: Clients) -> None:
    on.fake.say(error_after=2, type="server_error")
    list(on.chat.create(**ASK, stream=True))


@case("stream given up, async")
def _(on: Clients) -> None:
    async def call() -> None:
        async with on.asynchronous() as client:
            stream = await client.chat.completions.create(**STREAM)
            await anext(stream)
            await stream.close()

    asyncio.run(call())


@case("rate limit, then an answer")
def _(on: Clients) -> None:
    on.fake.fail(429, "rate_limit_error", headers=QUICK)
    on.chat.create(**ASK)


@case("rate limit to the end")
def _(on: Clients) -> None:
    on.fake.fail(429, "rate_limit_error", times=3, headers=QUICK)
    on.chat.create(**ASK)


@case("refused request")
def _(on: Clients) -> None:
    on.fake.fail(400, code="context_length_exceeded")
    on.chat.create(**ASK)


@case("time-out")
def _(on: Clients) -> None:
    on.fake.say(silent=True)
    on.openai.with_options(timeout=0.1, max_retries=0).chat.completions.create(**ASK)


@case("responses")
def _(on: Clients) -> None:
    on.fake.say(input=100, cached=40, output=30, reasoning=10)
    on.openai.responses.create(model="gpt-4o", input="Hello?")


@case("responses, stream")
def _(on: Clients) -> None:
    on.fake.say(input=100, cached=40, output=30, reasoning=10)
    list(on.openai.responses.create(model="gpt-4o", input="Hello?", stream=True))


@case("responses, stream helper")
def _(on: Clients) -> None:
    with on.openai.responses.stream(model="gpt-4o", input="Hello?") as stream:
        list(stream)


@case("embeddings")
def _(on: Clients) -> None:
    on.openai.embeddings.create(model="text-embedding-3-small", input=["a", "b"])


@case("messages, cache read and written")
def _(on: Clients) -> None:
    on.fake.say(input=550, cached=400, cache_write=100, output=44)
    on.anthropic.messages.create(**TELL)


@case("messages, stream")
def _(on: Clients) -> None:
    on.fake.say(input=550, cached=400, cache_write=100, output=44)
    list(on.anthropic.messages.create(**TELL, stream=True))


@case("messages, stream helper")
def _(on: Clients) -> None:
    with on.anthropic.messages.stream(**TELL) as stream:
        list(stream.text_stream)


@case("messages, raw response")
def _(on: Clients) -> None:
    on.anthropic.messages.with_raw_response.create(**TELL)


@case("messages, overloaded to the end")
def _(on: Clients) -> None:
    on.fake.fail(529, "overloaded_error", times=3, headers=QUICK)
    on.anthropic.messages.create(**TELL)


def run(read: _ai_tools.Read) -> dict[str, dict[str, float]]:
    """Return for every case what was sent (`true_...`) and what the tool has added to its numbers."""
    found = {}
    for name, make in CASES.items():
        with FakeAI() as fake:
            register = getattr(read, "register", None)
            if register:
                register(fake.openai_url, "openai")
                register(fake.anthropic_url, "anthropic")
            before = read()
            try:
                make(Clients(fake))
            except Exception as error:  # many cases are failures; which one is told by the SDK's class
                if not type(error).__module__.startswith(("openai", "anthropic", "httpx")):
                    raise
            after = read()
            # Of a stream that was given up, nobody on this side has heard the usage.
            told = type(fake.told)() if name in _GIVEN_UP else fake.told
            found[name] = {
                **{key: after[key] - before[key] for key in _TOLD},
                "true_calls": 1,
                "true_requests": len(fake.requests),
                "true_apart": sum(told.values()) - told["input_uncached"] - told["output_text"],
                "true_input": sum(count for kind, count in told.items() if kind.startswith("input")),
                "true_output": sum(count for kind, count in told.items() if kind.startswith("output")),
                "true_cost": told["input_uncached"] * _ai_tools.INPUT
                + told["input_cache_read"] * _ai_tools.CACHE_READ
                + told["input_cache_write"] * _ai_tools.CACHE_WRITE
                + (told["output_text"] + told["output_reasoning"]) * _ai_tools.OUTPUT,
            }
    return found
