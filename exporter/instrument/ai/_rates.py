"""What a token costs, and what a call costs by that."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from exporter.instrument.ai._calls import Call

# Token types with a price of their own: those that are counted, and shares of them that some models have.
WRITE_LONG, INPUT_AUDIO, OUTPUT_AUDIO = "input_cache_write_1h", "input_audio", "output_audio"


class Rates(NamedTuple):
    """US dollars a token by type; of a call with more than `over` tokens of input, all tokens have these."""

    over: int
    by_type: Mapping[str, float]


def cost(call: Call, rates: Sequence[Rates]) -> float | None:
    """Return the call's cost in US dollars; None where a type of token has no price that is known.

    `rates` ascend by `over`. Providers change the price of the whole call once its input passes a mark, so
    the last rates that fit are those of every token.
    """
    tokens = _shares(call)
    by_type: Mapping[str, float] | None = rates[0].by_type
    if len(rates) > 1 or rates[0].over:
        given = sum(count for kind, count in tokens.items() if kind.startswith("input_"))
        by_type = next((each.by_type for each in reversed(rates) if given > each.over or not each.over), None)
    if by_type is None:
        return None
    total = 0.0
    for kind, count in tokens.items():
        if not count:
            continue
        rate = by_type.get(kind)
        if rate is None and kind == "output_reasoning":  # is output, unless a model says otherwise
            rate = by_type.get("output_text")
        if rate is None:
            return None
        total += count * rate
    return total


def _shares(call: Call) -> Mapping[str, int]:
    """Return disjoint tokens, with those apart that have another price than the rest of their type."""
    usage = call.usage
    if not usage:
        return call.tokens or {}
    shares = (
        ("input_cache_write", WRITE_LONG, _inner(usage, "cache_creation", "ephemeral_1h_input_tokens")),
        ("input_uncached", INPUT_AUDIO, _audio(usage, "prompt_tokens_details", "input_tokens_details")),
        ("output_text", OUTPUT_AUDIO, _audio(usage, "completion_tokens_details", "output_tokens_details")),
    )
    tokens = dict(call.tokens or {})
    for whole, share, count in shares:
        count = min(count, tokens.get(whole, 0)) if count else 0
        if count:
            tokens[whole] -= count
            tokens[share] = count
    return tokens


def _audio(usage: Mapping[str, Any], word: str, other: str) -> int:
    return _inner(usage, word, "audio_tokens") or _inner(usage, other, "audio_tokens")


def _inner(usage: Mapping[str, Any], word: str, key: str) -> int:
    inside = usage.get(word)
    count = inside.get(key) if type(inside) is dict else None
    return count if type(count) is int and count > 0 else 0
