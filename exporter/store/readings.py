"""The page of what collectors read: samples as text, a line each, without a detour over families."""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import NamedTuple

from exporter.catalog import Metric, Sample
from exporter.store.keys import escaped
from exporter.store.text import header, number

# The starts of lines stay the same from scrape to scrape; this holds those of a large exporter.
_STARTS = 65536


class Block(NamedTuple):
    """The lines of one metric, as far as one run gives them."""

    metric: Metric
    lines: str


def grouped(samples: Iterable[Sample]) -> dict[str, list[Sample]]:
    """Return samples by the metric's name, in order of first appearance."""
    found: dict[str, list[Sample]] = {}
    for sample in samples:
        name = sample.metric.name
        if name in found:
            found[name].append(sample)
        else:
            found[name] = [sample]
    return found


def blocks(groups: Mapping[str, list[Sample]]) -> dict[str, Block]:
    """Return each group as text."""
    return {name: Block(group[0].metric, _lines(group)) for name, group in groups.items()}


def page(parts: Iterable[Mapping[str, Block]]) -> str:
    """Return the page: each metric in one piece, as the format wants it, whoever gave its lines."""
    merged: dict[str, list[str]] = {}
    for part in parts:
        for name, block in part.items():
            merged.setdefault(name, [header(name, block.metric.kind, block.metric.help)]).append(block.lines)
    return "".join([text for pieces in merged.values() for text in pieces])


def _lines(group: list[Sample]) -> str:
    metric = group[0].metric
    name, names = metric.name, metric.labels
    if not names:
        return "".join([f"{name} {number(value)}\n" for _, _, value in group])
    return "".join([f"{_start(name, names, labels)} {number(value)}\n" for _, labels, value in group])


@lru_cache(_STARTS)
def _start(name: str, names: tuple[str, ...], labels: tuple[str, ...]) -> str:
    pairs = ",".join([f'{key}="{escaped(value)}"' for key, value in zip(names, labels, strict=True)])
    return f"{name}{{{pairs}}}"
