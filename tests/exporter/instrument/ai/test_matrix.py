"""Every way in which the SDKs call: what is counted is what was sent, to the token."""

import asyncio
import gc
import socket

import openai
import pytest
from pydantic import BaseModel

from tests.exporter.instrument.ai.driving import ASK, QUICK, TELL

OPENAI, ANTHROPIC = ("openai", ASK["model"]), ("anthropic", TELL["model"])
CASES = []


def case(calls=None, *, who=OPENAI, operation="chat", outcome="success", attempts=None, **expected):
    """A case: what it does, and what must be counted; without a word, the tokens are those that were sent."""
    calls = {(*who, operation, outcome): 1} if calls is None else calls
    expected |= {"calls": calls, "attempts": {"200": 1} if attempts is None else attempts}

    def keep(function):
        CASES.append(pytest.param(function, expected, id=function.__name__))
        return function

    return keep


@pytest.mark.parametrize(("case", "expected"), CASES)
def test_what_is_counted_is_what_was_sent(watched, sync, case, expected):
    """Calls, attempts, tokens by type, errors, and calls without a price: all of it, and nothing else."""
    told = watched.run(case, sync=sync) or watched.fake.told
    failed = expected.get("errors", {})
    answered = sum(expected["calls"].values()) - sum(failed.values())
    expected = {
        "tokens": dict(told),
        "errors": {},
        "unpriced": {"no_price" if told else "no_usage": answered} if answered else {},
        "in_progress": {},
        "failures": {},
    } | expected
    assert watched.seen == expected


class City(BaseModel):
    name: str


# --- OpenAI: chat


@case()
async def chat(sdk):
    await sdk.do(sdk.openai.chat.completions.create(**ASK))


@case()
async def chat_with_cache_and_reasoning(sdk):
    sdk.fake.say(input=2000, cached=1536, cache_write=64, output=900, reasoning=640)
    await sdk.do(sdk.openai.chat.completions.create(**ASK))


@case()
async def chat_in_gzip(sdk):
    sdk.fake.say(gzip=True, text="word " * 200)
    await sdk.do(sdk.openai.chat.completions.create(**ASK))


@case()
async def chat_stream_with_usage(sdk):
    sdk.fake.say(cached=4, reasoning=3)
    stream = await sdk.do(
        sdk.openai.chat.completions.create(**ASK, stream=True, stream_options={"include_usage": True})
    )
    assert len(await sdk.all(stream)) == 7


@case()
async def chat_stream_without_usage(sdk):
    stream = await sdk.do(sdk.openai.chat.completions.create(**ASK, stream=True))
    await sdk.all(stream)


@case()
async def chat_stream_in_gzip(sdk):
    sdk.fake.say(gzip=True)
    stream = await sdk.do(
        sdk.openai.chat.completions.create(**ASK, stream=True, stream_options={"include_usage": True})
    )
    assert len(await sdk.all(stream)) == 7


@case()
async def chat_stream_helper(sdk):
    completions = sdk.openai.chat.completions
    completions = completions if hasattr(completions, "stream") else sdk.openai.beta.chat.completions
    async with sdk.entered(completions.stream(**ASK, stream_options={"include_usage": True})) as stream:
        await sdk.all(stream)


@case()
async def chat_parse(sdk):
    sdk.fake.say(text='{"name": "Oslo"}')
    completions = sdk.openai.chat.completions
    completions = completions if hasattr(completions, "parse") else sdk.openai.beta.chat.completions
    done = await sdk.do(completions.parse(**ASK, response_format=City))
    assert done.choices[0].message.parsed.name == "Oslo"


@case()
async def chat_with_a_tool_that_talks_of_usage(sdk):
    sdk.fake.say(tool={"usage": {"prompt_tokens": 99, "total_tokens": 99}, "model": "wrong"})
    await sdk.do(sdk.openai.chat.completions.create(**ASK))


@case()
async def chat_raw_response(sdk):
    raw = await sdk.do(sdk.openai.chat.completions.with_raw_response.create(**ASK))
    assert (await sdk.do(raw.parse())).usage.total_tokens == 19


@case()
async def chat_streaming_response(sdk):
    manager = sdk.openai.chat.completions.with_streaming_response.create(**ASK)
    async with sdk.entered(manager) as reply:
        await sdk.do(reply.read())


