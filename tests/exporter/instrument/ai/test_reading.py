"""What replies, headers and addresses tell: usage, limits, failures, and which requests are calls at all."""

import json

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.instrument.ai import _errors, _limits, _replies
from exporter.instrument.ai._hosts import Hosts
from exporter.instrument.ai._ledger import MOST_MODELS
from exporter.instrument.ai._replies import Events, Facts, Lines, TooLongError, read_body
from exporter.instrument.ai._usage import tokens_of
from exporter.testing import Answer, _anthropic, _openai

NOW = 1_790_000_000.0


@pytest.mark.parametrize(
    ("usage", "tokens"),
    [
        ({"prompt_tokens": 10, "completion_tokens": 4}, {"input_uncached": 10, "output_text": 4}),
        (
            {"prompt_tokens": 10, "prompt_tokens_details": {"cached_tokens": 8}},
            {"input_uncached": 2, "input_cache_read": 8, "output_text": 0},
        ),
        # A details object that is null, a count that is null, a count that is no number: nothing invented.
        ({"prompt_tokens": 10, "prompt_tokens_details": None}, {"input_uncached": 10, "output_text": 0}),
        ({"input_tokens": 5, "output_tokens": None}, {"input_uncached": 5, "output_text": 0}),
        ({"input_tokens": "many", "output_tokens": True}, {"input_uncached": 0, "output_text": 0}),
        # More reasoning than output, more cache than input: never a negative count.
        (
            {"input_tokens": 1, "output_tokens": 2, "output_tokens_details": {"reasoning_tokens": 9}},
            {"input_uncached": 1, "output_text": 0, "output_reasoning": 9},
        ),
        (
            {"prompt_tokens": 1, "prompt_tokens_details": {"cached_tokens": 9}, "completion_tokens": -3},
            {"input_uncached": 0, "input_cache_read": 9, "output_text": 0},
        ),
        # Services that count reasoning beside the output say so by their total.
        (
            {
                "prompt_tokens": 10,
                "completion_tokens": 4,
                "total_tokens": 114,
                "completion_tokens_details": {"reasoning_tokens": 100},
            },
            {"input_uncached": 10, "output_text": 4, "output_reasoning": 100},
        ),
        ({"type": "duration", "seconds": 4}, None),
        ({}, None),
        (None, None),
    ],
)
def test_usage_becomes_disjoint_types(usage, tokens):
    """The sum is what was used; where the reply tells nothing there is nothing."""
    assert tokens_of(usage) == tokens


@given(
    st.integers(0, 10**6),
    st.integers(0, 10**6),
    st.integers(0, 10**6),
    st.integers(0, 10**6),
    st.integers(0, 10**6),
)
def test_both_conventions_come_out_the_same(uncached, read, written, text, reasoning):
    """OpenAI's cache inside of the input and Anthropic's beside it are the same tokens."""
    answer = Answer(
        input=uncached + read + written,
        cached=read,
        cache_write=written,
        output=text + reasoning,
        reasoning=reasoning,
    )
    for usage, anthropic in (
        (_openai.chat_usage(answer), False),
        (_openai.response_usage(answer), False),
        (_anthropic.usage(answer), True),
    ):
        tokens = tokens_of(usage, anthropic=anthropic)
        assert {kind: count for kind, count in tokens.items() if count} == answer.types()


STREAMS = {
    "chat": (_openai.chat_events, {"stream_options": {"include_usage": True}}, False),
    "responses": (_openai.response_events, {}, False),
    "messages": (_anthropic.events, {}, True),
}


@pytest.mark.parametrize("kind", STREAMS)
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@given(st.lists(st.integers(1, 400)), st.booleans())
def test_a_stream_says_the_same_however_it_is_cut(kind, end, cuts, unfinished):
    """Chunks end anywhere: in a word, in a line's end, within a character."""
    events, asked, anthropic = STREAMS[kind]
    answer = Answer(text='Über "usage": {"x": 1} \n data: [DONE] 漢字', input=90, cached=30, output=20)
    stream = "".join(
        f"event: {event.get('type')}{end}data: {json.dumps(event, ensure_ascii=False)}{end}{end}"
        for event in events(answer, asked | {"model": "m"})
    ).encode()
    if unfinished:  # no line end behind the last event
        stream = stream.rstrip()
    facts = Facts()
    reader = Events(facts)
    at = 0
    for size in [*cuts, len(stream)]:
        reader.feed(stream[at : at + size])
        at += size
    reader.end()
    assert tokens_of(facts.usage, anthropic=anthropic) == answer.types()
    assert (facts.model, facts.error, facts.complete) == ("m", None, kind != "chat")


