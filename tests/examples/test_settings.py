"""What the demo and its exporter are told from outside."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from examples.settings import Settings, is_loopback, place
from exporter import config

EXAMPLES = Path(__file__).parents[2] / "examples"


def test_without_a_variable_the_demo_stays_on_this_machine():
    """No default leads to the real AI service or to a server elsewhere; faults are off."""
    settings = Settings.from_environment({})
    assert "127.0.0.1" in settings.database_url
    assert "127.0.0.1" in settings.redis_url
    assert "127.0.0.1" in settings.openai_base_url
    assert settings.faults is None


def test_variables_are_taken():
    """Each variable reaches its setting; an empty one is as none."""
    settings = Settings.from_environment(
        {
            "DATABASE_URL": "postgresql://a:b@c/d",
            "REDIS_URL": "",
            "DEMO_FAULTS": "/tmp/faults",
            "DEMO_INVOICE_SECONDS": "2",
        }
    )
    assert settings.database_url == "postgresql://a:b@c/d"
    assert settings.redis_url == Settings().redis_url
    assert (settings.faults, settings.invoice_seconds) == (Path("/tmp/faults"), 2.0)


def test_a_fault_folder_that_workers_could_seek_in_different_places_is_refused():
    """The message says what belongs there; so it does to who still writes DEMO_FAULTS=1."""
    with pytest.raises(ValueError, match="DEMO_FAULTS=1: name a folder that all workers share"):
        Settings.from_environment({"DEMO_FAULTS": "1"})


def test_the_application_reads_its_addresses_from_files(tmp_path):
    """DATABASE_URL_FILE names a file; it goes before DATABASE_URL."""
    (tmp_path / "url").write_text("postgresql://a:b@c/d\n")
    settings = Settings.from_environment({"DATABASE_URL_FILE": str(tmp_path / "url"), "DATABASE_URL": "x"})
    assert settings.database_url == "postgresql://a:b@c/d"


def test_secrets_are_not_shown():
    """Addresses with passwords and keys appear in no print and no log."""
    settings = Settings(
        database_url="postgresql://u:geheim@h/d", redis_url="redis://:geheim@h", openai_api_key="geheim"
    )
    assert "geheim" not in repr(settings)
    assert place(settings.database_url) == "h/d"


@pytest.mark.parametrize(
    ("host", "here"),
    [("localhost", True), ("127.0.0.1", True), ("127.8.8.8", True), ("::1", True)]
    + [(other, False) for other in ("127.example.com", "127.1", "0.0.0.0", "10.0.0.1", "", None)],
)
def test_this_machine_is_known_by_address(host, here):
    """A name that begins like an address of this machine is a name of any machine."""
    assert is_loopback(host) is here


def test_the_exporter_finds_everything_in_the_demo(demo):
    """With examples/watchkeeper.yml each collector works, and the monitoring role is enough."""
    addresses = {
        "WATCHKEEPER_COLLECTORS__POSTGRES__DSN": demo.postgres.monitor_dsn,
        "WATCHKEEPER_COLLECTORS__SQL__DSN": demo.postgres.monitor_dsn,
        "WATCHKEEPER_COLLECTORS__REDIS__URL": demo.redis.url,
    }
    command = [sys.executable, "-m", "exporter", "check", "--config", EXAMPLES / "watchkeeper.yml"]
    done = subprocess.run(
        command,
        env={**os.environ, **addresses},
        cwd=EXAMPLES.parent,
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_exporters_file_is_valid():
    """examples/watchkeeper.yml and the three variables that it names make a whole configuration."""
    valid = config.load(
        EXAMPLES / "watchkeeper.yml",
        {
            "WATCHKEEPER_COLLECTORS__POSTGRES__DSN": "postgresql://u:p@127.0.0.1:5432/demo",
            "WATCHKEEPER_COLLECTORS__SQL__DSN": "postgresql://u:p@127.0.0.1:5432/demo",
            "WATCHKEEPER_COLLECTORS__REDIS__URL": "redis://127.0.0.1:6379/0",
        },
    )
    assert set(valid.collectors) == {"host", "postgres", "redis", "sql"}
    assert valid.server.address == ("127.0.0.1", 9808)