@case()
async def chat_streaming_response_read_by_lines_of_raw_events(sdk):
    sdk.fake.say(gzip=True)
    manager = sdk.openai.chat.completions.with_streaming_response.create(
        **ASK, stream=True, stream_options={"include_usage": True}
    )
    async with sdk.entered(manager) as reply:
        lines = [line async for line in sdk.each(reply.iter_lines())]
    assert "data: [DONE]" in lines


@case()
async def chat_streaming_response_read_as_bytes_of_the_wire(sdk):
    sdk.fake.say(gzip=True)
    manager = sdk.openai.chat.completions.with_streaming_response.create(**ASK)
    async with sdk.entered(manager) as reply:
        raw = reply.http_response.iter_raw() if sdk.sync else reply.http_response.aiter_raw()
        assert b"".join(await sdk.all(raw))[:2] == b"\x1f\x8b"


@case(outcome="cancelled", unpriced={"no_usage": 1}, tokens={})
async def chat_stream_closed_early(sdk):
    stream = await sdk.do(
        sdk.openai.chat.completions.create(**ASK, stream=True, stream_options={"include_usage": True})
    )
    async for _ in sdk.each(stream):
        break
    await sdk.do(stream.close())


@case(outcome="cancelled", unpriced={"no_usage": 1}, tokens={})
async def chat_stream_never_read(sdk):
    stream = await sdk.do(sdk.openai.chat.completions.create(**ASK, stream=True))
    await sdk.do(stream.close())


@case(outcome="cancelled", unpriced={"no_usage": 1}, tokens={})
async def chat_stream_dropped(sdk):
    stream = await sdk.do(sdk.openai.chat.completions.create(**ASK, stream=True))
    await sdk.do(next(stream) if sdk.sync else anext(stream))
    del stream
    gc.collect()
    await asyncio.sleep(0)


@case(outcome="error", errors={"stream_interrupted": 1}, unpriced={"no_usage": 1})
async def chat_stream_that_breaks_off(sdk):
    sdk.fake.say(breaks_after=2)
    stream = await sdk.do(sdk.openai.chat.completions.create(**ASK, stream=True))
    with pytest.raises(Exception, match=r"(?i)connection|incomplete|peer closed"):
        await sdk.all(stream)


@case(outcome="error", errors={"provider_error": 1}, unpriced={"no_usage": 1})
async def chat_stream_with_an_error_in_the_middle(sdk):
    sdk.fake.say(error_after=2, type="server_error", message="The server had an error")
    stream = await sdk.do(sdk.openai.chat.completions.create(**ASK, stream=True))
    with pytest.raises(Exception, match="The server had an error"):
        await sdk.all(stream)


# --- OpenAI: failures


@case(attempts={"429": 1, "200": 1})
async def retry_after_a_rate_limit(sdk):
    sdk.fake.fail(429, "rate_limit_error", code="rate_limit_exceeded", headers=QUICK)
    await sdk.do(sdk.openai.chat.completions.create(**ASK))


@case(attempts={"500": 1, "200": 1})
async def retry_of_a_stream(sdk):
    sdk.fake.fail(500, headers=QUICK)
    stream = await sdk.do(
        sdk.openai.chat.completions.create(**ASK, stream=True, stream_options={"include_usage": True})
    )
    await sdk.all(stream)


@case(outcome="error", attempts={"429": 3}, errors={"rate_limit": 1})
async def rate_limited_to_the_end(sdk):
    sdk.fake.fail(429, "rate_limit_error", times=3, code="rate_limit_exceeded", headers=QUICK)
    await fails(sdk, "RateLimitError")


@case(outcome="error", attempts={"429": 3}, errors={"quota": 1})
async def quota_is_used_up(sdk):
    sdk.fake.fail(429, "insufficient_quota", times=3, code="insufficient_quota", headers=QUICK)
    await fails(sdk, "RateLimitError")


@case(outcome="error", attempts={"400": 1}, errors={"context_length": 1})
async def prompt_too_long(sdk):
    sdk.fake.fail(400, code="context_length_exceeded")
    await fails(sdk, "BadRequestError")


@case(outcome="error", attempts={"400": 1}, errors={"content_filter": 1})
async def refused_by_a_filter_while_streaming(sdk):
    sdk.fake.fail(400, code="content_filter")
    await fails(sdk, "BadRequestError", stream=True)


