"""Hostile text costs in proportion to its length: counted steps and the shape of the patterns, no clock."""

import importlib
import pkgutil
import re
import sys
from re import _constants as sre
from re import _parser

import pytest

from exporter.instrument import pii as package
from exporter.instrument.pii import DEFAULT_RULES, Scrubber
from tests.exporter.instrument.pii.hostile import TAIL, UNITS

FAR = 300  # a repetition with more rounds than this counts as one without a bound


def patterns():
    """Every compiled pattern of the package, those inside rules too."""
    for info in pkgutil.iter_modules(package.__path__, package.__name__ + "."):
        for name, value in vars(importlib.import_module(info.name)).items():
            if isinstance(value, re.Pattern):
                yield f"{info.name}.{name}", value
    for number, rule in enumerate(DEFAULT_RULES):
        yield f"rule {number} {rule.kind}", rule.pattern


def repetitions(parsed):
    """Yield (operation, most rounds, what is repeated, what comes after it in its row)."""
    for place, (operation, argument) in enumerate(parsed):
        if operation in (sre.MAX_REPEAT, sre.MIN_REPEAT, sre.POSSESSIVE_REPEAT):
            yield operation, argument[1], argument[2], parsed[place + 1 :]
        for part in parts(argument):
            yield from repetitions(part)


def parts(argument):
    if isinstance(argument, _parser.SubPattern):
        yield argument
    elif isinstance(argument, tuple | list):
        for each in argument:
            yield from parts(each)


@pytest.mark.parametrize(("name", "pattern"), [pytest.param(*p, id=p[0]) for p in patterns()])
def test_no_pattern_can_try_a_long_stretch_twice(name, pattern):
    """A repetition without a bound is possessive or last, and none holds another."""
    flags = pattern.flags & ~re.UNICODE
    for operation, most, inner, after in repetitions(_parser.parse(pattern.pattern, flags)):
        if most <= FAR:
            continue
        assert all(m <= FAR or op is sre.POSSESSIVE_REPEAT for op, m, _, _ in repetitions(inner))
        # SQL's strings and $$ quotations take all that they have looked through, to the end if need be.
        assert operation is sre.POSSESSIVE_REPEAT or not list(after) or name.endswith("sql._LITERAL")


@pytest.mark.parametrize("method", ["text", "value", "url", "query", "sql"])
@pytest.mark.parametrize("unit", UNITS, ids=repr)
def test_twice_the_text_is_twice_the_steps(unit, method):
    """Lines of Python run, over texts that tempt to look again; their tails need every rule."""
    short, long = (
        steps(getattr(Scrubber(), method), unit * (size // len(unit)) + TAIL) for size in (1000, 2000)
    )
    assert long <= 2.2 * short + 200


def steps(function, text):
    count = 0

    def trace(frame, event, argument):
        nonlocal count
        count += 1
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        function(text)
    finally:
        sys.settrace(before)
    return count
