"""Runbooks that cannot rot: each serves an alert, and the queries in it are asked."""

import asyncio
import re
import textwrap

import asyncpg
import pytest

from exporter.inventory import everything
from tests import promql
from tests.alert_rules.rules import ALERTS, RULES, RUNBOOKS

# Made by Prometheus and by prometheus_client.
FOREIGN = {"up", "process_start_time_seconds", "process_resident_memory_bytes"}

each_runbook = pytest.mark.parametrize("path", RUNBOOKS, ids=lambda path: path.stem)


def blocks(path, language):
    """Return the code blocks of a language."""
    found = re.findall(rf"^ *```{language}\n(.*?)^ *```", path.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    return [textwrap.dedent(block).strip() for block in found]


@each_runbook
def test_a_runbook_serves_an_alert_and_names_it(path):
    """No runbook is left over, it has the four sections, and it names each alert that links to it."""
    text = path.read_text("utf-8")
    served = [alert.name for alert in ALERTS if alert.annotations["runbook_url"].endswith(f"/{path.name}")]
    assert served
    assert [name for name in served if f"`{name}`" not in text] == []
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == ["Meaning", "Check", "Fix", "Afterwards"]


@each_runbook
def test_links_between_runbooks_lead_somewhere(path):
    """A link to a neighbour names a file that is there."""
    linked = re.findall(r"\]\(([\w-]+\.md)\)", path.read_text("utf-8"))
    assert [name for name in linked if not path.with_name(name).exists()] == []


@each_runbook
def test_queries_ask_for_series_that_exist(path):
    """Every PromQL block parses, and its names are declared, recorded or Prometheus' own."""
    known = FOREIGN | {rule.name for rule in RULES}
    for metric in everything().values():
        known |= {f"{metric.name}_bucket"} if metric.kind == "histogram" else {metric.name}
    queries = blocks(path, "promql")
    assert queries
    assert {name for query in queries for name, _ in promql.names_and_labels(query)} - known == set()


@pytest.mark.parametrize(
    "path", [path for path in RUNBOOKS if blocks(path, "sql")], ids=lambda path: path.stem
)
def test_sql_runs_on_a_real_postgres(path, postgres):
    """Every SQL block is accepted as it stands, so it can be pasted at 3 a.m."""

    async def run():
        connection = await asyncpg.connect(postgres.dsn, timeout=5)
        try:
            for statement in blocks(path, "sql"):
                await connection.fetch(statement, timeout=5)
        finally:
            await connection.close()

    asyncio.run(run())
