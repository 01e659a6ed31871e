"""Both metrics pages before Prometheus's own linter; it may object to borrowed names only."""

import subprocess

import httpx
import pytest
from fastapi import FastAPI
from prometheus_client import CollectorRegistry

from exporter import instrument, inventory
from exporter.config import load
from exporter.pages import application
from exporter.service import Service
from tests.serving import serving

SUCCESS = "watchkeeper_collector_success{"


def objections(program, page):
    """Return {metric: what promtool says of it}."""
    result = subprocess.run(
        [str(program.path), "check", "metrics"], input=page, capture_output=True, text=True, timeout=60
    )
    assert result.returncode in (0, 3), result.stderr  # 3: the page is read, and its style is not liked
    assert "error while linting" not in result.stderr
    return dict(line.split(" ", 1) for line in result.stderr.splitlines())


@pytest.fixture
def exporter_page(postgres, redis_server):
    """What the exporter says with every collector on."""
    config = load(
        None,
        {
            "WATCHKEEPER_COLLECTORS__HOST": "",
            "WATCHKEEPER_COLLECTORS__POSTGRES__DSN": postgres.monitor_dsn,
            "WATCHKEEPER_COLLECTORS__REDIS__URL": redis_server.url,
        },
    )
    with serving(application(Service(config))) as url:
        page = httpx.get(f"{url}/metrics").text
    success = {line.split()[0]: line.split()[1] for line in page.splitlines() if line.startswith(SUCCESS)}
    assert [series for series, value in success.items() if value != "1.0"] == []
    for name in ("host", "postgres", "redis"):
        assert [series for series in success if f'"{name}' in series]
    return page


def test_the_exporters_page_passes(exporter_page, programs):
    """Names of our own have nothing to object to; those of standard exporters are kept as they are."""
    declared = inventory.everything()
    complaints = objections(programs["promtool"], exporter_page)
    assert {name for name in complaints if not (name in declared and declared[name].origin)} == set()


def test_an_applications_page_passes(programs):
    """Requests, workflows, AI calls and caches."""
    app = FastAPI()
    obs = instrument(app, registry=CollectorRegistry())
    with obs.workflow("w") as run, run.step("s"):
        obs.cache("c").hit()
    obs.ai.record(provider="p", model="m", operation="o", duration_seconds=1, tokens={"output_text": 1})
    with serving(app) as url:
        httpx.get(f"{url}/docs")
        page = httpx.get(f"{url}/metrics").text
    assert "http_requests_total{" in page
    assert objections(programs["promtool"], page) == {}
