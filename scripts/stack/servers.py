"""How each server is started for us alone: own folder, free port, random password, the loopback only."""

import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from scripts.stack.errors import SetupError
from scripts.stack.packages import Program
from scripts.stack.process import HOST, Process, as_user, http_ok, tcp_open

POSTGRES_SETTINGS = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",
    "shared_preload_libraries": "pg_stat_statements",
    "fsync": "off",  # the data live as long as this run
    "jit": "off",  # its library is not fetched, see packages.py
    "timezone": "GMT",  # known without the time zone files, which a bare machine lacks
    "log_timezone": "GMT",
}
INITDB = ("--auth=scram-sha-256", "--locale=C", "--encoding=UTF8", "--no-sync")
MONITOR = "watchkeeper"  # the role that the exporter logs in with


class Postgres(Process):
    """A fresh cluster with a superuser and a role that may only monitor."""

    def __init__(
        self,
        programs: Mapping[str, Program],
        folder: Path,
        *,
        port: int = 0,
        settings: Mapping[str, str] | None = None,
        application: str | None = None,
    ) -> None:
        user = unprivileged_user()
        own_folder(folder, user)
        self.folder, self.data = folder, folder / "data"
        self.application = application  # a role and its database, of this name
        self.password, self.monitor_password, self.application_password = (
            secrets.token_urlsafe(16) for _ in range(3)
        )
        self._postgres, self._initdb = _reachable((programs["postgres"], programs["initdb"]), folder, user)
        options = {**POSTGRES_SETTINGS, **(settings or {})}
        flags = [flag for key, value in options.items() for flag in ("-c", f"{key}={value}")]
        super().__init__(
            "postgres",
            lambda port: [self._postgres.path, "-D", self.data, "-p", str(port), *flags],
            log=folder / "postgres.log",
            ready=lambda _: self._is_ready(),
            port=port,
            user=user,
            scheme="postgresql",
            end_signal=signal.SIGINT,  # "fast": do not wait for clients to leave
        )

    @property
    def dsn(self) -> str:
        """As the superuser."""
        return self.dsn_of("postgres")

    @property
    def monitor_dsn(self) -> str:
        """As the role with the rights of pg_monitor and no others."""
        return self.monitor_dsn_of("postgres")

    @property
    def application_dsn(self) -> str:
        """As the application's own role, in its own database."""
        name = self.application
        return f"postgresql://{name}:{self.application_password}@{HOST}:{self.port}/{name}"

    def dsn_of(self, database: str) -> str:
        return f"postgresql://postgres:{self.password}@{HOST}:{self.port}/{database}"

    def monitor_dsn_of(self, database: str) -> str:
        return f"postgresql://{MONITOR}:{self.monitor_password}@{HOST}:{self.port}/{database}"

    def launch(self) -> None:
        if not self.data.exists():
            self._make_cluster()
        super().launch()

    def _make_cluster(self) -> None:
        password_file = self.folder / "password"
        password_file.write_text(self.password)
        own_file(password_file, self.user)
        self._run([self._initdb.path, "-D", self.data, "-U", "postgres", "--pwfile", password_file, *INITDB])
        password_file.unlink()
        for database, statements in self._first_statements().items():
            # In single-user mode, a statement a line: no driver needed, and done before the port opens.
            command: list[str | Path] = [
                self._postgres.path,
                "--single",
                "-D",
                self.data,
                "-c",
                "fsync=off",
                database,
            ]
            self._run(command, "".join(f"{statement};\n" for statement in statements))

    def _first_statements(self) -> dict[str, list[str]]:
        statements = "CREATE EXTENSION pg_stat_statements"
        monitor = f"CREATE ROLE {MONITOR} LOGIN PASSWORD '{self.monitor_password}' IN ROLE pg_monitor"
        first = {"template1": [statements], "postgres": [statements, monitor]}
        if name := self.application:
            first["postgres"] += [
                f"CREATE ROLE {name} LOGIN PASSWORD '{self.application_password}'",
                f"CREATE DATABASE {name} OWNER {name}",
            ]
            # So that the monitor's own queries can read what the application will create.
            first[name] = [f"ALTER DEFAULT PRIVILEGES FOR ROLE {name} GRANT SELECT ON TABLES TO {MONITOR}"]
        return first

    def _run(self, command: list[str | Path], text: str = "") -> None:
        done = subprocess.run(
            [str(word) for word in command],
            input=text,
            capture_output=True,
            text=True,
            env={**os.environ, "TZ": "GMT"},
            cwd=self.folder,
            **as_user(self.user),
        )
        if done.returncode != 0 or "ERROR:" in done.stderr:
            raise SetupError(
                f"Postgres' folder could not be made:\n{done.stdout[-500:]}{done.stderr[-1500:]}"
            )

    def _is_ready(self) -> bool:
        lines = _lines(self.data / "postmaster.pid")
        return lines[:1] == [str(self.pid)] and len(lines) > 7 and lines[7].strip() == "ready"


