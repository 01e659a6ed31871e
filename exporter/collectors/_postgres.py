"""How the collectors that ask Postgres log in to it: few connections, kept, with a limit on every wait."""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import unquote, urlsplit
from weakref import WeakKeyDictionary

import asyncpg
from pydantic import Field, SecretStr, model_validator

from exporter.collectors import CollectorSettings, Keep
from exporter.collectors._connections import Connections
from exporter.collectors._lookup import looked_up

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]
else:
    Connection = asyncpg.Connection

# Checked before the driver sees it: its own message for a malformed address can show the password.
_HOST = r"(\[[\da-fA-F:.]+\]|[^@/?#\s:,\[\]]*)(:\d+)?"
_DSN = re.compile(rf"postgres(ql)?://([^/?#\s]*@)?{_HOST}(,{_HOST})*(/[^@/?#\s]*)?(\?[^@#\s]*)?")
_DSN_HELP = "must look like postgresql://user:password@host:5432/database, special characters as %40"

# Waiting for a lock helps nobody: the next reading comes soon. Half a second covers the short ones.
_LOCK_TIMEOUT_MS = 500
# Of a run's time; so a slow statement is ended by the server, which keeps the connection and tells why.
_SHARE_OF_SERVER = 0.9
# What each connection was told last.
_limits: "WeakKeyDictionary[Connection, str]" = WeakKeyDictionary()


class AddressSettings(CollectorSettings):
    """Where it is, and how to log in."""

    dsn: SecretStr | None = Field(
        default=None, description="Address, as postgresql://user:password@host:5432/database."
    )
    dsn_file: Path | None = Field(default=None, description="A file that holds the address instead.")

    @model_validator(mode="after")
    def _one_address(self) -> Self:
        if (self.dsn is None) == (self.dsn_file is None):
            raise ValueError("give either dsn or dsn_file")
        if self.dsn is not None:
            _checked(self.dsn.get_secret_value(), "dsn")
        return self

    def address(self) -> str:
        """Return the address. A file is read each time, so a changed password is found."""
        if self.dsn is not None:
            return self.dsn.get_secret_value()
        assert self.dsn_file is not None
        return _checked(self.dsn_file.read_text().strip(), f"the text of {self.dsn_file}")


class PostgresSettings(AddressSettings):
    """Which database, how to log in, and with how many connections."""

    connections: int = Field(
        default=2,
        ge=1,
        le=20,
        description="Connections to the server at most, those of other collectors to it included.",
    )


def server_of(address: str) -> str:
    """Return host:port, which postgres_exporter calls the server."""
    parts = urlsplit(address)
    hosts = parts.netloc.rpartition("@")[2] or _parameter(parts.query, "host") or "localhost"
    return unquote(hosts) if re.search(r":\d+$", hosts) else f"{unquote(hosts)}:5432"


@contextlib.asynccontextmanager
async def leased(
    settings: PostgresSettings,
    keep: Keep,
    *,
    database: str | None = None,
    seconds: float | None = None,
    patient: bool = False,
) -> AsyncIterator[Connection]:
    """Lend a read-only connection: to the database of the address, or to another one of that server.

    All collectors of a page share the few connections to a server, so this waits until one is free; the
    patient ones, which run in the background, wait for the others. The caller limits the waiting, as the
    scrape does with each run. A statement ends shortly before `seconds` (none: the settings' time-out).
    """
    address = settings.address()
    shared: Connections = keep.shared(f"postgres {server_of(address)}", Connections, Connections.close)
    shared.allow(settings.connections)

    async def connect() -> Connection:
        async with asyncio.timeout(settings.timeout):
            return await _connect(address, settings.timeout, database)

    async with shared.lent((address, database), connect, patient=patient) as connection:
        await _limit(connection, settings.timeout if seconds is None else seconds)
        yield connection


async def _connect(address: str, seconds: float, database: str | None) -> Connection:
    """Return a connection to the first host that takes us. Of several each has a share of the time."""
    hosts = hosts_of(address)
    options: dict[str, Any] = {"database": database} if database is not None else {}
    settings = {"application_name": "watchkeeper", "jit": "off"}  # compiling costs more than our queries
    if len(hosts) < 2 or "prefer-standby" in address:  # that choice needs to see all of them at once
        await asyncio.gather(*(looked_up(host) for host, _ in hosts))
        return await asyncpg.connect(address, timeout=seconds, server_settings=settings, **options)
    for number, (host, port) in enumerate(hosts, start=1):
        try:
            async with asyncio.timeout(seconds / len(hosts)):
                await looked_up(host)
                return await asyncpg.connect(
                    address, host=host, port=port, server_settings=settings, **options
                )
        except (OSError, asyncpg.CannotConnectNowError, asyncpg.TargetServerAttributeNotMatched):
            if number == len(hosts):
                raise
    raise AssertionError("the last host has answered or raised")


async def _limit(connection: Connection, seconds: float) -> None:
    """Make the session read-only and impatient.

    Not as options of the login: there a read-only session would never match target_session_attrs=read-write.
    """
    milliseconds = int(seconds * _SHARE_OF_SERVER * 1000)
    limits = (
        "set default_transaction_read_only = on;"
        f"set statement_timeout = {milliseconds};"
        f"set lock_timeout = {min(_LOCK_TIMEOUT_MS, milliseconds)};"
        f"set idle_in_transaction_session_timeout = {milliseconds}"
    )
    if _limits.get(connection) != limits:
        await connection.execute(limits)
        _limits[connection] = limits


def hosts_of(address: str) -> list[tuple[str, int]]:
    """Return host and port of each server that the address names before its path."""
    hosts = urlsplit(address).netloc.rpartition("@")[2]
    found = []
    for each in hosts.split(",") if hosts else ():
        host, colon, port = each.rpartition(":") if re.search(r":\d+$", each) else (each, "", "")
        found.append((unquote(host.strip("[]")), int(port) if colon else 5432))
    return found


def _checked(address: str, what: str) -> str:
    if not _DSN.fullmatch(address):
        raise ValueError(f"{what} {_DSN_HELP}")
    return address


def _parameter(query: str, name: str) -> str:
    found = re.search(rf"(?:^|&){name}=([^&]*)", query)
    return found[1] if found else ""
