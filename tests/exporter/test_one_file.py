"""The promise to whoever adds a collector: one file and its test, and everything knows it."""

import asyncio
import re
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

from exporter import collectors, inventory
from exporter.config import ConfigError, load
from exporter.scrape import Scraper

ROOT = Path(__file__).parents[2]
COLLECTOR, TEST = "exporter/collectors/smtp.py", "tests/exporter/collectors/test_smtp.py"


def example(path):
    """The text of a file that CONTRIBUTING.md shows."""
    found = re.search(
        rf"`{path}`.*?:\n\n```python\n(.*?)```", (ROOT / "CONTRIBUTING.md").read_text(), re.DOTALL
    )
    assert found, path
    return found[1]


@pytest.fixture
def dropped_in(tmp_path, monkeypatch):
    """The example of CONTRIBUTING.md, put into the folder of collectors, and nothing else touched."""
    (tmp_path / "smtp.py").write_text(example(COLLECTOR))
    monkeypatch.setattr(collectors, "__path__", [*collectors.__path__, str(tmp_path)])
    collectors.found.cache_clear()
    yield
    collectors.found.cache_clear()
    sys.modules.pop("exporter.collectors.smtp", None)


@pytest.mark.usefixtures("dropped_in")
def test_a_file_in_the_folder_is_a_collector():
    """Settings, variables, scrape, health series and the inventory know it without another line."""
    tests: dict = {}
    exec(compile(example(TEST), "test_smtp.py", "exec"), tests)
    with contextmanager(tests["prepare"])() as settings:
        prefix = "WATCHKEEPER_COLLECTORS__SMTP__"
        config = load(None, {f"{prefix}{key.upper()}": str(value) for key, value in settings.items()})
        assert config.collectors["smtp"].host == settings["host"]
        module = collectors.found()["smtp"]

        async def run():
            scraper = Scraper({"smtp": (module, config.collectors["smtp"])})
            samples = await scraper.scrape(5)
            await scraper.close()
            return {(s.metric.name, *s.labels): s.value for s in samples}

        page = asyncio.run(run())
    assert page["smtp_mail_size_max_bytes",] == 1000
    assert page["smtp_up",] == 1
    assert page["watchkeeper_collector_success", "smtp"] == 1
    assert "smtp_mail_size_max_bytes" in inventory.everything()


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


def test_the_example_passes_the_tests_of_all_collectors(tmp_path):
    """Both files in a copy of the project: the contract, the walls and the linter are content as they are."""
    for folder in ("exporter", "scripts", "tests"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    for path in (COLLECTOR, TEST):
        (tmp_path / path).write_text(example(path))
    tests = ["tests/exporter/collectors/test_contract.py", "tests/exporter/test_inventory.py", TEST]
    for command, needed in (
        (["pytest", "-q", "-k", "smtp or inventory", *tests], r"\b(?!0)\d+ passed"),
        (["ruff", "check", "--no-cache", COLLECTOR, TEST], "All checks passed"),
        (["ruff", "format", "--no-cache", "--check", COLLECTOR, TEST], "2 files already formatted"),
    ):
        result = subprocess.run(
            [sys.executable, "-m", *command], cwd=tmp_path, capture_output=True, text=True, timeout=300
        )
        assert result.returncode == 0, result.stdout + result.stderr
        assert re.search(needed, result.stdout), result.stdout
