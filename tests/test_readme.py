"""README says what is true: its examples run, its files are there, its settings are valid."""

import asyncio
import re
from pathlib import Path

import pytest
import sqlalchemy
import yaml
from fastapi.testclient import TestClient

from exporter.config import load

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(language):
    """The code blocks of one language."""
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def test_the_two_lines_are_enough():
    """The first example is an application that serves its metrics, and the second one works with it."""
    first, second = blocks("python")[:2]
    names = {"pool": sqlalchemy.create_engine("sqlite://")}
    exec(first + second, names)
    asyncio.run(names["sync_invoices"]())
    names["sessions"].hit()
    with TestClient(names["app"]) as client:
        client.get("/docs")
        page = client.get("/metrics").text
    for line in (
        'http_requests_total{method="GET",route="/docs",status="200"} 1.0',
        'workflow_executions_total{workflow="invoice_sync",status="success"} 1.0',
        'cache_requests_total{cache="sessions",result="hit"} 1.0',
        'ai_tokens_total{provider="openai",model="gpt-5.6-mini",type="input_uncached"} 100.0',
    ):
        assert line in page
    names["obs"].uninstrument()


def test_the_demo_application_has_the_same_two_lines():
    """What README shows is what the set-up runs."""
    demo = (ROOT / "examples/app.py").read_text()
    for line in ("from exporter import instrument", "obs = instrument(app)"):
        assert line in blocks("python")[0]
        assert re.search(rf"^{re.escape(line)}", demo, re.MULTILINE)


def test_the_settings_are_valid(tmp_path):
    """The exporter accepts the example as it stands."""
    (example,) = blocks("yaml")
    path = tmp_path / "watchkeeper.yml"
    path.write_text(example)
    assert set(load(path, {}).collectors) == set(yaml.safe_load(example)["collectors"])


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_to_a_file_leads_there(document):
    """A document that points at nothing costs a reader's trust."""
    for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", document.read_text()):
        if "://" not in target and not target.startswith("mailto:"):
            assert (document.parent / target).exists(), f"{document.name}: {target}"
