"""password=…, "api_key": "…", Cookie: …: values that their names give away, in text that nobody can parse."""

import re
from collections.abc import Iterable, Iterator

from exporter.instrument.pii.keys import PERSONAL_KEYS, Keys
from exporter.instrument.pii.rules import Span
from exporter.instrument.pii.secrets import WORDS, prose

# Names are looked for from the pieces of sensitive ones outward, so that each character is looked at once.
_NAME = re.compile(
    r"""[\w.\-]++(?:[ ](?:key|id|token|phrase|word|code)\b)?+"""
    r"""(?P<quote>\\*+["'`])?+[ \t]{0,3}(?P<sign>=>|:=|={1,2}|:|\uff1a|(?<!\s)>)(?P<space>[ \t]{0,3})"""
)
_RUN = re.compile(r"[\w.\-]*+")
_OPENING = re.compile(r"""(?P<bracket>[\[({]?)[RrUuBb]{0,2}(?P<slashes>\\*+)(?P<mark>["'`])""")
_QUOTED = {quote: re.compile(rf"(?:\\.|[^\\\n{quote}])*+") for quote in "\"'`"}
_LISTED = {
    quote: re.compile(rf"(?:{found.pattern}(?:{quote}\s?,\s?[rub]?{quote})?+)*+")
    for quote, found in _QUOTED.items()
}
_SCHEME = re.compile(r"(?i:bearer|basic|token|digest|negotiate|apikey|key)[ ]{1,3}")
_WHOLE_LINES = {
    "cookie": re.compile(r"""[^\s=;"']{1,64}="""),
    "authorization": re.compile(r"(?i:digest|aws4-hmac-sha256|hawk|oauth|signature) "),
}
_SHORT_CODES = frozenset({"cvv", "cvc", "cvv2", "cvc2", "pin", "otp"})
_PLAIN = re.compile(r"""[^\s&;,"'`<>)\]}]++""")
# In a line of source: get_password(user), tokens[0].
_CALL = re.compile(r"[A-Za-z_.]++[(\[]")
_LINE = re.compile(r"""[^\n\r"'`]++""")
# Nothing to hide: our own marks, stars, and the places that a value is put into later.
_NOTHING = re.compile(
    r"""(?:\[[a-z][a-z0-9_]*+\]|\*++|\$[0-9]++|\?|%s|%\(\w++\)s|\.{3}|…|"""
    r"""(?i:none|null|nil|true|false|undefined))(?![\w$@!%])"""
)


class Assignments:
    """A rule made of names: of what is assigned to one of them, the value goes."""

    kind = "secret"
    mark = "[secret]"
    signs = ":=>\uff1a"
    numeric = False

    def __init__(self, names: Iterable[str]) -> None:
        # Numbers of persons and cards have rules of their own, which know where they end.
        names = [name for name in names if name not in PERSONAL_KEYS]
        self._keys = Keys(names)
        pieces = {max(name.lower().strip("*").replace("-", " ").split(), key=len) for name in names}
        self.needs = tuple(
            sorted(piece for piece in pieces if not any(o in piece for o in pieces if o != piece))
        )

    def spans(self, text: str) -> Iterator[Span]:
        done = 0
        for start in self._runs(text):
            match = _NAME.match(text, start) if start >= done else None
            if not match:
                continue
            if match["sign"] == ">" and text[start - 1 : start] != "<":  # a comparison, not XML
                continue
            name = text[start : match.start("quote" if match["quote"] else "sign")].strip()
            if self._keys(name) and (span := _value(text, match, name)):
                yield span
                done = span[1]

    def _runs(self, text: str) -> Iterator[int]:
        """Yield where the runs of letters begin that have a piece of a name in them, each once."""
        lower = text.lower()
        if len(lower) != len(text):  # some letters have two in lower case
            lower = "".join(low if len(low := letter.lower()) == 1 else letter for letter in text)
        hits = set()
        for piece in self.needs:
            at = lower.find(piece)
            while at >= 0:
                hits.add(at)
                at = lower.find(piece, at + len(piece))
        end = 0
        for start in sorted(hits):
            if start >= end:
                end = _RUN.match(text, start).end()  # type: ignore[union-attr]  # there is at least the piece
                while start and (text[start - 1].isalnum() or text[start - 1] in "_.-"):
                    start -= 1
                yield start


def _value(text: str, match: re.Match[str], name: str) -> Span | None:
    start, sign = match.end(), match["sign"]
    if _NOTHING.match(text, start):
        return None
    if opening := _OPENING.match(text, start):
        start, end = opening.end(), _closing(text, opening)
        return None if _NOTHING.fullmatch(text, start, end) or start == end else (start, end)
    if sign == ":":  # a header that has the whole line
        whole = _WHOLE_LINES.get(name.lower().rpartition("-")[2])
        if whole and whole.match(text, start) and (line := _LINE.match(text, start)):
            return line.span()
    scheme = _SCHEME.match(text, start)
    if scheme:
        start = scheme.end()
    plain = _PLAIN.match(text, start)
    if not plain or _NOTHING.match(text, start) or _CALL.match(text, start):
        return None
    if sign == ":" and match["space"] and not scheme and _sentence(text, plain, name):
        return None
    return plain.span()


def _closing(text: str, opening: re.Match[str]) -> int:
    """Return where the quotation ends, or the last one in a list; without an end, the line does."""
    start, mark = opening.end(), opening["mark"]
    if not opening["slashes"]:
        found = (_LISTED if opening["bracket"] else _QUOTED)[mark].match(text, start)
        return found.end() if found else start
    line = text.find("\n", start)
    line = line if line >= 0 else len(text)
    end = text.find(opening["slashes"] + mark, start, line)
    return end if end >= 0 else line


def _sentence(text: str, plain: re.Match[str], name: str) -> bool:
    """Say whether what comes after "token: " is rather the rest of a sentence."""
    found = plain.group()
    if found.isdigit() and len(found) < 4:
        return name.lower() not in _SHORT_CODES
    if found.strip(".,;:!?").lower() in WORDS:
        return True
    if not prose(found) or "-" in name or "_" in name:  # X-Token is a header, not a word
        return False
    return text[plain.end() : plain.end() + 1] not in {"", "\n", ",", ";"} or "pass" not in name.lower()
