"""The hook itself: it sees every call as one, and the application reads what it would read without it."""

import asyncio
import gc
import json
import os
import threading
import weakref

import httpx
import openai
import pytest

from exporter.instrument.ai import _attempts, _replies, _tee
from exporter.testing import Gate
from tests.exporter.instrument.ai.driving import ASK, QUICK

CHAT = ("openai", ASK["model"], "chat")


def test_the_first_chunk_reaches_the_caller_when_it_arrives(watched, sync):
    """The second part is not even sent before the caller has the first; until the end it is under way."""
    gate = Gate()
    watched.fake.say(gate=gate)

    async def case(sdk):
        stream = await sdk.do(sdk.openai.chat.completions.create(**ASK, stream=True))
        chunks = sdk.each(stream)
        first = await anext(chunks)
        assert first.choices[0].delta.content == "Hello"
        assert watched.samples("ai_api_calls_in_progress") == {("openai",): 1}
        assert watched.seen["calls"] == {}
        gate.open()
        return len([chunk async for chunk in chunks])

    assert watched.run(case, sync=sync) == 5
    assert watched.seen["calls"] == {(*CHAT, "success"): 1}
    assert watched.samples("ai_api_time_to_first_chunk_seconds_count") == {CHAT[:2]: 1}


def test_a_cancelled_task_is_a_cancelled_call(watched):
    """Neither success nor error: the application gave up, while waiting for the head or within a stream."""
    whole, streamed = Gate(), Gate()

    async def case(sdk):
        watched.fake.say(gate=whole)
        watched.fake.say(gate=streamed)
        asking = asyncio.ensure_future(sdk.openai.chat.completions.create(**ASK))
        await asyncio.to_thread(whole.reached.wait)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        stream = await sdk.openai.chat.completions.create(**ASK, stream=True)
        reading = asyncio.ensure_future(sdk.all(stream))
        await asyncio.to_thread(streamed.reached.wait)
        await asyncio.sleep(0)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        whole.open()
        streamed.open()

    watched.run(case, sync=False)
    seen = watched.seen
    assert seen["calls"] == {(*CHAT, "cancelled"): 2}
    assert seen["attempts"] == {"cancelled": 1, "200": 1}
    assert (seen["in_progress"], seen["errors"], seen["failures"]) == ({}, {}, {})


def test_many_calls_at_once_are_told_apart(watched):
    """Each attempt belongs to the call that made it, whatever runs beside it."""
    watched.fake.fail(429, times=5, headers={"retry-after-ms": "1"})

    async def case(sdk):
        async def one(number):
            kind = ASK | {"model": f"m{number % 3}"}
            if number % 2:
                await sdk.all(await sdk.openai.chat.completions.create(**kind, stream=True))
            else:
                await sdk.openai.chat.completions.create(**kind)

        await asyncio.gather(*(one(number) for number in range(30)))

    watched.run(case, sync=False, max_retries=5)
    assert watched.samples("ai_api_calls_total") == {
        ("openai", f"m{n}", "chat", "success"): 10 for n in range(3)
    }
    assert watched.seen["attempts"] == {"200": 30, "429": 5}
    assert watched.seen["tokens"] == dict(watched.fake.told)
    assert watched.seen["in_progress"] == {}


def test_threads_share_one_client(watched):
    """Sync clients are used from thread pools; nothing is lost or mixed up."""

    async def case(sdk):
        def work():
            for _ in range(10):
                sdk.openai.chat.completions.create(**ASK)

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    watched.run(case, sync=True)
    assert watched.seen["calls"] == {(*CHAT, "success"): 40}
    assert watched.seen["tokens"] == dict(watched.fake.told)


def test_a_logical_call_takes_as_long_as_its_attempts(watched):
    """Retries and the waits between them are inside of a call's duration, and it counts once."""
    watched.fake.fail(429, times=2, headers={"retry-after-ms": "60"})
    watched.run(lambda sdk: sdk.do(sdk.openai.chat.completions.create(**ASK)), sync=True)
    assert watched.samples("ai_api_call_duration_seconds_count") == {CHAT: 1}
    assert watched.samples("ai_api_call_duration_seconds_sum")[CHAT] >= 0.12


def test_plain_httpx_is_counted_like_an_sdk(watched):
    """Whoever speaks the wire format by hand is seen as well, and each attempt is a call."""
    url = f"{watched.fake.openai_url}/chat/completions"
    with httpx.Client(trust_env=False) as client:
        assert client.post(url, json=ASK).json()["usage"]["total_tokens"] == 19
        with client.stream("POST", url, json=ASK | {"stream": True}) as reply:
            assert "data: [DONE]" in list(reply.iter_lines())
        assert client.post(f"{watched.fake.openai_url}/files", json={}).status_code == 404
        assert client.get(watched.fake.url).status_code == 200
    assert watched.seen["calls"] == {(*CHAT, "success"): 2}
    assert watched.seen["tokens"] == dict(watched.fake.told)
    assert watched.seen["unpriced"] == {"no_price": 1, "no_usage": 1}


