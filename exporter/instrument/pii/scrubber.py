"""The scrubber: rules and names in order, over texts, URLs, SQL and whole values."""

import contextlib
import re
from collections.abc import Callable, Iterable
from typing import Any, Protocol

from exporter.instrument.pii import emails, numbers, phones, secrets, sql, urls, walker
from exporter.instrument.pii.assignments import Assignments
from exporter.instrument.pii.keys import DEFAULT_KEYS, Keys
from exporter.instrument.pii.rules import Rule, Span

# First what has marks of its own around it, then by how strict the form is; phones, of all forms, last.
DEFAULT_RULES: tuple[Rule, ...] = (
    *sql.ROWS,
    secrets.PRIVATE_KEY,
    secrets.USER,
    secrets.COMMAND,
    secrets.SLACK_HOOK,
    secrets.TOKEN,
    secrets.CLOUD_KEY,
    secrets.BEARER,
    secrets.SAID,
    emails.EMAIL,
    numbers.IBAN,
    numbers.CARD,
    numbers.SSN,
    numbers.SSN_SAID,
    numbers.AADHAAR,
    numbers.PAN,
    numbers.PAN_SAID,
    phones.INTERNATIONAL,
    phones.NATIONAL,
    phones.SAID,
)
Counted = Callable[[str, int], object]
MARK_OF_CUT = "…[cut]"
# Seven digits with little between them; without such a number the numeric rules have nothing to do.
_NUMBER = re.compile(r"[0-9](?:[ \u00a0().\-/]{0,2}[0-9]){6}|[A-Za-z]{2}[0-9]{2} ?[0-9A-Za-z]{4}")
# A text that is cut ends at a blank near the limit, so that no half of a number or an address stays.
_MARGIN = 256
# A mark may uncover what was joined to a neighbour; clean texts are gone through once.
_ROUNDS = 4


class OneOfRules(Protocol):
    """A rule, or something that finds like one."""

    @property
    def kind(self) -> str: ...
    @property
    def mark(self) -> str: ...
    @property
    def needs(self) -> tuple[str, ...]: ...
    @property
    def numeric(self) -> bool: ...
    @property
    def signs(self) -> str: ...
    def spans(self, text: str) -> Iterable[Span]: ...


class Scrubber:
    """Puts marks such as `[email]` in the place of what is private. It never raises.

    `rules` find private text by its form, in their order; `keys` are names whose values go whatever they
    look like (see `exporter.instrument.pii.keys` for how they match). `counted` is called with a kind and
    a number for what was removed. Texts longer than `longest` characters are cut, with a mark.

    Scrubbing what was scrubbed changes nothing, as long as no rule finds a mark private.
    """

    def __init__(
        self,
        rules: Iterable[Rule] = DEFAULT_RULES,
        keys: Iterable[str] = DEFAULT_KEYS,
        counted: Counted | None = None,
        longest: int = 65_536,
    ) -> None:
        self.rules = tuple(rules)
        self.keys = tuple(keys)
        self.counted = counted
        self.longest = longest
        self.sensitive = Keys(self.keys)
        every: tuple[OneOfRules, ...] = (Assignments(self.keys), *self.rules)
        self._rules = [
            (rule, rule.signs and re.compile(f"[{re.escape(rule.signs)}]").search, rule.needs)
            for rule in every
        ]
        self._without_numbers = [tried for tried in self._rules if not tried[0].numeric]
        self._clean: set[str] = set()

    def with_rules(self, *rules: Rule) -> "Scrubber":
        """Return a scrubber that tries these rules before the others."""
        return Scrubber((*rules, *self.rules), self.keys, self.counted, self.longest)

    def with_keys(self, *names: str) -> "Scrubber":
        """Return a scrubber that also hides what stands under these names."""
        return Scrubber(self.rules, (*self.keys, *names), self.counted, self.longest)

    def text(self, text: str) -> str:
        """Return the text with a mark for everything private in it."""
        return self._until_settled(text, lambda text: (self._once(text), 0), "")

    def name(self, name: str) -> str:
        """Return a name, of a field or a header, scrubbed as text; the harmless ones are kept in mind."""
        if name in self._clean:
            return name
        scrubbed = self.text(name)
        if scrubbed == name and len(name) <= 64:
            if len(self._clean) >= 4096:
                self._clean.clear()
            self._clean.add(name)
        return scrubbed

    def value(self, value: Any) -> Any:
        """Return a copy of nested dicts, lists, tuples, sets, texts and bytes, all scrubbed.

        What stands under a sensitive name becomes `[redacted]`; JSON in a text is read, scrubbed and
        written again. Other objects become their scrubbed `str()`; numbers, dates and UUIDs stay.
        """
        return walker.Walk(self, lambda kind: self._count(kind, 1)).value(value)

    def url(self, address: str) -> str:
        """Return a URL or path without userinfo and values of parameters; the rest is scrubbed as text."""
        return self._until_settled(address, lambda text: urls.url(text, self.text), "url")

    def query(self, pairs: str) -> str:
        """Return a query string, `a=1&b=2`, without its values."""
        return self._until_settled(pairs, lambda text: urls.query(text, self.text), "url")

    def sql(self, statement: str) -> str:
        """Return SQL with `?` for every literal, without comments, also where an error message quotes it."""
        return self._until_settled(statement, lambda text: sql.without_literals(self.text(text)), "sql")

    def _until_settled(self, text: str, read: Callable[[str], tuple[str, int]], kind: str) -> str:
        try:
            text, mark = self._cut(text)
            for _ in range(_ROUNDS):
                before = text
                text, count = read(text)
                self._count(kind, count)
                if text == before:
                    break
            return text + mark
        except Exception:  # a rule of the user's, most likely; what it would have hidden is unknown
            self._count("error", 1)
            return walker.UNREADABLE

    def _once(self, text: str) -> str:
        lower = text.lower()
        for rule, signs, needs in self._rules if _NUMBER.search(text) else self._without_numbers:
            if signs and not signs(text):
                continue
            if needs:
                for need in needs:  # a loop is twice as fast as any()
                    if need in lower:
                        break
                else:
                    continue
            parts, done, mark = [], 0, rule.mark
            for start, end in rule.spans(text):
                if text[start:end] != mark:
                    parts += [text[done:start], mark]
                    done = end
            if parts:
                text = "".join(parts) + text[done:]
                self._count(rule.kind, len(parts) // 2)
        return text

    def _cut(self, text: str) -> tuple[str, str]:
        """Return the text that may stay, and the mark to put after it."""
        longest = self.longest
        # Marks may be longer than what they stand for: what was cut once is let pass.
        if text.endswith(MARK_OF_CUT) and len(text) <= 4 * longest:
            return text.removesuffix(MARK_OF_CUT), MARK_OF_CUT
        if len(text) <= longest:
            return text, ""
        blank = max(text.rfind(" ", longest - _MARGIN, longest), text.rfind("\n", longest - _MARGIN, longest))
        kept = text[: blank if blank > 0 else max(longest - _MARGIN, 0)]
        return kept.rstrip("0123456789 +-()."), MARK_OF_CUT

    def _count(self, kind: str, number: int) -> None:
        if self.counted and number:
            with contextlib.suppress(Exception):  # a counter that fails must not let private text through
                self.counted(kind, number)
