"""The address of a Postgres: which ones are taken, and that no faulty one is ever shown."""

import pytest
from pydantic import ValidationError

from exporter.collectors import postgres as collector
from exporter.collectors._reasons import reason
from tests.exporter.collectors.driving import failure, read_once

SECRET = "hunter2"


@pytest.mark.parametrize(
    "dsn",
    [
        f"postgresql://u:{SECRET}/x@db/shop",
        f"postgresql://u:{SECRET}#x@db/shop",
        f"postgresql://u:{SECRET}?x@db/shop",
        f"mysql://u:{SECRET}@db/shop",
        f"postgresql://u:{SECRET}@db:port/shop",
        f"host=db password={SECRET}",
        f"postgresql://u:{SECRET} @db/shop",
    ],
)
def test_a_malformed_address_is_refused_and_not_shown(dsn: str):
    """The settings say what an address looks like, and quote nothing of the one that was given."""
    with pytest.raises(ValidationError) as caught:
        collector.Settings(dsn=dsn)
    assert "must look like postgresql://" in str(caught.value)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    "dsn",
    [
        "postgresql://u:p%40ss@db:5432/shop",
        "postgres://u@db/shop",
        "postgresql://u:p@ss@db/shop",
        "postgresql://u:p@[::1]:5432/shop?sslmode=require",
        "postgresql:///shop?host=/run/postgresql",
        "postgresql://u:p@a:5432,b:5433/shop",
    ],
)
def test_addresses_of_every_usual_form_are_taken(dsn: str):
    """Sockets, IPv6, several hosts and parameters are all addresses."""
    assert collector.Settings(dsn=dsn).address() == dsn


def test_an_address_can_come_from_a_file(postgres, tmp_path):
    """`dsn_file` is read at each connecting; a bad text in it is refused without being shown."""
    file = tmp_path / "dsn"
    file.write_text(postgres.monitor_dsn + "\n")
    settings = collector.Settings(dsn_file=file)
    assert read_once(collector, settings)
    file.write_text(f"{SECRET}\n")
    error = failure(collector, settings)
    assert reason(error) == "invalid"
    assert str(file) in str(error)
    assert SECRET not in str(error)


@pytest.mark.parametrize("given", [{}, {"dsn": "postgresql://db/x", "dsn_file": "/run/dsn"}])
def test_exactly_one_address_is_needed(given):
    """None, or two, is an error of the configuration."""
    with pytest.raises(ValidationError, match="give either dsn or dsn_file"):
        collector.Settings(**given)
