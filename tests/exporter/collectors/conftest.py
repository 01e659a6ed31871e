"""Databases of the tests' own on the shared Postgres."""

import asyncio
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from scripts.stack.servers import MONITOR, Postgres
from tests.exporter.collectors.driving import execute

SCHEMA = Path(__file__).parents[3] / "examples/schema.sql"


@dataclass(frozen=True)
class Database:
    """A database: `dsn` for its owner, `monitor_dsn` for the role that has pg_monitor."""

    name: str
    dsn: str
    monitor_dsn: str


@pytest.fixture
def database(postgres: Postgres) -> Iterator[Database]:
    """An empty database, gone after the test."""
    name = f"test_{secrets.token_hex(4)}"
    asyncio.run(execute(postgres.dsn, f"create database {name}"))
    yield Database(name, postgres.dsn_of(name), postgres.monitor_dsn_of(name))
    asyncio.run(execute(postgres.dsn, f"drop database {name} with (force)"))


@pytest.fixture
def shop(database: Database) -> Database:
    """A database with the demo's tables, which the monitoring role may read."""
    grant = f"grant select on all tables in schema public to {MONITOR}"
    asyncio.run(execute(database.dsn, SCHEMA.read_text(), grant))
    return database
