"""A stand-in for OpenAI's chat completions, for the demo and its tests.

The demo's other servers are real ones; this is the only stand-in, because the real service costs money and
needs a key. It speaks the wire format that the real `openai` SDK expects, rate limit included, and marks each
answer with the `system_fingerprint` below. The words of its answers mean nothing.
"""

import asyncio
import random
import time
import uuid
from collections.abc import Callable
from typing import Any, Literal

from fastapi import FastAPI
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from examples.serving import serve

FINGERPRINT = "fp_demo_stand_in_not_openai"
_REQUESTS_A_MINUTE = 60
_CACHE_STEP = 16  # tokens; the real service caches prompts in steps of 128 from 1024 up


class Message(BaseModel):
    """One message of a conversation."""

    role: Literal["system", "developer", "user", "assistant"]
    content: str


class Call(BaseModel):
    """What we understand of a request; other settings are accepted and ignored."""

    model: str
    messages: list[Message] = Field(min_length=1)
    stream: bool = False


class Limit:
    """So many requests a minute, and a sixth of them at once: a bucket that fills itself."""

    def __init__(self, a_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.a_minute = a_minute
        self._most = max(1.0, a_minute / 6)
        self._clock = clock
        self._left, self._at = self._most, clock()

    def take(self) -> bool:
        """Take one request out; False when the bucket is empty."""
        now = self._clock()
        self._left = min(self._most, self._left + (now - self._at) * self.a_minute / 60)
        self._at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True

    def headers(self) -> dict[str, str]:
        """Return the limit as the real service tells it."""
        return {
            "x-ratelimit-limit-requests": str(self.a_minute),
            "x-ratelimit-remaining-requests": str(int(self._left / self._most * self.a_minute)),
            "x-ratelimit-reset-requests": f"{(self._most - self._left) * 60 / self.a_minute:.3f}s",
        }


def make(
    requests_a_minute: int = _REQUESTS_A_MINUTE, median_seconds: float = 0.4, seed: int | None = None
) -> FastAPI:
    """Return the stand-in as an application."""
    app = FastAPI(title="Stand-in for an AI service")
    chance = random.Random(seed)
    limit = Limit(requests_a_minute)
    seen: set[str] = set()  # beginnings of prompts, as the real service's prompt cache

    @app.get("/health")
    async def health() -> dict[str, str]:
        return {"status": "ok"}

    @app.post("/v1/chat/completions")
    async def complete(call: Call) -> JSONResponse:
        if call.stream:
            return _error(400, "this stand-in does not stream", "invalid_request_error")
        if not limit.take():
            message = f"Rate limit reached: {limit.a_minute} requests a minute."
            headers = {"retry-after": "1", **limit.headers()}
            return _error(429, message, "rate_limit_error", code="rate_limit_exceeded", headers=headers)
        # Most answers are quick and a few take several times as long, as with the real service.
        await asyncio.sleep(median_seconds * chance.lognormvariate(0, 0.6))
        beginning = call.messages[0].content
        known = beginning in seen
        if len(seen) < 1_000:
            seen.add(beginning)
        return JSONResponse(_answer(call, chance, known), headers=limit.headers())

    return app


def _answer(call: Call, chance: random.Random, known: bool) -> dict[str, Any]:
    text = "The note is short. It says what was done."
    words, thoughts = _tokens(text) + chance.randrange(40), chance.choice((0, 0, 32, 64))
    prompt = sum(_tokens(message.content) for message in call.messages)
    cached = _tokens(call.messages[0].content) // _CACHE_STEP * _CACHE_STEP if known else 0
    return {
        "id": f"chatcmpl-{uuid.UUID(int=chance.getrandbits(128)).hex}",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": call.model,
        "system_fingerprint": FINGERPRINT,
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": text, "refusal": None},
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": {
            "prompt_tokens": prompt,
            "completion_tokens": words + thoughts,
            "total_tokens": prompt + words + thoughts,
            "prompt_tokens_details": {"cached_tokens": cached, "audio_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": thoughts, "audio_tokens": 0},
        },
    }


def _tokens(text: str) -> int:
    return max(1, len(text) // 4)  # the usual rule of thumb for English


def _error(
    status: int, message: str, kind: str, code: str | None = None, headers: dict[str, str] | None = None
) -> JSONResponse:
    body = {"error": {"message": message, "type": kind, "param": None, "code": code}}
    return JSONResponse(body, status, headers=headers)


if __name__ == "__main__":
    serve(make(), "examples.ai_server", port=8001)
