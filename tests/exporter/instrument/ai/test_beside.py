"""Other instrumentations in the same process: neither side sees more or less than alone."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[4]
NEEDS = {"sentry": "sentry_sdk", "otel": "opentelemetry.instrumentation.openai"}

OURS = {
    "calls": {
        "('openai', 'gpt-5.6-mini', 'chat', 'success')": 4,
        "('openai', 'gpt-5.6-mini', 'chat', 'cancelled')": 2,
        "('openai', 'gpt-5.6-mini', 'chat', 'error')": 2,
        "('openai', 'e', 'embeddings', 'success')": 2,
        "('openai', 'r', 'responses', 'success')": 2,
        "('anthropic', 'claude-opus-5', 'chat', 'success')": 4,
    },
    "attempts": {"200": 14, "429": 2, "400": 2},
    # Six whole replies with 12 and 7 tokens and the embeddings with 12, sync and async.
    "tokens": {"input_uncached": 144, "output_text": 70},
    "errors": {"invalid_request": 2},
    "unpriced": {"no_price": 12, "no_usage": 2},
    "in_progress": {},
    "failures": {},
}


def installed(name):
    try:
        return importlib.util.find_spec(NEEDS[name]) is not None
    except ModuleNotFoundError:
        return False


@pytest.fixture(scope="module")
def reports(request):
    """What a program found in both orders; by order."""
    name = request.param
    if not installed(name):
        pytest.skip(f"{NEEDS[name]} is not installed")
    command = [sys.executable, "-W", "ignore", "-m", "tests.exporter.instrument.ai.beside", name]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert (done.returncode, done.stderr) == (0, "")
    return {report["order"]: report for report in map(json.loads, done.stdout.splitlines())}


@pytest.mark.parametrize("order", ["ours_first", "theirs_first"])
@pytest.mark.parametrize("reports", NEEDS, indirect=True)
def test_neither_side_notices_the_other(reports, order):
    """Whoever comes first: their spans are the same with and without us, and our numbers are right."""
    report = reports[order]
    one, other = report["theirs"]
    assert one == other
    assert len(one) > 10
    assert report["ours"] == [OURS]
