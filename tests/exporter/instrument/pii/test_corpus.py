"""The corpus: what the rules were tuned on is all right, and the other half is no worse than was measured."""

import subprocess
import sys
from pathlib import Path

import pytest

from exporter.instrument.pii import Scrubber
from tests.exporter.instrument.pii.cases import HALVES, cases, table, tried

ROOT = Path(__file__).parents[4]


def test_there_are_enough_cases():
    """Two hundred of each, half of them never looked at while rules were written; and none is there twice."""
    for kind in ("positives", "negatives"):
        every = [case.text for half in HALVES for case in cases(half, kind)]
        assert len(every) >= 200
        assert len(set(every)) == len(every)
        assert sum(1 for _ in cases("held_out", kind)) >= 100


@pytest.mark.parametrize("case", list(cases("tuned", "positives")), ids=lambda case: case.text[:40])
def test_what_is_private_goes_and_the_rest_stays(case):
    """The marked pieces are replaced, by the right mark, and nothing else is."""
    (found,) = tried(Scrubber(), [case])
    assert found.right, found.got


@pytest.mark.parametrize("case", list(cases("tuned", "negatives")), ids=lambda case: case.text[:40])
def test_what_is_harmless_stays(case):
    """Identifiers, times, versions and keys that only look like secrets come out as they went in."""
    assert Scrubber().value(case.text) == case.text


def test_the_other_half_is_no_worse_than_was_measured():
    """These bounds are what was measured, see docs/privacy.md; they may only fall."""
    positives = tried(Scrubber(), cases("held_out", "positives"))
    negatives = tried(Scrubber(), cases("held_out", "negatives"))
    assert [found.case.text for found in positives if found.missed] == []
    assert sum(found.too_much for found in positives) <= 2
    assert [found.case.text for found in negatives if not found.right] == []


def test_the_document_says_what_the_command_prints():
    """docs/privacy.md holds the table of `python -m tests.exporter.instrument.pii`."""
    command = [sys.executable, "-m", "tests.exporter.instrument.pii"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert table() in done.stdout
    assert table() in (ROOT / "docs/privacy.md").read_text()