def test_an_sdk_call_ends_where_it_ends(watched, sync):
    """What the application does next, in the same task, belongs to no call any more."""

    async def case(sdk):
        await sdk.do(sdk.openai.chat.completions.create(**ASK))
        with httpx.Client(trust_env=False) as client:
            client.post(f"{watched.fake.openai_url}/embeddings", json={"model": "e"})

    watched.run(case, sync=sync)
    assert watched.seen["calls"] == {(*CHAT, "success"): 1, ("openai", "e", "embeddings", "success"): 1}


def test_an_answer_that_the_sdk_does_not_understand_is_an_error(watched):
    """The caller has an exception, so it was no success; what it cost, nobody told."""

    def answer(request):
        return httpx.Response(200, headers={"content-type": "application/json"}, content=b"{broken")

    with httpx.Client(transport=httpx.MockTransport(answer)) as transport:
        client = openai.OpenAI(api_key="x", http_client=transport, max_retries=0)
        with pytest.raises(ValueError, match="Expecting"):
            client.chat.completions.create(**ASK)
    assert watched.seen["calls"] == {(*CHAT, "error"): 1}
    assert (watched.seen["errors"], watched.seen["unpriced"]) == ({"other": 1}, {"no_usage": 1})
    assert watched.seen["failures"] == {"reply": 1}


READINGS = ["bytes", "bytes_of_7", "text", "lines", "raw", "raw_of_7", "read"]


@pytest.mark.parametrize("reading", READINGS)
@pytest.mark.parametrize("streamed", [False, True])
def test_the_application_reads_what_it_would_read_without_us(watched, sync, reading, streamed):
    """The same chunks in the same order, whichever way they are read; and we know as much each time."""
    body = ASK | {"stream": streamed, "stream_options": {"include_usage": True}}

    async def read():
        watched.fake.say(gzip=not reading.startswith("raw"))
        client = httpx.Client(trust_env=False) if sync else httpx.AsyncClient(trust_env=False)
        request = client.build_request("POST", f"{watched.fake.openai_url}/chat/completions", json=body)
        if sync:
            with client:
                reply = client.send(request, stream=True)
                pass_by = {"read": lambda: [reply.read()], "raw_of_7": lambda: reply.iter_raw(7)}
                pass_by["bytes_of_7"] = lambda: reply.iter_bytes(7)
                return list((pass_by.get(reading) or getattr(reply, f"iter_{reading}"))())
        async with client:
            reply = await client.send(request, stream=True)
            if reading == "read":
                return [await reply.aread()]
            chunk_size = {"chunk_size": 7} if reading.endswith("7") else {}
            chunks = getattr(reply, f"aiter_{reading.removesuffix('_of_7')}")(**chunk_size)
            return [chunk async for chunk in chunks]

    with_us = asyncio.run(read())
    assert not _attempts.LEFT
    assert watched.seen["calls"] == {(*CHAT, "success"): 1}
    assert watched.seen["tokens"] == dict(watched.fake.told)
    watched.obs.uninstrument()
    without = asyncio.run(read())
    # How the network cut it is chance; what was asked to be cut in a certain way is not.
    if reading in ("lines", "read") or reading.endswith("7"):
        assert with_us == without
    assert type(with_us[0])().join(with_us) == type(without[0])().join(without)
    assert all(with_us) or reading == "lines"


def test_a_reply_that_is_there_already_is_read_once(watched):
    """A transport for tests gives whole replies even to those who asked for a stream."""

    def answer(request):
        return httpx.Response(200, json={"model": "m", "usage": {"prompt_tokens": 3, "completion_tokens": 2}})

    with httpx.Client(transport=httpx.MockTransport(answer), base_url="https://api.openai.com/v1") as client:
        with client.stream("POST", "/chat/completions", json=ASK) as reply:
            assert reply.read()
        client.post("/chat/completions", json=ASK)
    assert watched.seen["calls"] == {(*CHAT, "success"): 2}
    assert watched.seen["tokens"] == {"input_uncached": 6, "output_text": 4}


