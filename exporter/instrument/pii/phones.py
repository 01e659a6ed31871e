"""Phone numbers: international, of some countries by their shape, the rest where a word says so."""

import itertools
import re
from collections.abc import Iterator

from exporter.instrument.pii import checks
from exporter.instrument.pii.numbers import rising
from exporter.instrument.pii.rules import Rule, Span

_DIGITS = re.compile(r"[0-9]+")
_WORD = re.compile(
    r"""(?xi) (?:^|(?<![\[\w])) (?: (?: phone | ph | mobile | mob | tel | telephone | cell | fax
                       | whats[ ]?app | sms | msisdn | contact | otp
                       | (?:my|his|her|our|mera|meine|mon|mi|mein)[ ](?:\w{1,12}[ ])?(?=num|nummer|núm) )
                     (?:[ _.]?(?:number|nummer|numéro|número|no|num|nr)\b)?
                   | (?:call|text|ring|dial|reach)(?:[ ](?:me|us|him|her|at|on)\b){1,2} )
    [^\w\n+(]{0,4} (?:(?:is|ist|hai|at|on|to|sent)[ :]{1,2}){0,2} \Z"""
)
_ROUND = re.compile(r"[0-9]{2}000[ \-]")  # 60000-64999 is a range
_EXTENSION = re.compile(r"x[0-9]{1,6}")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}|[0-9]{1,2}[./][0-9]{1,2}[./][0-9]{4}")


def _groups(match: re.Match[str]) -> list[Span]:
    return [found.span() for found in _DIGITS.finditer(match.string, *match.span(1))]


def _total(groups: list[Span]) -> int:
    return sum(end - start for start, end in groups)


def _international(match: re.Match[str]) -> Iterator[Span]:
    """After + or 00: a country's code, and as many digits as its numbers have."""
    text, groups = match.string, _groups(match)
    bounds = checks.national("".join(text[start:end] for start, end in groups))
    if not bounds:
        return
    while groups and _total(groups) > bounds[1]:  # other numbers follow
        groups.pop()
    if _total(groups) < bounds[0]:
        return
    end = groups[-1][1]
    between = "".join(text[a[1] : b[0]] for a, b in itertools.pairwise(groups))
    decimal = between == "."
    counter = match.group().startswith("0") and (not between or " 0" in match.group())
    if extension := _EXTENSION.match(text, end):
        end = extension.end()
    if not (decimal or counter or text[end : end + 1].isalnum()):
        start = match.start()
        bracket = text[start - 1 : start] == "(" and 0 <= between.find(")") < 2 and "(" not in between
        yield start - bracket, end


def _said(match: re.Match[str]) -> Iterator[Span]:
    """After a word such as phone: seven to fifteen digits, however they are grouped."""
    text, start = match.string, match.start()
    if not _WORD.search(text[max(start - 48, 0) : start]):
        return
    groups = [found.span() for found in _DIGITS.finditer(text, *match.span())]
    while len(groups) > 1 and _total(groups[:-1]) >= 10:
        groups.pop()
    if 7 <= _total(groups) <= 15 and not _DATE.match(text, start):
        yield start, groups[-1][1]


INTERNATIONAL = Rule(
    "phone",
    r"(?:\+(?<![\w.+\-]\+)|%2[Bb]|00(?<![\w.:,\-/]00)(?=[0-9]{2,4}[ ]))[ ]?"
    r"(\(?[1-9](?:[ ().\-/\u00a0]{0,2}[0-9]){6,24})",
    within=_international,
    numeric=True,
)
# Shapes, by the first character: North America; Brazil; India's mobiles; France's pairs; area codes with a 0.
NATIONAL = Rule(
    "phone",
    r"""(?x)[(0-9] (?<![\w.\-/+\#$€£][(0-9]) (?<![0-9][ ,][(0-9])
    (?: (?: (?<=\() [2-9][0-9]{2}\)[ ]?[2-9][0-9]{2}[ .\-][0-9]{4}
          | (?<=1) [ .\-]\(?[2-9][0-9]{2}\)?[ .\-][2-9][0-9]{2}[ .\-][0-9]{4}
          | (?<=0) 01[ .\-][2-9][0-9]{2}[ .\-][2-9][0-9]{2}[ .\-][0-9]{4}
          | (?<=[2-9]) [0-9]{2}([ .\-])[2-9][0-9]{2}\1[0-9]{4}
        ) (?:[ ]?(?:x|ext\.?)[ ]?[0-9]{1,6})?
      | (?<=[1-9]) [1-9][ ]9?[0-9]{4}-[0-9]{4}
      | (?<=[6-9]) [0-9]{4}[ \-][0-9]{5}
      | (?<=0) [6-9][0-9]{4}[ \-]?[0-9]{5}
      | (?<=0) [1-9]([ .\-])[0-9]{2}(?:\2[0-9]{2}){3} (?![ ][0-9a-fA-F]{2}\b)
      | (?<=0) [1-9][0-9][ /\-][0-9]{4}[ \-]?[0-9]{3,4}
      | (?<=0) [1-9][0-9]{2}[ /\-][0-9]{3}[ \-]?[0-9]{3,4}
      | (?<=0) [1-9][0-9]{3}[ /\-][0-9]{3}[ \-]?[0-9]{3}
      | (?<=0) [1-9][0-9]{1,3}[ /\-][0-9]{6,8}
      | (?<=\() 0[1-9][0-9]{0,4}\)[ \-]{0,2}[0-9]{3,8}(?:[ \-][0-9]{3,4})?
    ) (?![\w/\-]) (?![.,][0-9]) (?![ ][0-9]{2})""",
    check=lambda found: not rising(found) and not _ROUND.match(found),
    within=lambda match: (match.span(),),
    numeric=True,
)
# Found from the number outward: of these there are fewer than of words.
SAID = Rule(
    "phone",
    r"[(0-9](?<![\w.\-/+(][(0-9])([0-9 ().\-/]{5,18}[0-9])(?![\w\-])",
    within=_said,
    needs=("ph", "mob", "tel", "cell", "fax", "whats", "sms", "msisdn", "contact", "otp", "num", "núm",
           "call ", "text ", "ring ", "dial ", "reach "),
    numeric=True,
)  # fmt: skip