class Redis(Process):
    """A server that keeps nothing on disk."""

    def __init__(self, program: Program, folder: Path, *, port: int = 0) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.password = secrets.token_urlsafe(16)
        config = folder / "redis.conf"  # a password on the command line could be read by anybody
        config.touch(mode=0o600)
        config.write_text(
            f'requirepass {self.password}\nbind {HOST}\nsave ""\nappendonly no\ndir {folder}\n'
            "maxmemory 64mb\nmaxmemory-policy allkeys-lru\n"
        )
        super().__init__(
            "redis",
            lambda port: [program.path, config, "--port", str(port)],
            log=folder / "redis.log",
            ready=tcp_open,
            port=port,
            scheme="redis",
        )

    @property
    def url(self) -> str:
        return f"redis://:{self.password}@{HOST}:{self.port}/0"


def prometheus(program: Program, config: Callable[[int], Path], folder: Path, **ports: Any) -> Process:
    """`config` writes the configuration for the port, which stands in it: Prometheus scrapes itself."""
    folder.mkdir(parents=True, exist_ok=True)
    return Process(
        "prometheus",
        lambda port: [
            program.path,
            f"--config.file={config(port)}",
            f"--storage.tsdb.path={folder / 'data'}",
            "--storage.tsdb.retention.time=2d",
            f"--web.listen-address={HOST}:{port}",
            "--web.enable-lifecycle",
            "--enable-feature=exemplar-storage",  # else it drops the trace ids
            "--rules.alert.for-grace-period=1m",  # a restart must not delay an alert by ten minutes
        ],
        log=folder / "prometheus.log",
        ready=http_ok("/-/ready"),
        **ports,
    )


def alertmanager(program: Program, config: Path, folder: Path, **ports: Any) -> Process:
    folder.mkdir(parents=True, exist_ok=True)
    return Process(
        "alertmanager",
        lambda port: [
            program.path,
            f"--config.file={config}",
            f"--storage.path={folder / 'data'}",
            f"--web.listen-address={HOST}:{port}",
            "--cluster.listen-address=",  # a cluster of one
        ],
        log=folder / "alertmanager.log",
        ready=http_ok("/-/ready"),
        **ports,
    )


@contextmanager
def run_folder() -> Iterator[Path]:
    """A temporary folder for servers, gone at the end; passable for the user that Postgres runs as."""
    folder = new_run_folder()
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def new_run_folder() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="watchkeeper-"))
    folder.chmod(0o711)
    return folder


def unprivileged_user() -> str | None:
    """Postgres refuses to run as root: then the one it shall run as."""
    if os.geteuid() != 0:
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    for name in ("postgres", "nobody"):
        if name in names:
            return name
    raise SetupError("Postgres does not run as root, and there is no user `nobody` here to run it as.")


def own_folder(folder: Path, user: str | None) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    own_file(folder, user)


def own_file(path: Path, user: str | None) -> None:
    path.chmod(0o700 if path.is_dir() else 0o600)
    if user:
        entry = pwd.getpwnam(user)
        os.chown(path, entry.pw_uid, entry.pw_gid)


def _reachable(programs: tuple[Program, ...], folder: Path, user: str | None) -> tuple[Program, ...]:
    """The programs, copied to the folder if the user cannot reach them (a checkout under /root)."""
    tree = programs[0].tree
    if user is None or tree is None or all(parent.stat().st_mode & 0o001 for parent in (tree, *tree.parents)):
        return programs
    copy = folder / "programs"
    shutil.copytree(tree, copy, symlinks=True)
    return tuple(Program(copy / program.path.relative_to(tree), copy) for program in programs)


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except FileNotFoundError:
        return []