@case(outcome="error", attempts={"401": 1}, errors={"auth": 1})
async def wrong_key(sdk):
    sdk.fake.fail(401, code="invalid_api_key")
    await fails(sdk, "AuthenticationError")


@case({("openai", "other", "chat", "error"): 1}, attempts={"404": 1}, errors={"not_found": 1})
async def unknown_model(sdk):
    sdk.fake.fail(404, code="model_not_found")
    await fails(sdk, "NotFoundError")


@case(outcome="error", attempts={"503": 3}, errors={"overloaded": 1})
async def overloaded(sdk):
    sdk.fake.fail(503, "server_error", times=3, code="engine_overloaded", headers=QUICK)
    await fails(sdk, "InternalServerError")


@case(outcome="error", attempts={"timeout": 1}, errors={"timeout": 1})
async def no_answer_in_time(sdk):
    sdk.fake.say(silent=True)
    hurried = sdk.openai.with_options(timeout=0.05, max_retries=0)
    await fails(sdk, "APITimeoutError", client=hurried)


@case(outcome="error", attempts={"connection": 1}, errors={"connection": 1})
async def nobody_listens(sdk):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/v1"
        sdk.watched.obs.ai.register_base_url(url, "openai")
        await fails(sdk, "APIConnectionError", client=sdk.openai.with_options(base_url=url, max_retries=0))


async def fails(sdk, error, client=None, **more):
    with pytest.raises(getattr(openai, error)):
        await sdk.do((client or sdk.openai).chat.completions.create(**ASK, **more))


# --- OpenAI: the rest


@case(operation="responses")
async def responses(sdk):
    sdk.fake.say(input=100, cached=40, output=30, reasoning=10)
    await sdk.do(sdk.openai.responses.create(model=ASK["model"], input="Hello?", metadata={"usage": "none"}))


@case(operation="responses")
async def responses_stream(sdk):
    sdk.fake.say(input=100, cached=40, output=30, reasoning=10)
    await sdk.all(await sdk.do(sdk.openai.responses.create(model=ASK["model"], input="Hello?", stream=True)))


@case(operation="responses")
async def responses_stream_helper(sdk):
    async with sdk.entered(sdk.openai.responses.stream(model=ASK["model"], input="Hello?")) as stream:
        await sdk.all(stream)


@case(operation="responses")
async def responses_parse(sdk):
    sdk.fake.say(text='{"name": "Oslo"}')
    await sdk.do(sdk.openai.responses.parse(model=ASK["model"], input="?", text_format=City))


@case(operation="responses", outcome="error", errors={"rate_limit": 1}, unpriced={"no_usage": 1}, tokens={})
async def responses_stream_that_fails(sdk):
    sdk.fake.say(type="failed", code="rate_limit_exceeded", usage=False)
    await sdk.all(await sdk.do(sdk.openai.responses.create(model=ASK["model"], input="Hello?", stream=True)))


@case({("openai", "text-embedding-3-small", "embeddings", "success"): 1})
async def embeddings(sdk):
    await sdk.do(sdk.openai.embeddings.create(model="text-embedding-3-small", input=["a", "b"]))


@case({("openai", "text-embedding-3-small", "embeddings", "success"): 1})
async def embeddings_of_a_megabyte(sdk):
    sdk.fake.say(numbers=1536, input=7000)
    many = ["a"] * 60
    await sdk.do(
        sdk.openai.embeddings.create(model="text-embedding-3-small", input=many, encoding_format="float")
    )


@case({("openai", "gpt-image-2", "images", "success"): 1})
async def images(sdk):
    await sdk.do(sdk.openai.images.generate(model="gpt-image-2", prompt="a cat"))


@case({("openai", "gpt-transcribe", "transcription", "success"): 1})
async def transcription_of_a_file(sdk):
    file = ("a.mp3", b"\xff\xfb" + bytes(500))
    await sdk.do(sdk.openai.audio.transcriptions.create(model="gpt-transcribe", file=file))


@case({("openai", "tts-2", "speech", "success"): 1})
async def speech(sdk):
    await sdk.do(sdk.openai.audio.speech.create(model="tts-2", voice="alloy", input="Hello"))


@case({}, attempts={}, unpriced={}, tokens={})
async def a_list_of_models_is_no_call(sdk):
    await sdk.do(sdk.openai.models.list())


