"""What series are called in the files: as they stand on the page, `name{label="value"}`."""

import re
from collections.abc import Iterable

_LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[\\n"])*)"')
_ESCAPED = re.compile(r'\\[\\n"]')
_UNESCAPED = {r"\\": "\\", r"\n": "\n", r"\"": '"'}


def series_key(name: str, labels: Iterable[str], values: Iterable[str]) -> str:
    """Return the key of a series."""
    pairs = [f'{label}="{escaped(value)}"' for label, value in zip(labels, values, strict=True)]
    return f"{name}{{{','.join(pairs)}}}"


def series_of(key: str) -> tuple[str, str]:
    """Return the metric's name and the labels, as they stand on the page."""
    name, _, labels = key.partition("{")
    return name, labels[:-1]


def labels_of(text: str) -> dict[str, str]:
    """Return labels by name. Raises ValueError for what `series_key` cannot have written."""
    found = _LABEL.findall(text)
    if ",".join([f'{name}="{value}"' for name, value in found]) != text:
        raise ValueError(f"these are not labels: {text!r}")
    return {name: _ESCAPED.sub(lambda match: _UNESCAPED[match[0]], value) for name, value in found}


def escaped(value: str) -> str:
    """Return a label's value as it stands on the page."""
    if "\\" in value or '"' in value or "\n" in value:
        return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
    return value


def writable(value: object) -> str:
    """Return a label's value as text that can be written as UTF-8.

    Half a surrogate comes out of headers and file names that are not UTF-8, and would spoil the whole page.
    """
    text = str(value)
    return text if text.isascii() else text.encode(errors="replace").decode()
