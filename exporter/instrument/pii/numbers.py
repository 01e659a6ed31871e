"""Cards, Aadhaar, social security numbers, IBANs and PANs among all the other numbers."""

import itertools
import re
from collections.abc import Iterator

from exporter.instrument.pii import checks
from exporter.instrument.pii.rules import Rule, Span

# Every pattern begins with the set of its first characters, which the engine skips to fast, and only then
# looks back, whether the number is joined to something: a letter, a decimal point, a longer name's hyphen.
_JOINED_AFTER = r"(?![0-9A-Za-z])(?!-\w)(?!\.[0-9])"


def rising(found: str) -> bool:
    """Say whether these are numbers of a list, 3000 3001 3002, and not groups of one number."""
    numbers = [int(group) for group in re.findall(r"[0-9]+", found)]
    steps = {after - before for before, after in itertools.pairwise(numbers)}
    return len(numbers) > 2 and steps == {1}


def _digits(found: str) -> str:
    return found if found.isdigit() else re.sub("[^0-9]", "", found)


def _cards(match: re.Match[str]) -> Iterator[Span]:
    """The match is the first digit and group 1 the rest, so that numbers before a card do not hide it."""
    text, start, end = match.string, match.start(), match.end(1)
    found = text[start:end]
    if not checks.card(_digits(found)):
        end = max(text.rfind(joint, start, end) for joint in " .-")  # without a CVV after it
        found = text[start : max(start, end)]
        if not checks.card(_digits(found)):
            return
    if not rising(found):
        yield start, end


def _iban(match: re.Match[str]) -> Iterator[Span]:
    """The match begins with the check digits, of which there are fewer than letters to begin with."""
    text, start = match.string, match.start() - 2
    end = start
    length = checks.IBAN_LENGTHS.get(text[start : start + 2].upper(), 0)
    letters: list[str] = []
    while len(letters) < length and end < match.end():
        if text[end].isalnum():
            letters.append(text[end])
        end += 1
    if length and not text[end : end + 1].isalnum() and checks.iban("".join(letters)):
        yield start, end


CARD = Rule(
    "creditcard",
    r"[2-9](?:(?<![0-9A-Za-z][2-9])(?<!\w[.\-][2-9])|(?<=%[0-9A-Fa-f]{2}[2-9]))"
    r"(?=([0-9]{12,18}|[0-9]{3}([ .\-])[0-9]{4}\2[0-9]{4}\2[0-9]{1,4}(?:\2[0-9]{3})?"
    r"|[0-9]{3}([ .\-])[0-9]{6}\3[0-9]{4,5})" + _JOINED_AFTER + ")",
    within=_cards,
    numeric=True,
)
IBAN = Rule(
    "iban",
    r"[0-9](?<=[A-Za-z]{2}[0-9])(?<![0-9A-Za-z_][A-Za-z]{2}[0-9])[0-9](?:[ \-]?[0-9A-Za-z]){11,30}",
    within=_iban,
    numeric=True,
)
# Not between two colons: there Amazon has its account numbers.
AADHAAR = Rule(
    "aadhaar",
    r"[2-9](?<![0-9A-Za-z+][2-9])(?<!\w[.\-][2-9])(?<![0-9]{4} [2-9])(?<!::[2-9])"
    r"[0-9]{3}(?:[0-9]{8}|[ ][0-9]{4}[ ][0-9]{4}(?! [0-9])|-[0-9]{4}-[0-9]{4})" + _JOINED_AFTER,
    check=lambda found: checks.aadhaar(_digits(found)),
    numeric=True,
)
SSN = Rule(
    "ssn",
    r"[0-8](?<![0-9A-Za-z/][0-8])(?<!\w[.\-][0-8])[0-9]{2}-[0-9]{2}-[0-9]{4}" + _JOINED_AFTER,
    check=lambda found: checks.ssn(_digits(found)),
    numeric=True,
)
_SAID = r"(?:[ _](?:card|number|no|num)\b){0,2}[^\w\n]{0,4}(?:(?:is|was)[ :]{1,2})?"
SSN_SAID = Rule(
    "ssn",
    r"(?i:\b(?<!\[)(?:ssn|social(?:[ _]security)?)"
    + _SAID
    + r")([0-9]{3}[ \-]?[0-9]{2}[ \-]?[0-9]{4})"
    + _JOINED_AFTER,
    check=lambda found: checks.ssn(_digits(found)),
    needs=("ssn", "social"),
    numeric=True,
)
# India's tax number: the fourth letter is the kind of holder, P for a person.
PAN = Rule("pan", r"[A-Z](?<![0-9A-Za-z_][A-Z])[A-Z]{2}[ABCFGHJLPT][A-Z][0-9]{4}[A-Z](?![0-9A-Za-z_])")
PAN_SAID = Rule(
    "pan",
    r"(?i:\b(?<!\[)pan" + _SAID + r"([A-Z]{3}[ABCFGHJLPT][A-Z][0-9]{4}[A-Z]))(?![0-9A-Za-z_])",
    needs=("pan",),
)
