"""The promise to whoever adds a collector: one file, and everything knows it."""

import asyncio
import re
import sys
from pathlib import Path

import pytest

from exporter import collectors, inventory
from exporter.config import ConfigError, load
from exporter.scrape import Scraper

EXAMPLE = re.search(
    r"`exporter/collectors/smtp\.py`:\n\n```python\n(.*?)```",
    (Path(__file__).parents[2] / "CONTRIBUTING.md").read_text(),
    re.DOTALL,
)

# The part that the example leaves to its reader: the connection itself.
FAKE = """

class Connection:
    async def queues(self):
        return {"active": 3}


async def connect(settings):
    return Connection()


async def disconnect(connection):
    pass
"""


@pytest.fixture
def dropped_in(tmp_path, monkeypatch):
    """The example of CONTRIBUTING.md, put into the folder of collectors, and nothing else touched."""
    assert EXAMPLE
    (tmp_path / "smtp.py").write_text(EXAMPLE[1] + FAKE)
    monkeypatch.setattr(collectors, "__path__", [*collectors.__path__, str(tmp_path)])
    collectors.found.cache_clear()
    yield
    collectors.found.cache_clear()
    sys.modules.pop("exporter.collectors.smtp", None)


@pytest.mark.usefixtures("dropped_in")
def test_a_file_in_the_folder_is_a_collector():
    """Settings, variables, scrape, health series and the inventory know it without another line."""
    config = load(None, {"WATCHKEEPER_COLLECTORS__SMTP__HOST": "mail"})
    assert config.collectors["smtp"].host == "mail"
    module = collectors.found()["smtp"]

    async def run():
        scraper = Scraper({"smtp": (module, config.collectors["smtp"])})
        samples = await scraper.scrape(5)
        await scraper.close()
        return {(s.metric.name, *s.labels): s.value for s in samples}

    page = asyncio.run(run())
    assert page["smtp_queue_messages", "active"] == 3
    assert page["smtp_up",] == 1
    assert page["watchkeeper_collector_success", "smtp"] == 1
    assert "smtp_queue_messages" in inventory.everything()


@pytest.mark.usefixtures("dropped_in")
def test_a_missing_value_says_both_ways_to_give_it():
    """The message names the key for the file and the variable for the environment."""
    with pytest.raises(ConfigError) as error:
        load(None, {"WATCHKEEPER_COLLECTORS__SMTP__PORT": "25"})
    assert "collectors.smtp.host is missing" in str(error.value)
    assert "WATCHKEEPER_COLLECTORS__SMTP__HOST" in str(error.value)


@pytest.mark.usefixtures("dropped_in")
def test_its_settings_are_strict_at_once():
    """A misspelt key of the new collector is refused like any other."""
    with pytest.raises(ConfigError, match="did you mean 'host'"):
        load(None, {"WATCHKEEPER_COLLECTORS__SMTP__HOTS": "mail"})
