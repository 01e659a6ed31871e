"""A PgBouncer of the tests' own, before a Postgres."""

import signal
from pathlib import Path

import psycopg

from scripts.stack.packages import Program
from scripts.stack.process import HOST, Process, tcp_open
from scripts.stack.servers import Postgres, own_file, own_folder, unprivileged_user

# A user that may ask the console to show things, one that may order it, and one that may neither.
USERS = {"stats": "stats/p@ss:word", "admin": "admin", "nobody": "nobody"}


class PgBouncer(Process):
    """Pools for the databases `app` and `other`; `.dsn_of(user)` for its console, `.app_dsn` through it."""

    def __init__(self, program: Program, folder: Path, postgres: Postgres, **settings: str | int) -> None:
        self.postgres = postgres
        user = unprivileged_user()
        own_folder(folder, user)
        users, config = folder / "users.txt", folder / "pgbouncer.ini"
        passwords = {**USERS, "postgres": postgres.password}
        users.write_text("".join(f'"{name}" "{password}"\n' for name, password in passwords.items()))
        options = {
            "listen_addr": HOST,
            "unix_socket_dir": "",
            "auth_type": "scram-sha-256",
            "auth_file": users,
            "stats_users": "stats",
            "admin_users": "admin",
            **settings,
        }
        server = f"host={HOST} port={postgres.port}"
        lines = [
            "[databases]",
            f"app = {server} dbname=postgres pool_size=1",
            f"other = {server} dbname=template1 pool_mode=transaction",
            "[pgbouncer]",
            *(f"{key} = {value}" for key, value in options.items()),
        ]

        def command(port: int) -> list[str | Path]:
            config.write_text("\n".join([*lines, f"listen_port = {port}", ""]))
            for file in (users, config):
                own_file(file, user)
            return [program.path, config]

        super().__init__(
            "pgbouncer",
            command,
            log=folder / "pgbouncer.log",
            ready=tcp_open,
            scheme="postgresql",
            user=user,
            end_signal=signal.SIGQUIT,  # from 1.23 on, SIGTERM waits for clients to leave
        )

    def dsn_of(self, user: str, password: str | None = None) -> str:
        """The console, for one of USERS."""
        secret = (password or USERS[user]).replace("/", "%2F").replace("@", "%40").replace(":", "%3A")
        return f"postgresql://{user}:{secret}@{HOST}:{self.port}/pgbouncer"

    @property
    def app_dsn(self) -> str:
        """The application's database through the pool, which has one connection."""
        return f"postgresql://postgres:{self.postgres.password}@{HOST}:{self.port}/app"

    def order(self, command: str) -> None:
        """Give the console an order, such as PAUSE."""
        with psycopg.connect(self.dsn_of("admin"), autocommit=True) as console:
            console.execute(command.encode())
