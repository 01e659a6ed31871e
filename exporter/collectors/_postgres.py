"""How the collectors that ask Postgres connect to it: one connection, kept, with a limit on every wait."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Self
from urllib.parse import unquote, urlsplit

import asyncpg
from pydantic import Field, SecretStr, model_validator

from exporter.collectors import CollectorSettings, Keep

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


class PostgresSettings(CollectorSettings):
    """Which database, and how to log in."""

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


def server_of(address: str) -> str:
    """Return host:port, which postgres_exporter calls the server."""
    parts = urlsplit(address)
    hosts = parts.netloc.rpartition("@")[2] or _parameter(parts.query, "host") or "localhost"
    return unquote(hosts) if re.search(r":\d+$", hosts) else f"{unquote(hosts)}:5432"


async def connected(settings: PostgresSettings, keep: Keep) -> Connection:
    """Return the kept connection, or a new one where it has gone: a restarted server is not a failed run."""

    async def connect() -> Connection:
        milliseconds = int(settings.timeout * 1000)
        return await asyncpg.connect(
            settings.address(),
            timeout=settings.timeout,
            command_timeout=settings.timeout,
            server_settings={
                "application_name": "watchkeeper",
                "default_transaction_read_only": "on",
                "statement_timeout": str(milliseconds),
                "lock_timeout": str(min(_LOCK_TIMEOUT_MS, milliseconds)),
                "idle_in_transaction_session_timeout": str(milliseconds),
                "jit": "off",  # compiling costs more than any of these queries
            },
        )

    async def terminate(connection: Connection) -> None:
        connection.terminate()  # close() would wait for a server that may be frozen

    connection = await keep.open("postgres", connect, terminate)
    if connection.is_closed():
        await keep.drop()
        connection = await keep.open("postgres", connect, terminate)
    return connection


def _checked(address: str, what: str) -> str:
    if not _DSN.fullmatch(address):
        raise ValueError(f"{what} {_DSN_HELP}")
    return address


def _parameter(query: str, name: str) -> str:
    found = re.search(rf"(?:^|&){name}=([^&]*)", query)
    return found[1] if found else ""
