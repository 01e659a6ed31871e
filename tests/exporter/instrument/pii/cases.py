"""The corpus: what is private is marked in it, so that the right answer can be read off each line."""

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from exporter.instrument.pii import Scrubber

HALVES = ("tuned", "held_out")
_MARKED = re.compile(r"⟦([a-z]+):(.*?)⟧", re.DOTALL)


class Case(NamedTuple):
    """A line of the corpus as it comes in, what is private in it, and as it must come out."""

    text: str
    private: tuple[str, ...]
    wanted: str

    @classmethod
    def of(cls, line: str) -> "Case":
        # ¦ breaks tokens, so that nobody's scanner takes the corpus for a leak; ⏎ is a new line.
        line = line.replace("¦", "").replace("⏎", "\n")
        text = _MARKED.sub(r"\2", line)
        wanted = _MARKED.sub(r"[\1]", line)
        if _json(text) is not None and _json(wanted) is None:  # a number became a mark
            wanted = _MARKED.sub(r'"[\1]"', line)
        return cls(text, tuple(found[2] for found in _MARKED.finditer(line)), wanted)


class Found(NamedTuple):
    """What a scrubber made of a case."""

    case: Case
    got: str

    @property
    def missed(self) -> bool:
        """Something private is still there."""
        return any(piece in (_plain(self.got)) for piece in self.case.private)

    @property
    def too_much(self) -> bool:
        """Something else is gone."""
        return not self.missed and _kindless(self.got) != _kindless(self.case.wanted)

    @property
    def right(self) -> bool:
        return not self.missed and _same(self.got, self.case.wanted)


def cases(half: str, kind: str) -> Iterator[Case]:
    """Yield the lines of a half, "tuned" or "held_out"; `kind` is "positives" or "negatives"."""
    file = Path(__file__).parent / "corpus" / f"{half}_{kind}.txt"
    for line in file.read_text().splitlines():
        if line and not line.startswith("## "):
            yield Case.of(line)


def tried(scrubber: Scrubber, some: Iterable[Case]) -> list[Found]:
    return [Found(case, scrubber.value(case.text)) for case in some]


def table() -> str:
    """Return what is missed and what goes too far, one line for each half."""
    scrubber = Scrubber()
    lines = [
        "| half | private lines | missed | cut too wide | named otherwise | harmless lines | changed |",
        "|---|---|---|---|---|---|---|",
    ]
    for half in HALVES:
        positives = tried(scrubber, cases(half, "positives"))
        negatives = tried(scrubber, cases(half, "negatives"))
        missed, wide = sum(found.missed for found in positives), sum(found.too_much for found in positives)
        right, changed = sum(found.right for found in positives), sum(not found.right for found in negatives)
        other = len(positives) - right - missed - wide
        row = (half.replace("_", " "), len(positives), missed, wide, other, len(negatives), changed)
        lines.append(f"| {' | '.join(map(str, row))} |")
    return "\n".join(lines)


def _json(text: str):
    try:
        return json.loads(text) if text[:1] in "{[" else None
    except ValueError:
        return None


def _same(one: str, other: str) -> bool:
    return one == other or (_json(one) is not None and _json(one) == _json(other))


def _plain(text: str) -> str:
    parsed = _json(text)
    return text if parsed is None else json.dumps(parsed, ensure_ascii=False)


def _kindless(text: str) -> str:
    return re.sub(r"\[(?:email|phone|creditcard|ssn|aadhaar|pan|iban|secret|redacted)\]", "[]", _plain(text))
