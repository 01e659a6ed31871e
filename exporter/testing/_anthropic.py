"""Anthropic's wire formats: messages, and the results of batches."""

from collections.abc import Iterator
from typing import Any

from exporter.testing._script import Answer

Json = dict[str, Any]


def message(answer: Answer, asked: Json) -> Json:
    """Return a message."""
    content: Json = {"type": "text", "text": answer.text}
    if answer.tool is not None:
        content = {"type": "tool_use", "id": "toolu_1", "name": "tool", "input": answer.tool}
    reply = _head(answer, asked) | {"content": [content], "stop_reason": "end_turn"}
    if answer.usage:
        reply["usage"] = usage(answer)
    return reply


def events(answer: Answer, asked: Json) -> Iterator[Json]:
    """Yield the events of a message. The usage of `message_delta` is cumulative, as the real one's."""
    start = _head(answer, asked)
    if answer.usage:
        start["usage"] = usage(answer) | {"output_tokens": 1}
        start["usage"].pop("output_tokens_details", None)
    yield {"type": "message_start", "message": start}
    yield {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
    yield {"type": "ping"}
    for at, word in enumerate(answer.words()):
        delta = {"type": "text_delta", "text": f" {word}" if at else word}
        yield {"type": "content_block_delta", "index": 0, "delta": delta}
    yield {"type": "content_block_stop", "index": 0}
    end: Json = {"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": None}}
    if answer.usage:
        end["usage"] = {"output_tokens": answer.output} | _details(answer)
    yield end
    yield {"type": "message_stop"}


def usage(answer: Answer) -> Json:
    """Return usage as Anthropic tells it: what was read from or written to the cache is beside the input."""
    told = {
        "input_tokens": answer.input - answer.cached - answer.cache_write,
        "cache_creation_input_tokens": answer.cache_write,
        "cache_read_input_tokens": answer.cached,
        "cache_creation": {"ephemeral_5m_input_tokens": answer.cache_write, "ephemeral_1h_input_tokens": 0},
        "output_tokens": answer.output,
        "service_tier": answer.service_tier or "standard",
    }
    return told | _details(answer)


def batch(asked: Json) -> Json:
    """Return a batch that has just been made."""
    several = len(asked.get("requests") or ())
    return {
        "id": "msgbatch_1",
        "type": "message_batch",
        "processing_status": "in_progress",
        "request_counts": {"processing": several, "succeeded": 0, "errored": 0, "canceled": 0, "expired": 0},
        "ended_at": None,
        "created_at": "2026-11-21T12:00:00Z",
        "expires_at": "2026-11-22T12:00:00Z",
        "cancel_initiated_at": None,
        "archived_at": None,
        "results_url": None,
    }


def ended_batch(number: str, base_url: str) -> Json:
    """Return a batch whose results are there."""
    return batch({}) | {
        "id": number,
        "processing_status": "ended",
        "ended_at": "2026-11-21T12:10:00Z",
        "results_url": f"{base_url}/v1/messages/batches/{number}/results",
    }


def results(answers: list[Answer]) -> Iterator[Json]:
    """Yield the results of a batch: a message for each answer, an error for one that fails."""
    for at, answer in enumerate(answers):
        if answer.status >= 400:
            result: Json = {"type": "errored", "error": error(answer)}
        else:
            result = {"type": "succeeded", "message": message(answer, {})}
        yield {"custom_id": f"request-{at}", "result": result}


def error(answer: Answer) -> Json:
    """Return an error as Anthropic words it."""
    words = {"type": answer.type or "api_error", "message": answer.message}
    return {"type": "error", "error": words, "request_id": "req_1"}


def _head(answer: Answer, asked: Json) -> Json:
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": answer.model or str(asked.get("model") or "model"),
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
    }


def _details(answer: Answer) -> Json:
    return {"output_tokens_details": {"thinking_tokens": answer.reasoning}} if answer.reasoning else {}
