"""SQL without its literals, and the rows that databases repeat in their error messages."""

import re
from collections.abc import Iterator

from exporter.instrument.pii.rules import Rule, Span

# Whether a backslash escapes a quotation mark depends on the server: where one stands before the mark, all
# goes up to the last mark. What is not closed goes to the end.
_STRING = r"""(?:\b[EeNnBbXx]|\b[Uu]&)?'(?:''|[^'\\]|\\[^'])*+(?:'|\\?\Z|\\'(?:[\s\S]*'|[\s\S]*+))"""
# Double marks stand around names, but around values as well, in MySQL: there is no dot after those.
_COMPARED = r"""(?:(?<=[=<>])|(?<=[=<>] )|(?<=(?i:like) ))"(?:""|[^"\\]|\\[\s\S])*+(?:"(?!\.)|\Z)"""
_DOLLARS = r"\$(?P<tag>[A-Za-z_]\w{0,30}|)\$[\s\S]*?(?:\$(?P=tag)\$|\Z)"
_NUMBER = r"""(?<![\w$.:%"?])(?:0[xX][0-9A-Fa-f]+|\.?[0-9][0-9.]*+(?:[eE][+\-]?[0-9]+)?)(?!\w)"""
# Comments too: applications write users into them.
_COMMENT = r"(?P<line>--[^\n]*+)|(?P<block>/\*(?:(?!\*/)[\s\S])*+(?:\*/|\Z))"
_LITERAL = re.compile("|".join((_COMMENT, _STRING, _COMPARED, _DOLLARS, _NUMBER)))


def without_literals(statement: str) -> tuple[str, int]:
    """Return the statement with `?` for every literal, and how many there were."""
    count = 0

    def put(match: re.Match[str]) -> str:
        nonlocal count
        mark = "--" if match["line"] else "/* */" if match["block"] else "?"
        count += match.group() != mark
        return mark

    return _LITERAL.sub(put, statement), count


_MARK = "[redacted]"


def _row(phrase: str, pattern: str, end: str) -> Rule:
    """Hide the rest of the line after `phrase`, up to the last `end` in it."""

    def within(match: re.Match[str]) -> Iterator[Span]:
        rest = match.group(1)
        if rest.startswith(_MARK) and not any(letter.isalnum() for letter in rest[len(_MARK) :]):
            return
        last = match.string.rfind(end, *match.span(1))
        yield match.start(1), last if last >= 0 else match.end(1)

    return Rule("sql", pattern + r"([^\n]++)", within=within, needs=(phrase,), mark=_MARK)


# PostgreSQL, MySQL, SQLAlchemy. The words are those of the English messages.
ROWS = (
    Rule(
        "sql",
        r"Key \([^\n]{1,200}?\)=\("
        r"((?:(?!\) (?:already exists|is not present|is still referenced|conflicts with))[^\n])++)",
        needs=(")=(",),
        mark=_MARK,
    ),
    _row("failing row contains (", r"Failing row contains \(", ")"),
    _row("[parameters: ", r"\[parameters: ", "]"),
    Rule("sql", r"Duplicate entry '((?:(?!' for key)[^\n])++)", needs=("duplicate entry '",), mark=_MARK),
    Rule("sql", r'invalid input (?:syntax|value) for [^\n:]{1,60}: "([^"\n]++)', needs=("invalid input ",),
         mark=_MARK),
)  # fmt: skip