def test_a_client_of_the_older_httpx_is_seen_in_the_newest_sdk(watched, sync):
    """Applications hand their own clients to the SDKs; both generations of them are hooked."""
    kind = httpx.Client if sync else httpx.AsyncClient

    async def case(sdk):
        client = sdk.client(
            openai, "OpenAI", base_url=watched.fake.openai_url, http_client=kind(trust_env=False)
        )
        watched.fake.fail(500, headers=QUICK)
        await sdk.do(client.chat.completions.create(**ASK))
        stream = await sdk.do(client.chat.completions.create(**ASK, stream=True))
        assert len(await sdk.all(stream)) == 6

    watched.run(case, sync=sync)
    assert watched.seen["calls"] == {(*CHAT, "success"): 2}
    assert watched.seen["attempts"] == {"200": 2, "500": 1}


def test_a_forked_child_does_not_count_the_calls_of_its_parent(watched):
    """A stream that was under way when a worker was forked ends in the parent alone."""
    with httpx.Client(trust_env=False) as client:
        request = client.build_request("POST", f"{watched.fake.openai_url}/chat/completions", json=ASK)
        reply = client.send(request, stream=True)
        parent = os.getpid
        os.getpid = lambda: parent() + 1  # a real fork would take the stand-in's threads' locks along
        try:
            reply.read()
        finally:
            os.getpid = parent
    assert watched.seen["calls"] == {}


def test_a_reply_keeps_its_class_and_its_connection(watched):
    """While it is listened to it is still httpx's response, and afterwards exactly that."""
    with httpx.Client(trust_env=False) as client:
        request = client.build_request("POST", f"{watched.fake.openai_url}/chat/completions", json=ASK)
        reply = client.send(request, stream=True)
        assert isinstance(reply, httpx.Response)
        assert type(reply).__name__ == "Response"
        reply.read()
        assert type(reply) is httpx.Response
        assert "_watchkeeper" not in vars(reply)


def test_a_response_that_is_dropped_goes_at_once(watched):
    """We add no circle of references that would keep it, and its connection, until a collection."""
    httpx2 = pytest.importorskip("httpx2")  # httpx makes such a circle itself
    gc.disable()
    try:
        with httpx2.Client(trust_env=False) as client:
            request = client.build_request("POST", f"{watched.fake.openai_url}/chat/completions", json=ASK)
            reply = client.send(request, stream=True)
            gone = weakref.ref(reply)
            del reply
            assert gone() is None
    finally:
        gc.enable()
    assert watched.seen["calls"] == {(*CHAT, "cancelled"): 1}
    assert watched.seen["in_progress"] == {}


def test_the_end_of_a_reply_is_never_counted_inside_of_the_collector(watched):
    """A collection may start while a lock of ours is held: what it closes is only noted."""
    with httpx.Client(trust_env=False) as client:
        request = client.build_request("POST", f"{watched.fake.openai_url}/chat/completions", json=ASK)
        reply = client.send(request, stream=True)
        reply.close()
    assert len(_attempts.LEFT) == 1
    assert watched.seen["calls"] == {(*CHAT, "cancelled"): 1}
    assert not _attempts.LEFT


def test_a_price_sees_the_whole_call(watched):
    """Model as answered, tier, usage in the provider's words: what prices depend on."""
    calls = []
    watched.ledger.prices.ask = lambda call, then: calls.append(call) or then(0.25)
    watched.fake.say(model="gpt-5.6-mini-2026-08-01", service_tier="flex", cached=4)
    watched.run(lambda sdk: sdk.do(sdk.openai.chat.completions.create(**ASK)), sync=True)
    (call,) = calls
    assert (call.model, call.answered_model) == ("gpt-5.6-mini", "gpt-5.6-mini-2026-08-01")
    assert (call.service_tier, call.request_id, call.status, call.batch) == ("flex", "req_1", 200, False)
    assert call.usage["prompt_tokens_details"]["cached_tokens"] == 4
    assert watched.samples("ai_cost_usd_total") == {(*CHAT[:2], "none"): 0.25}
    assert watched.seen["unpriced"] == {}


def test_a_reply_of_a_megabyte_is_not_parsed(watched, monkeypatch):
    """Of a long reply only its usage is: the vectors pass unseen."""
    body = json.dumps(
        {"object": "list", "data": [[0.0123456789] * 1536] * 60, "model": "m", "usage": {"prompt_tokens": 7}}
    ).encode()
    assert len(body) > 1_000_000
    sizes = []
    whole = json.loads
    monkeypatch.setattr(_replies.json, "loads", lambda text: sizes.append(len(text)) or whole(text))
    facts = _replies.Facts()
    _replies.read_body(body, facts)
    assert (facts.usage, facts.model) == ({"prompt_tokens": 7}, "m")
    assert sum(sizes) < 100


def test_listening_makes_no_class_twice():
    """One class for httpx's responses and one for httpx2's, not one for each reply."""
    assert _tee._watched(httpx.Response) is _tee._watched(httpx.Response)