@pytest.mark.parametrize("kind", STREAMS)
@pytest.mark.parametrize("named", [True, False])
def test_events_that_come_together_are_all_read(kind, named):
    """A network joins what was sent apart: whichever events come as one chunk, the last word is found."""
    events, asked, anthropic = STREAMS[kind]
    answer = Answer(text="one two three", input=90, cached=30, output=20)
    pieces = [
        (f"event: {event['type']}\n" if named and "type" in event else "") + f"data: {json.dumps(event)}\n\n"
        for event in events(answer, asked | {"model": "m"})
    ]
    for first in range(len(pieces)):
        facts = Facts()
        reader = Events(facts)
        for piece in (*pieces[:first], "".join(pieces[first:])):
            reader.feed(piece.encode())
        assert tokens_of(facts.usage, anthropic=anthropic) == answer.types()
        assert (facts.model, facts.complete) == ("m", kind != "chat")


@pytest.mark.parametrize("size", [10, 30_000])
@pytest.mark.parametrize(
    "beside",
    [
        {},
        {"metadata": {"usage": "billing", "usage_of": {"usage": {"input_tokens": 1}}}},
        {"tools": [{"usage": {"prompt_tokens": 1, "completion_tokens": 1}}]},
        {"service_tier": "flex", "system_fingerprint": "fp"},
    ],
)
@pytest.mark.parametrize("order", ["before", "after"])
def test_only_the_outermost_usage_counts(size, beside, order):
    """Tools, metadata and texts may have a "usage" of their own, before and behind the real one."""
    usage = {"prompt_tokens": 5, "completion_tokens": 6, "prompt_tokens_details": {"cached_tokens": 0}}
    reply = {"id": "x", "model": "m", "choices": ['"usage": {"prompt_tokens": 1} ' * (size // 10)]}
    reply |= {"usage": usage} | beside if order == "after" else beside | {"usage": usage}
    facts = Facts()
    read_body(json.dumps(reply).encode(), facts)
    assert facts.usage == usage
    assert facts.tier == beside.get("service_tier", "")


def test_a_long_reply_without_usage_has_none():
    """Nothing is searched for in vain, and nothing is found that is not there."""
    facts = Facts()
    read_body(json.dumps({"model": "m", "data": ["x" * 100] * 1000}).encode(), facts)
    assert (facts.usage, facts.model) == (None, "m")


def test_a_line_without_an_end_is_not_kept_for_ever(monkeypatch):
    """A service that never ends a line costs no memory beyond a bound."""
    monkeypatch.setattr(_replies, "MOST_BYTES", 1000)
    lines = Lines()
    with pytest.raises(TooLongError):
        for _ in range(20):
            lines.feed(b"x" * 100)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("6ms", 0.006), ("1s", 1), ("6m0s", 360), ("1h2m3.5s", 3723.5), ("12", 12), ("1d", 86400)],
)
def test_a_reset_may_be_a_duration(text, seconds):
    """OpenAI's way to say when a limit is whole again."""
    assert _limits.moment(text, NOW) == pytest.approx(NOW + seconds)


def test_a_reset_may_be_a_date():
    """Anthropic's way; what is neither is not guessed at."""
    assert _limits.moment("2026-11-21T12:00:30Z", NOW) == 1795262430
    assert [_limits.moment(text, NOW) for text in ("soon", "2026", "", None, "6m junk")] == [
        None,
        2026 + NOW,
        *[None] * 3,
    ]


def test_both_families_of_headers_become_one(watched):
    """Requests and tokens, with what is left, what is used and when it is whole again."""
    watched.fake.limit_openai(requests=(500, 300), tokens=(30_000, 30_000), reset="1m")

    async def ask(sdk):
        await sdk.do(sdk.openai.chat.completions.create(model="m", messages=[]))

    watched.run(ask, sync=True)
    watched.fake.limits.clear()
    watched.fake.limit_anthropic(input_tokens=(80_000, 20_000), requests=(50, 0))
    watched.fake.fail(429, "rate_limit_error")

    async def tell(sdk):
        with pytest.raises(Exception, match="fail"):
            await sdk.do(sdk.anthropic.messages.create(model="c", max_tokens=1, messages=[]))

    watched.run(tell, sync=True, max_retries=0)
    openai, anthropic = ("openai", "m"), ("anthropic", "c")
    assert watched.samples("ai_rate_limit_used_ratio") == {
        (*openai, "requests"): 0.4,
        (*anthropic, "input_tokens"): 0.75,
        (*anthropic, "requests"): 1,
    }
    assert watched.samples("ai_rate_limit_limit")[*openai, "requests"] == 500
    assert watched.samples("ai_rate_limit_remaining")[*anthropic, "input_tokens"] == 20_000
    resets = watched.samples("ai_rate_limit_reset_timestamp_seconds")
    assert resets[*anthropic, "input_tokens"] == 1795262430
    assert len(resets) == 4


@pytest.mark.parametrize(
    ("status", "error", "category"),
    [
        (429, {"code": "insufficient_quota"}, "quota"),
        (429, {"type": "rate_limit_error", "code": "insufficient_quota"}, "quota"),
        (429, {"type": "tokens"}, "rate_limit"),
        (402, None, "quota"),
        (403, {"type": "permission_error"}, "auth"),
        (400, {"type": "invalid_request_error", "message": "Your credit balance is too low"}, "quota"),
        (400, {"code": "content_filter"}, "content_filter"),
        (413, {"type": "request_too_large"}, "invalid_request"),
        (529, {"type": "overloaded_error"}, "overloaded"),
        (529, None, "overloaded"),
        (504, None, "timeout"),
        (502, {"message": None}, "provider_error"),
        (418, None, "other"),
    ],
)
def test_a_refusal_has_one_category(status, error, category):
    """The provider's own word before the status, and both from a closed set."""
    assert _errors.of_reply(status, error) == category


@pytest.mark.parametrize(
    ("method", "url", "route"),
    [
        ("POST", "https://api.openai.com/v1/chat/completions", ("openai", "chat")),
        ("POST", "https://eu.api.openai.com/v1/responses", ("openai", "responses")),
        ("POST", "https://api.openai.com/v1/audio/translations", ("openai", "transcription")),
        (
            "POST",
            "https://me.openai.azure.com/openai/deployments/d/embeddings?api-version=1",
            ("azure", "embeddings"),
        ),
        ("POST", "https://me.services.ai.azure.com/anthropic/v1/messages", ("azure", "chat")),
        ("POST", "https://api.anthropic.com/v1/messages?beta=true", ("anthropic", "chat")),
        ("GET", "https://api.anthropic.com/v1/messages/batches/b/results", ("anthropic", "batch_results")),
        ("POST", "http://localhost:11434/v1/chat/completions", ("ollama", "chat")),
        ("POST", "https://gate.example/a/v1/embeddings", ("gate-a", "embeddings")),
        ("POST", "https://gate.example/a/b/v1/embeddings", ("gate-b", "embeddings")),
        # Requests that use no model, and places that only look like it.
        ("POST", "https://gate.example/other/v1/embeddings", None),
        ("GET", "https://api.openai.com/v1/responses/resp_1", None),
        ("POST", "https://api.openai.com/v1/responses/input_tokens", None),
        ("POST", "https://api.openai.com/v1/threads/t/messages", None),
        ("POST", "https://api.anthropic.com/v1/messages/count_tokens", None),
        ("GET", "https://api.anthropic.com/v1/messages/batches/b", None),
        ("POST", "https://evil-api.openai.com.example/v1/chat/completions", None),
        ("POST", "http://localhost:11435/v1/chat/completions", None),
        ("POST", "https://example.org/v1/chat/completions", None),
    ],
)
def test_a_call_is_known_by_host_and_path(method, url, route):
    """The allow-list and the registered base URLs; the rest of an application's requests is not ours."""
    hosts = Hosts()
    hosts.register("http://LOCALHOST:11434/v1/", "ollama")
    hosts.register("https://gate.example:443/a", "gate-a")
    hosts.register("https://gate.example/a/b", "gate-b")
    found = hosts.route(method, httpx.URL(url))
    assert (found and (found.provider, found.operation)) == route


@pytest.mark.parametrize("url", ["localhost:11434/v1", "ftp://host/v1", "/v1", ""])
def test_an_address_that_is_none_is_refused_at_once(watched, url):
    """At the start, not by missing numbers."""
    with pytest.raises(ValueError, match="looks like http://"):
        watched.obs.ai.register_base_url(url, "mine")


def test_foreign_hosts_cost_no_memory():
    """A crawler that visits a million hosts leaves no million entries."""
    hosts = Hosts()
    for number in range(3000):
        assert hosts.route("POST", httpx.URL(f"http://h{number}.example/v1/embeddings")) is None
    assert len(hosts._known) <= 1000


def test_model_names_from_outside_make_no_series(watched):
    """The first hundred names are kept, and the rest is `other`: no visitor fills the database."""
    for number in range(MOST_MODELS + 20):
        watched.obs.ai.record(provider="p", model=f"m{number}", operation="chat", duration_seconds=1)
    names = watched.by("ai_api_calls_total", "model")
    assert len(names) == MOST_MODELS + 1
    assert names["other"] == 20
