"""What is wrong with a configuration, in the words of the person who has to mend it."""

import difflib
from collections.abc import Iterator, Mapping
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ValidationError

PREFIX = "WATCHKEEPER_"

Path_ = tuple[str, ...]


def problems(error: ValidationError, origins: Mapping[Path_, str], model: type[BaseModel]) -> Iterator[str]:
    """Yield a line for each fault: its place, its key, what to do. `origins` has the places of the keys."""
    for problem in error.errors(include_input=False, include_url=False):
        keys = tuple(str(part) for part in problem["loc"] if part != "[key]")
        name = ".".join(keys) or "configuration"
        place = _place(keys, origins)
        if problem["type"] == "extra_forbidden":
            yield f"{place}: unknown key {name!r}{_suggestion(keys, model)}"
        elif problem["type"] == "missing":
            variable = PREFIX + "__".join(keys).upper()
            yield f"{place}: {name} is missing; set it in the file or as {variable}"
        elif problem["type"] in ("model_type", "dict_type"):
            yield f"{place}: {name}: must have keys of its own"
        else:
            message = problem["msg"].removeprefix("Value error, ")
            if problem["type"] != "value_error":  # pydantic's own words; ours may begin with a file's name
                message = message[:1].lower() + message[1:]
            yield f"{place}: {name}: {message}"


def _place(keys: Path_, origins: Mapping[Path_, str]) -> str:
    """Return where a key stands, or the nearest key above it."""
    for length in range(len(keys), 0, -1):
        if keys[:length] in origins:
            return origins[keys[:length]]
    return "configuration"


def _suggestion(keys: Path_, model: type[BaseModel]) -> str:
    known = _known(keys[:-1], model)
    close = difflib.get_close_matches(keys[-1], known, n=1)
    if close:
        return f"; did you mean {close[0]!r}?"
    return f"; known here: {', '.join(sorted(known))}" if known else ""


def _known(keys: Path_, model: Any) -> list[str]:
    rest = iter(keys)
    for key in rest:
        info = model.model_fields.get(key) if hasattr(model, "model_fields") else None
        if info is None:
            return []
        if get_origin(info.annotation) is dict and next(rest, None) is None:
            return []  # the user's own names
        options = [info.annotation, *get_args(info.annotation)]
        model = next((option for option in options if hasattr(option, "model_fields")), None)
    return list(model.model_fields) if model is not None else []