@case({("azure", "my-deployment", "chat", "success"): 1})
async def azure_chat(sdk):
    sdk.fake.say(model="gpt-5.6-mini-2026-08-01", cached=3)
    await sdk.do(sdk.azure.chat.completions.create(**(ASK | {"model": "my-deployment"})))


# --- Anthropic


@case(who=ANTHROPIC)
async def messages(sdk):
    sdk.fake.say(input=550, cached=400, cache_write=100, output=44)
    await sdk.do(sdk.anthropic.messages.create(**TELL))


@case(who=ANTHROPIC)
async def messages_with_thinking(sdk):
    sdk.fake.say(output=500, reasoning=320)
    await sdk.do(sdk.anthropic.messages.create(**TELL))


@case(who=ANTHROPIC)
async def messages_with_a_tool_that_talks_of_usage(sdk):
    sdk.fake.say(tool={"usage": {"input_tokens": 99}, "pad": "x" * 20_000, "model": "wrong"})
    await sdk.do(sdk.anthropic.messages.create(**TELL))


@case(who=ANTHROPIC)
async def messages_stream(sdk):
    sdk.fake.say(input=550, cached=400, cache_write=100, output=44, reasoning=12)
    await sdk.all(await sdk.do(sdk.anthropic.messages.create(**TELL, stream=True)))


@case(who=ANTHROPIC)
async def messages_stream_helper(sdk):
    async with sdk.entered(sdk.anthropic.messages.stream(**TELL)) as stream:
        assert "".join(await sdk.all(stream.text_stream)) == "Hello there, how are you?"


@case(who=ANTHROPIC)
async def messages_raw_response(sdk):
    await sdk.do(sdk.anthropic.messages.with_raw_response.create(**TELL))


@case(
    who=ANTHROPIC,
    outcome="cancelled",
    tokens={"input_uncached": 12, "output_text": 1},
    unpriced={"partial_usage": 1},
)
async def messages_stream_closed_early(sdk):
    stream = await sdk.do(sdk.anthropic.messages.create(**TELL, stream=True))
    async for _ in sdk.each(stream):
        break
    await sdk.do(stream.close())


@case(
    who=ANTHROPIC,
    outcome="error",
    errors={"overloaded": 1},
    tokens={"input_uncached": 12, "output_text": 1},
    unpriced={"partial_usage": 1},
)
async def messages_stream_with_an_error_in_the_middle(sdk):
    sdk.fake.say(error_after=3, type="overloaded_error", message="Overloaded")
    with pytest.raises(Exception, match="Overloaded"):
        await sdk.all(await sdk.do(sdk.anthropic.messages.create(**TELL, stream=True)))


@case(who=ANTHROPIC, attempts={"529": 1, "200": 1})
async def messages_after_an_overload(sdk):
    sdk.fake.fail(529, "overloaded_error", headers=QUICK)
    await sdk.do(sdk.anthropic.messages.create(**TELL))


@case(who=ANTHROPIC, outcome="error", attempts={"529": 3}, errors={"overloaded": 1})
async def messages_overloaded_to_the_end(sdk):
    sdk.fake.fail(529, "overloaded_error", times=3, headers=QUICK)
    with pytest.raises(Exception, match="told to fail"):
        await sdk.do(sdk.anthropic.messages.create(**TELL))


@case(who=ANTHROPIC, outcome="error", attempts={"400": 1}, errors={"context_length": 1})
async def messages_too_long(sdk):
    sdk.fake.fail(400, "invalid_request_error", message="prompt is too long: 210000 tokens > 200000 maximum")
    with pytest.raises(Exception, match="too long"):
        await sdk.do(sdk.anthropic.messages.create(**TELL))


@case({("anthropic", "none", "batch", "success"): 1}, unpriced={}, tokens={})
async def batch_made(sdk):
    request = {"custom_id": "a", "params": TELL}
    await sdk.do(sdk.anthropic.messages.batches.create(requests=[request]))


@case(
    {("anthropic", "none", "batch_results", "success"): 2},
    attempts={"200": 2},
    unpriced={"no_price": 2},
)
async def batch_results_read_twice_count_once(sdk):
    number = f"batch_{sdk.fake.url.rpartition(':')[2]}_{sdk.sync}"
    for _ in range(2):
        results = await sdk.do(sdk.anthropic.messages.batches.results(number))
        assert len(await sdk.all(results)) == 2
    return {"input_uncached": 11, "output_text": 7}
