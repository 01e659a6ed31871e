"""The user's own prices, in the shape that litellm's table has made common."""

import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from exporter.instrument.ai._rates import INPUT_AUDIO, OUTPUT_AUDIO, WRITE_LONG, Rates

# Their key of each type of token; a suffix names the tier, another the mark of input.
_KEYS = {
    "input_uncached": "input_cost_per_token",
    "input_cache_read": "cache_read_input_token_cost",
    "input_cache_write": "cache_creation_input_token_cost",
    WRITE_LONG: "cache_creation_input_token_cost_above_1hr",
    INPUT_AUDIO: "input_cost_per_audio_token",
    "output_text": "output_cost_per_token",
    "output_reasoning": "output_cost_per_reasoning_token",
    OUTPUT_AUDIO: "output_cost_per_audio_token",
}
_SUFFIXES = {"flex": "_flex", "priority": "_priority", "fast": "_fast", "batch": "_batches"}
_OVER = re.compile(r"_above_(\d+)k_tokens")
_DATED = re.compile(r"[-@](\d{4}-\d\d-\d\d|\d{8})$")

Table = Mapping[str, Mapping[str, Any]]


def read(path: str | Path) -> Table:
    """Return the table of a JSON file: by model or provider/model, prices in US dollars a token.

    Raises ValueError, naming file, line or key, for what cannot be such a table.
    """
    path = Path(path)
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"{path}: cannot be read ({error.strerror})") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"{path}:{error.lineno}: is no JSON: {error.msg}") from None
    if not isinstance(table, dict):
        raise ValueError(f"{path}: must be an object with a key for each model")
    for model, entry in table.items():
        if not isinstance(entry, dict):
            raise ValueError(f"{path}: {model}: must be an object with keys such as input_cost_per_token")
        for key, value in entry.items():
            if _is_price(key) and value is not None and not _is_amount(value):
                raise ValueError(f"{path}: {model}.{key}: must be a number of US dollars, 0 or more")
        if not any(_is_price(key) for key in entry):
            raise ValueError(f"{path}: {model}: names no price; known keys: {', '.join(_KEYS.values())}")
    return table


def find(table: Table, provider: str, model: str) -> Mapping[str, Any] | None:
    """Return the entry of a model: by its name or without its date, with the provider before it or not."""
    for name in dict.fromkeys((model, _DATED.sub("", model))):
        entry = table.get(f"{provider}/{name}") or table.get(name)
        if entry is not None and entry.get("litellm_provider", provider).split("_")[0] == provider:
            return entry
    return None


def rates(entry: Mapping[str, Any], tier: str) -> list[Rates]:
    """Return the rates of an entry for a tier: "", flex, priority, fast, batch. Empty: it has none for it."""
    suffix = _SUFFIXES.get(tier, "") if tier else ""
    if tier and not suffix:
        return []
    # A tier that the entry does not name at all has no price here; ordinary rates would be a guess.
    if suffix and not any(f"{key}{suffix}" in entry for key in _KEYS.values()):
        return []
    marks = sorted({int(found[1]) * 1000 for key in entry if (found := _OVER.search(key))})
    base = _by_type(entry, "", suffix)
    higher = [Rates(mark, base | _by_type(entry, f"_above_{mark // 1000}k_tokens", suffix)) for mark in marks]
    return [Rates(0, base), *higher]


def _by_type(entry: Mapping[str, Any], over: str, suffix: str) -> dict[str, float]:
    found = {}
    for kind, key in _KEYS.items():
        for name in (f"{key}{over}{suffix}", f"{key}{suffix}{over}"):
            if _is_amount(entry.get(name)):
                found[kind] = float(entry[name])
    return found


def _is_price(key: str) -> bool:
    return any(key.startswith(known) for known in _KEYS.values())


def _is_amount(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < math.inf
