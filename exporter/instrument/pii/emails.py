"""E-mail addresses, found from the @ outward: each character is looked at a bounded number of times."""

import re
from collections.abc import Iterator

from exporter.instrument.pii.rules import Rule, Span

_LATIN = r"0-9A-Za-z\u00aa-\u024f"
# Signs of Indic, Thai and other scripts are no letters to `re`.
_SIGNS = r"\u0300-\u036f\u0900-\u109f"
# Of what RFC 5322 allows before the @, what people use: =, /, ? and & rather stand around addresses.
_BEFORE = re.compile(rf"[{_LATIN}._%+'-]{{1,64}}")
_BEFORE_ANY = re.compile(rf"[\w{_SIGNS}.%+'-]{{1,64}}")
_QUOTED = re.compile(r'"[^"\r\n]{1,64}"')
_AFTER = re.compile(
    rf"(?:[{_LATIN}][{_LATIN}_-]{{0,62}}\.){{1,8}}(?:xn--[A-Za-z0-9-]{{2,59}}|[A-Za-z\u00aa-\u024f]{{2,24}})"
    rf"(?![{_LATIN}_])"
)
_AFTER_ANY = re.compile(
    rf"(?:[\w{_SIGNS}](?:[\w{_SIGNS}-]){{0,62}}\.){{1,8}}[^\W\d_](?:[^\W\d_]|[{_SIGNS}]){{1,23}}"
)
_AFTER_NUMBER = re.compile(r"\[[0-9A-Fa-f:.]{3,45}\]")
_ESCAPES = re.compile(r"(?:%[0-9A-Fa-f]{2}|[.'+%-])+")
# image@2x.png is a picture for fine screens, left-pad@1.3.0 a version.
# Units of systemd are called getty@tty1.service.
_NO_END = (".service", ".socket", ".timer", ".mount", ".slice")
_NO_DOMAIN = re.compile(r"[0-9](?:\.[0-9])?x\.|[0-9]{1,9}\.[0-9]{1,9}\.")


def _around(match: re.Match[str]) -> Iterator[Span]:
    text, (at, after) = match.string, match.span()
    start = _start(text, at)
    if start == at:
        return
    if text[start:at] == "git" or text[max(start - 3, 0) : start] == "://":  # an account, not a person
        return
    if _NO_DOMAIN.match(text, after):
        return
    latin = text[after : after + 1] < "\u0250"
    end = (_AFTER if latin else _AFTER_ANY).match(text, after) or _AFTER_NUMBER.match(text, after)
    if not end and latin:
        end = _AFTER_ANY.match(text, after)
    if end and not end.group().endswith(_NO_END):
        yield start, end.end()


def _start(text: str, at: int) -> int:
    """Return where the part before the @ begins; `at` where there is none."""
    if not at:
        return at
    if text[at - 1] == '"':
        opening = text.rfind('"', max(at - 66, 0), at - 1)
        return opening if opening >= 0 and _QUOTED.fullmatch(text, opening, at) else at
    before = _BEFORE if text[at - 1] < "\u0250" else _BEFORE_ANY
    found = before.match(text[max(at - 64, 0) : at][::-1])
    if not found:
        return at
    start = at - found.end()
    if escape := _ESCAPES.match(text, start, at):  # %20 before it, or a quotation mark
        start = escape.end()
    # bounce+anna=example.com@…, an address inside another; elsewhere = is between a name and its value.
    outer = text[start - 1 : start] == "=" and _BEFORE.match(text[max(start - 65, 0) : start - 1][::-1])
    if outer and "+" in outer.group():
        start -= outer.end() + 1
    return start


EMAIL = Rule(
    "email",
    rf"(?:@|\uff20|%(?:25)?40|&#64;|\\u0040)(?=[\w\[{_SIGNS}])",  # wide, percent-encoded, HTML, JSON
    within=_around,
    needs=("@", "\uff20", "%40", "%2540", "&#64;", "\\u0040"),
)
