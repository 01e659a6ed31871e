"""Replies of OpenAI's wire format without a network, for the SDK's own client."""

import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

from exporter.testing import Answer, _openai

ASK = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hello?"}]}
STREAM = {**ASK, "stream": True, "stream_options": {"include_usage": True}}
# What the real service sends along and what everybody may read.
HEADERS = {
    "openai-organization": "org",
    "openai-processing-ms": "812",
    "openai-version": "2020-10-01",
    "x-ratelimit-limit-requests": "10000",
    "x-ratelimit-limit-tokens": "2000000",
    "x-ratelimit-remaining-requests": "9999",
    "x-ratelimit-remaining-tokens": "1999000",
    "x-ratelimit-reset-requests": "6ms",
    "x-ratelimit-reset-tokens": "30ms",
    "x-request-id": "req_0123456789abcdef",
    "cf-ray": "8f0",
}


def _pieces(answer: Answer, asked: Any) -> tuple[str, list[bytes]]:
    if not asked.get("stream"):
        return "application/json", [json.dumps(_openai.chat(answer, asked)).encode()]
    events = [f"data: {json.dumps(event)}\n\n".encode() for event in _openai.chat_events(answer, asked)]
    return "text/event-stream; charset=utf-8", [*events, b"data: [DONE]\n\n"]


def transport(module: Any, asked: Any, words: int) -> tuple[Any, Any]:
    """Return a sync and an async transport that always give the same reply.

    `module` is the httpx of the SDK; `words` is the number of chunks that a stream's text comes in.
    """
    answer = Answer(text="word " * words, input=2000, cached=1536, output=300, reasoning=60)
    kind, pieces = _pieces(answer, asked)
    headers = {**HEADERS, "content-type": kind}

    class Pieces(module.SyncByteStream, module.AsyncByteStream):
        def __iter__(self) -> Iterator[bytes]:
            yield from pieces

        async def __aiter__(self) -> AsyncIterator[bytes]:
            for piece in pieces:
                yield piece

    class Sync(module.BaseTransport):
        def handle_request(self, request: Any) -> Any:
            return module.Response(200, headers=headers, stream=Pieces(), request=request)

    class Async(module.AsyncBaseTransport):
        async def handle_async_request(self, request: Any) -> Any:
            return module.Response(200, headers=headers, stream=Pieces(), request=request)

    return Sync(), Async()
