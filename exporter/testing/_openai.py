"""OpenAI's wire formats: chat, completions, responses, embeddings, images and audio."""

import json
from collections.abc import Iterator
from typing import Any

from exporter.testing._script import Answer

Json = dict[str, Any]
_AT = 1_790_000_000


def chat(answer: Answer, asked: Json) -> Json:
    """Return a chat completion."""
    message: Json = {"role": "assistant", "content": answer.text, "refusal": None}
    if answer.tool is not None:
        call = {"name": "tool", "arguments": json.dumps(answer.tool)}
        message |= {"content": None, "tool_calls": [{"id": "call_1", "type": "function", "function": call}]}
    reply: Json = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": _AT,
        "model": _model(answer, asked),
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}],
    }
    if answer.usage:
        reply["usage"] = chat_usage(answer)
    if answer.service_tier:
        reply["service_tier"] = answer.service_tier
    return reply


def chat_events(answer: Answer, asked: Json) -> Iterator[Json]:
    """Yield the events of a chat completion; usage only where it was asked for."""
    wanted = bool((asked.get("stream_options") or {}).get("include_usage")) and answer.usage
    base: Json = {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": _AT,
        "model": _model(answer, asked),
    }
    if answer.service_tier:
        base["service_tier"] = answer.service_tier
    if wanted:
        base["usage"] = None
    for at, word in enumerate(answer.words()):
        delta = {"content": f" {word}" if at else word} | ({} if at else {"role": "assistant"})
        yield base | {"choices": [{"index": 0, "delta": delta, "finish_reason": None}]}
    yield base | {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
    if wanted:
        yield base | {"choices": [], "usage": chat_usage(answer)}


def chat_usage(answer: Answer) -> Json:
    """Return usage as chat tells it: the cache is part of the prompt, reasoning part of the completion."""
    return {
        "prompt_tokens": answer.input,
        "completion_tokens": answer.output,
        "total_tokens": answer.input + answer.output,
        "prompt_tokens_details": {
            "cached_tokens": answer.cached,
            "cache_write_tokens": answer.cache_write,
            "audio_tokens": 0,
        },
        "completion_tokens_details": {"reasoning_tokens": answer.reasoning, "audio_tokens": 0},
    }


def completion(answer: Answer, asked: Json) -> Json:
    """Return a completion of the old kind."""
    reply = chat(answer, asked) | {"object": "text_completion"}
    reply["choices"] = [{"index": 0, "text": answer.text, "logprobs": None, "finish_reason": "stop"}]
    return reply


def response(answer: Answer, asked: Json, status: str = "completed") -> Json:
    """Return an object of the Responses API."""
    done = status in ("completed", "incomplete")
    content = [{"type": "output_text", "text": answer.text, "annotations": [], "logprobs": []}]
    message = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "status": "completed",
        "content": content,
    }
    failed = (
        {"code": answer.code or "server_error", "message": answer.message} if status == "failed" else None
    )
    return {
        "id": "resp_1",
        "object": "response",
        "created_at": _AT,
        "status": status,
        "error": failed,
        "incomplete_details": None,
        "instructions": None,
        "model": _model(answer, asked),
        "output": [message] if done else [],
        "parallel_tool_calls": True,
        "temperature": 1.0,
        "tool_choice": "auto",
        "tools": asked.get("tools") or [],
        "top_p": 1.0,
        "service_tier": answer.service_tier or "default",
        "usage": response_usage(answer) if done and answer.usage else None,
        "user": None,
        "metadata": asked.get("metadata") or {},
    }


def response_events(answer: Answer, asked: Json) -> Iterator[Json]:
    """Yield the events of the Responses API."""
    begun = response(answer, asked, "in_progress")
    item = {"id": "msg_1", "type": "message", "role": "assistant", "status": "in_progress", "content": []}
    part: Json = {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
    place = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
    end = response(answer, asked, "failed" if answer.type == "failed" else "completed")
    events: list[Json] = [
        {"type": "response.created", "response": begun},
        {"type": "response.in_progress", "response": begun},
        {"type": "response.output_item.added", "output_index": 0, "item": item},
        {"type": "response.content_part.added", **place, "part": part},
    ]
    for at, word in enumerate(answer.words()):
        delta = f" {word}" if at else word
        events.append({"type": "response.output_text.delta", **place, "delta": delta, "logprobs": []})
    events += [
        {"type": "response.output_text.done", **place, "text": answer.text, "logprobs": []},
        {"type": "response.content_part.done", **place, "part": part | {"text": answer.text}},
        {"type": f"response.{end['status']}", "response": end},
    ]
    for number, event in enumerate(events):
        yield event | {"sequence_number": number}


def response_usage(answer: Answer) -> Json:
    """Return usage as the Responses API tells it."""
    return {
        "input_tokens": answer.input,
        "input_tokens_details": {"cached_tokens": answer.cached, "cache_write_tokens": answer.cache_write},
        "output_tokens": answer.output,
        "output_tokens_details": {"reasoning_tokens": answer.reasoning},
        "total_tokens": answer.input + answer.output,
    }


def embeddings(answer: Answer, asked: Json) -> Json:
    """Return vectors as lists of numbers, one for each input."""
    given = asked.get("input")
    several = len(given) if isinstance(given, list) else 1
    vector = [0.0123456789] * answer.numbers
    reply: Json = {
        "object": "list",
        "data": [{"object": "embedding", "index": at, "embedding": vector} for at in range(several)],
        "model": _model(answer, asked),
    }
    if answer.usage:
        reply["usage"] = {"prompt_tokens": answer.input, "total_tokens": answer.input}
    return reply


def images(answer: Answer, asked: Json) -> Json:
    """Return one image, of a few bytes."""
    reply: Json = {"created": _AT, "data": [{"b64_json": "iVBORw0KGgo="}]}
    if answer.usage:
        told = response_usage(answer)
        reply["usage"] = told | {"input_tokens_details": {"text_tokens": answer.input, "image_tokens": 0}}
    return reply


def transcription(answer: Answer, asked: Json) -> Json:
    """Return a text that was heard."""
    reply: Json = {"text": answer.text}
    if answer.usage:
        told = response_usage(answer)
        reply["usage"] = {
            "type": "tokens",
            "input_token_details": {"text_tokens": 0, "audio_tokens": answer.input},
            **{key: told[key] for key in ("input_tokens", "output_tokens", "total_tokens")},
        }
    return reply


def error(answer: Answer) -> Json:
    """Return an error as OpenAI words it."""
    return {
        "error": {
            "message": answer.message,
            "type": answer.type or "invalid_request_error",
            "param": None,
            "code": answer.code,
        }
    }


def _model(answer: Answer, asked: Json) -> str:
    return answer.model or str(asked.get("model") or "model")
