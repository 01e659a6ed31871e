"""What a rule is, and the rules that are there from the start, in the order in which they are tried."""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

Span = tuple[int, int]


@dataclass(frozen=True)
class Rule:
    """Finds one kind of private text, and puts `[kind]` in its place.

    `pattern` is an expression or its text; of a match, group 1 goes if there is one, else all of it. `check`
    sees what would go and says whether it shall: a check digit, for instance. `within` returns the spans
    that go by itself, as positions in `match.string`; they may lie outside the match. `needs` are pieces in
    lower case of which a text has at least one if the rule can find anything in it: most texts are then done
    with a glance. `signs` are characters of which it has one as well. `numeric` says that it finds nothing
    but numbers of seven digits and more. `mark` is put in the place instead of `[kind]`.

    Keep the pattern linear: no repetition inside a repetition, no `.*` before something that may be absent;
    a bound (`{1,64}`) or a possessive repetition (`++`, `*+`) mends most.
    """

    kind: str
    pattern: str | re.Pattern[str]
    check: Callable[[str], bool] | None = None
    within: Callable[[re.Match[str]], Iterable[Span]] | None = None
    needs: tuple[str, ...] = ()
    signs: str = ""
    numeric: bool = False
    mark: str = ""

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z][a-z0-9_]{0,31}", self.kind):
            raise ValueError(
                f"a rule's kind is a small word, it becomes a label and a mark; not {self.kind!r}"
            )
        object.__setattr__(self, "pattern", re.compile(self.pattern))
        object.__setattr__(self, "mark", self.mark or f"[{self.kind}]")

    def spans(self, text: str) -> Iterator[Span]:
        """Yield what shall go, in order, none of it twice."""
        assert isinstance(self.pattern, re.Pattern)
        done = 0
        for match in self.pattern.finditer(text):
            group = 1 if self.pattern.groups else 0
            for start, end in self.within(match) if self.within else (match.span(group),):
                if start >= done and end > start and (not self.check or self.check(text[start:end])):
                    yield start, end
                    done = end
