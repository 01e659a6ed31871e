"""The launched servers: really up, really apart, really gone."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import asyncpg
import psutil
import pytest
import redis

from scripts.stack import leftovers
from scripts.stack.errors import SetupError
from scripts.stack.packages import CHECKOUT
from scripts.stack.process import Process, free_port, get, http_ok, is_free, tcp_open
from scripts.stack.servers import Postgres, Redis, run_folder
from tests.waiting import wait_for


def fetchval(dsn: str, query: str):
    async def ask():
        connection = await asyncpg.connect(dsn, timeout=2)
        try:
            return await connection.fetchval(query, timeout=2)
        finally:
            connection.terminate()

    return asyncio.run(ask())


def file_server(folder: Path, **options) -> Process:
    command = [sys.executable, "-m", "http.server", "--bind", "127.0.0.1"]
    return Process(
        "files",
        lambda port: [*command, str(port)],
        log=folder / "log",
        ready=http_ok("/"),
        cwd=folder,
        **options,
    )


def test_postgres_lets_the_monitor_read_statistics_and_nothing_else(postgres: Postgres):
    """The exporter's role sees pg_stat_statements, is no superuser, and needs its password."""
    assert fetchval(postgres.monitor_dsn, "SELECT count(*) >= 0 FROM pg_stat_statements") is True
    assert fetchval(postgres.monitor_dsn, "SELECT pg_has_role('pg_monitor', 'member')") is True
    assert (
        fetchval(postgres.monitor_dsn, "SELECT rolsuper FROM pg_roles WHERE rolname = current_user") is False
    )
    with pytest.raises(asyncpg.InvalidPasswordError):
        fetchval(postgres.monitor_dsn.replace(postgres.monitor_password, "guess"), "SELECT 1")


def test_postgres_comes_back_on_its_port_with_its_data(own_postgres: Postgres):
    """After a stop, a crash and a freeze the same address answers with the same tables."""
    port = own_postgres.port
    fetchval(own_postgres.dsn, "CREATE TABLE kept AS SELECT 1 AS number")
    own_postgres.restart()
    own_postgres.kill()
    assert is_free(port)
    own_postgres.start()
    own_postgres.freeze()
    with pytest.raises((TimeoutError, asyncio.TimeoutError)):
        fetchval(own_postgres.dsn, "SELECT 1")
    own_postgres.thaw()
    assert fetchval(own_postgres.dsn, "SELECT number FROM kept") == 1
    assert own_postgres.port == port


def test_redis_needs_its_password(redis_server: Redis):
    """A stranger on the machine cannot read it, and its password is in no command line."""
    with redis.Redis.from_url(redis_server.url) as client:
        assert client.ping()
    with redis.Redis(port=redis_server.port) as stranger, pytest.raises(redis.AuthenticationError):
        stranger.ping()
    assert redis_server.password not in " ".join(psutil.Process(redis_server.pid).cmdline())


def test_a_server_leaves_no_process_and_no_folder(programs):
    """After the end there is neither."""
    with run_folder() as folder:
        server = Redis(programs["redis-server"], folder / "redis")
        server.start()
        pid = server.pid
        server.stop()
    assert not psutil.pid_exists(pid)
    assert not folder.exists()


def test_a_lost_port_is_replaced(tmp_path: Path):
    """Where somebody took the free port between choosing and binding, another is chosen."""
    first, second = file_server(tmp_path), file_server(tmp_path)
    try:
        first.start()
        second.port = first.port  # as if chosen a moment earlier
        second.start()
        assert second.port != first.port
        assert get(second.url) is not None
    finally:
        first.stop()
        second.stop()


def test_a_demanded_port_is_not_replaced(tmp_path: Path):
    """A port that the caller named is that one or an error, which shows the log."""
    first = file_server(tmp_path)
    try:
        first.start()
        second = file_server(tmp_path, port=first.port)
        with pytest.raises(SetupError, match=r"(?s)files ended with code 1.*already in use"):
            second.start()
    finally:
        first.stop()


def test_a_server_that_never_answers_is_ended_with_a_message(tmp_path: Path):
    """Waiting has a limit, and what waited in vain is not left behind."""
    deaf = Process("deaf", lambda _: ["sleep", "60"], log=tmp_path / "log", ready=tcp_open, ready_seconds=0.2)
    with pytest.raises(SetupError, match="deaf was not ready"):
        deaf.start()
    assert not deaf.alive


def test_what_ignores_the_polite_signal_is_killed(tmp_path: Path):
    """A program that ignores SIGTERM ends all the same, and its children too."""
    stubborn = Process(
        "stubborn",
        lambda _: ["sh", "-c", "trap '' TERM; sleep 60 & echo $!; wait; sleep 60"],
        log=tmp_path / "log",
    )
    stubborn.start()
    child = int(wait_for(lambda: (tmp_path / "log").read_text().strip(), message="the child's id"))
    stubborn.stop(seconds=0.2)
    assert not stubborn.alive
    wait_for(lambda: not psutil.pid_exists(child) or psutil.Process(child).status() == "zombie")


def test_what_a_crashed_server_left_running_is_stopped_with_it(tmp_path: Path):
    """Workers outlive the process that started them when it is killed; `stop` finds them all the same."""
    server = Process("server", lambda _: ["sh", "-c", "sleep 60 & echo $!; wait"], log=tmp_path / "log")
    server.start()
    worker = psutil.Process(int(wait_for(lambda: (tmp_path / "log").read_text().strip(), message="its id")))
    os.kill(server.pid, signal.SIGKILL)
    wait_for(lambda: not server.alive)
    assert leftovers.runs(worker)
    server.stop()
    assert not leftovers.runs(worker)


def test_only_the_numbers_of_the_server_that_ended_are_forgotten(tmp_path: Path, monkeypatch):
    """Others share the folder: another program, and a later one with the same number, stay."""
    monkeypatch.setattr(leftovers, "PLACES", (str(tmp_path),))
    server = Process("server", lambda _: ["sleep", "60"], log=tmp_path / "log")
    server.start()
    started = psutil.Process(server.pid).create_time()
    ticks = round((started - psutil.boot_time()) * os.sysconf("SC_CLK_TCK"))
    own, base = f"4026531836-{server.pid}-{ticks}", tmp_path / f"watchkeeper-{os.getuid()}"
    others = {f"4026531836-{server.pid}1-{ticks}", f"4026531836-{server.pid}-{ticks + 500}", "what-is-this"}
    for name in (own, *others):
        (base / name).mkdir(parents=True)
    server.stop()
    assert {folder.name for folder in base.iterdir()} == others


def test_children_die_with_a_killed_parent(tmp_path: Path):
    """When the runner is killed without a chance to clean up, the kernel ends what it started."""
    port = free_port()
    code = (
        "import sys, threading\n"
        "from pathlib import Path\n"
        "from scripts.stack.process import Process, tcp_open\n"
        f"server = Process('files', lambda port: [sys.executable, '-m', 'http.server', str(port)],\n"
        f"                 port={port}, log=Path({str(tmp_path / 'log')!r}), ready=tcp_open)\n"
        "starter = threading.Thread(target=server.start)\n"
        "starter.start(); starter.join()\n"  # the end of this thread must not end the server
        "print(server.pid, flush=True)\n"
        "threading.Event().wait()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], cwd=CHECKOUT, stdout=subprocess.PIPE, text=True
    ) as runner:
        assert runner.stdout is not None
        pid = int(runner.stdout.readline())
        assert not is_free(port)
        os.kill(runner.pid, signal.SIGKILL)
        wait_for(lambda: not psutil.pid_exists(pid), message="the server's end")
