"""The stand-in for users' tests: documented as it is, and true to what it says it sent."""

import os
import re
import sys
from pathlib import Path
from types import SimpleNamespace

import openai
import pytest

from exporter.instrument import ai
from exporter.testing import FakeAI, Gate
from tests.exporter.instrument.ai.driving import ASK

ROOT = Path(__file__).parents[4]
PAGE = (ROOT / "docs/ai.md").read_text()


def test_the_examples_of_the_page_pass(tmp_path):
    """What a user copies from docs/ai.md into two files is a passing suite."""
    plugins, tests = (
        block
        for block in re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
        if "fake_ai" in block or "plugins" in block
    )
    (tmp_path / "conftest.py").write_text(plugins)
    (tmp_path / "test_mine.py").write_text(tests)
    said = tmp_path / "said"
    child = os.fork()  # a new interpreter would take seconds to import the SDKs
    if child == 0:
        with said.open("w") as file:
            sys.stdout = sys.stderr = file
            try:
                pytest.main(["-q", "-p", "no:cacheprovider", "--rootdir", str(tmp_path), str(tmp_path)])
            finally:
                file.flush()
                os._exit(0)
    os.waitpid(child, 0)
    assert "3 passed" in said.read_text()


def test_the_page_names_every_metric_and_category():
    """Whoever looks for a name finds it on the page."""
    for name in ai.__all__:
        metric = getattr(ai, name)
        if hasattr(metric, "help") and name not in ("LIMIT", "REMAINING", "USED", "RESET"):
            assert metric.name in PAGE
    for word in (*ai.CATEGORIES, *ai.OUTCOMES, *ai.TOKEN_TYPES):
        assert word in PAGE


def test_the_queries_of_the_page_can_be_asked():
    """They parse, and name nothing that we do not publish."""
    parser = pytest.importorskip("promql_parser")
    queries = re.findall(r"^```promql\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    published = {getattr(ai, name).name for name in ai.__all__ if hasattr(getattr(ai, name), "help")}
    for query in queries:
        parser.parse(query)
        assert set(re.findall(r"ai_\w+", query)) <= published
    assert len(queries) == 5


class Bedrock:
    def converse(self, modelId, messages):  # noqa: N803 - the name of theirs
        usage = {"inputTokens": 10, "cacheReadInputTokens": 90, "outputTokens": 5, "totalTokens": 105}
        text = messages[0]["content"][0]["text"]
        if text == "fail":
            raise RuntimeError("theirs")
        return {"usage": usage, "output": {"message": {"content": [{"text": text.upper()}]}}}


class Google:
    class models:  # noqa: N801 - the name of theirs
        @staticmethod
        def generate_content(model, contents):
            if contents == "fail":
                raise RuntimeError("theirs")
            usage = SimpleNamespace(
                prompt_token_count=100,
                cached_content_token_count=90,
                candidates_token_count=5,
                thoughts_token_count=None,
            )
            return SimpleNamespace(text=contents.upper(), usage_metadata=usage)


@pytest.mark.parametrize(
    ("function", "client", "provider", "model"),
    [
        ("ask_bedrock", Bedrock(), "aws", "anthropic.claude-sonnet-4-5-20250929-v1:0"),
        ("ask_google", Google(), "google", "gemini-2.5-flash"),
    ],
)
def test_the_functions_of_the_page_for_other_services_count_right(watched, function, client, provider, model):
    """Both ways of telling the cache come out alike, the price is found, and errors pass."""
    genai_prices = pytest.importorskip("genai_prices")
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    (block,) = (block for block in blocks if "ask_bedrock" in block)
    names = {"obs": watched.obs}
    exec(block, names)
    watched.ledger.prices._installed = True
    assert names[function](client, model, "hello") == "HELLO"
    tokens = {labels[2]: count for labels, count in watched.samples("ai_tokens_total").items()}
    assert tokens == {"input_uncached": 10, "input_cache_read": 90, "output_text": 5}
    usage = genai_prices.Usage(input_tokens=100, cache_read_tokens=90, output_tokens=5)
    theirs = genai_prices.calc_price(usage, model_ref=model, provider_id=provider).total_price
    assert watched.seen["unpriced"] == {}
    assert watched.samples("ai_cost_usd_total") == {(provider, model, "none"): pytest.approx(float(theirs))}
    with pytest.raises(RuntimeError, match="theirs"):
        names[function](client, model, "fail")
    assert watched.samples("ai_api_calls_total")[provider, model, "chat", "error"] == 1


def test_answers_come_in_the_order_of_the_script():
    """First what was said first, then the default again."""
    with FakeAI() as fake, openai.OpenAI(base_url=fake.openai_url, api_key="x", max_retries=0) as client:
        fake.say(text="one")
        fake.fail(500)
        texts = []
        for _ in range(3):
            try:
                texts.append(client.chat.completions.create(**ASK).choices[0].message.content)
            except openai.InternalServerError:
                texts.append("failed")
        assert texts == ["one", "failed", fake.default.text]
        assert [arrived.path for arrived in fake.requests] == ["/openai/v1/chat/completions"] * 3


def test_a_path_that_it_does_not_know_is_a_404():
    """Not a silent 200 that would hide a slip."""
    with (
        FakeAI() as fake,
        openai.OpenAI(base_url=fake.openai_url, api_key="x") as client,
        pytest.raises(openai.NotFoundError),
    ):
        client.moderations.create(input="a")


def test_it_ends_with_clients_that_still_wait():
    """A test that fails in the middle leaves no thread and no port behind."""
    gate = Gate()
    with FakeAI() as fake:
        fake.say(silent=True)
        fake.say(gate=gate)
        client = openai.OpenAI(base_url=fake.openai_url, api_key="x", max_retries=0, timeout=0.05)
        for _ in range(2):
            with pytest.raises(openai.APITimeoutError):
                client.chat.completions.create(**ASK)
        client.close()
    assert not fake._thread.is_alive()
    gate.open()
