"""A provider's words on usage, as disjoint token types."""

from collections.abc import Mapping
from typing import Any


def tokens_of(usage: Mapping[str, Any] | None, *, anthropic: bool = False) -> dict[str, int] | None:
    """Return tokens by `TOKEN_TYPES`, or None where there is nothing in `usage` to count.

    OpenAI's input includes what was read from and written to the cache, and its output the reasoning;
    Anthropic's input includes neither. https://platform.openai.com/docs/guides/prompt-caching,
    https://docs.anthropic.com/en/docs/build-with-claude/prompt-caching
    """
    if not usage:
        return None
    if anthropic:
        return _anthropic(usage)
    if "prompt_tokens" in usage:  # chat, embeddings, and what speaks like them
        return _inclusive(usage, "prompt_tokens", "completion_tokens")
    if "input_tokens" in usage:  # responses, images, audio
        return _inclusive(usage, "input_tokens", "output_tokens")
    return None


def _anthropic(usage: Mapping[str, Any]) -> dict[str, int] | None:
    if "input_tokens" not in usage and "output_tokens" not in usage:
        return None
    output = _count(usage, "output_tokens")
    thinking = min(output, _count(_details(usage, "output_tokens"), "thinking_tokens"))
    return _whole(
        _count(usage, "input_tokens"),
        _count(usage, "cache_read_input_tokens"),
        _count(usage, "cache_creation_input_tokens"),
        output - thinking,
        thinking,
    )


def _inclusive(usage: Mapping[str, Any], of_input: str, of_output: str) -> dict[str, int]:
    given, told = _count(usage, of_input), _count(usage, of_output)
    inside = _details(usage, of_input)
    read, written = _count(inside, "cached_tokens"), _count(inside, "cache_write_tokens")
    reasoning = _count(_details(usage, of_output), "reasoning_tokens")
    # Some compatible services count reasoning beside the output; their own total tells.
    if reasoning and _count(usage, "total_tokens") == given + told + reasoning:
        told += reasoning
    return _whole(max(0, given - read - written), read, written, max(0, told - reasoning), reasoning)


def _whole(uncached: int, read: int, written: int, text: int, reasoning: int) -> dict[str, int]:
    tokens = {"input_uncached": uncached, "output_text": text}
    optional = {"input_cache_read": read, "input_cache_write": written, "output_reasoning": reasoning}
    return tokens | {kind: count for kind, count in optional.items() if count}


def _details(usage: Mapping[str, Any], of: str) -> Mapping[str, Any]:
    found = usage.get(f"{of}_details")
    return found if isinstance(found, dict) else {}


def _count(usage: Mapping[str, Any], key: str) -> int:
    value = usage.get(key)
    return value if type(value) is int and value > 0 else 0  # not True, which is an int as well
