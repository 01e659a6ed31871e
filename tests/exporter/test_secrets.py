"""No secret leaves the process: not by output, logs, errors, pages or the list of processes."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
import yaml

from exporter.cli import main
from tests.waiting import wait_for

ROOT = Path(__file__).parents[2]
# In every secret of these tests, in a spelling that no encoding changes.
MARK = "hush7Zq"

PAGES = (
    "/",
    "/metrics",
    "/targets",
    "/-/healthy",
    "/probe",
    f"/probe?target={MARK[:4]}",
    "/metrics?collect[]=nothing",
    "/nothing",
)


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


@contextlib.contextmanager
def answering(answer):
    """A server that answers everybody with these bytes, and yields its port; with b"" it says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener, contextlib.ExitStack() as held:

        def work():
            with contextlib.suppress(OSError):
                while True:
                    connection = held.enter_context(listener.accept()[0])
                    with contextlib.suppress(OSError):
                        connection.settimeout(5)
                        connection.recv(1000)
                        connection.sendall(answer)
                        if answer:
                            connection.close()

        thread = threading.Thread(target=work)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(10)
            assert not thread.is_alive()


def dsn(port, host="127.0.0.1", rest="", database="shop"):
    return f"postgresql://watch:{MARK}%40dsn@{host}:{port}/{database}{rest}"


def url(port, host="127.0.0.1", user="watch", scheme="redis"):
    return f"{scheme}://{user}:{MARK}%40url@{host}:{port}/0"


@contextlib.contextmanager
def wrong_servers(folder, postgres, redis_server):
    """Targets, each with servers that are wrong in one way and secrets in their addresses."""
    with contextlib.ExitStack() as stack:
        garbage = stack.enter_context(answering(f"-ERR {MARK}answer went wrong\r\n".encode()))
        # Postgres's error message: severity, code, text; a server may repeat what it was sent.
        fields = f"SFATAL\0C28P01\0Mno entry for {MARK}answer\0\0".encode()
        refusal = stack.enter_context(answering(b"E" + (len(fields) + 4).to_bytes(4, "big") + fields))
        silent = stack.enter_context(answering(b""))
        (folder / "dsn").write_text(dsn(postgres.port))
        (folder / "bad_dsn").write_text(f"postgres:/{MARK}@@//{MARK}")
        (folder / "bad_url").write_text(f"redis:/{MARK}@@//{MARK}")

        def target(port, **changes):
            of = {
                "postgres": {"dsn": dsn(port), "timeout": 1},
                "pgbouncer": {"dsn": dsn(port, database="pgbouncer"), "timeout": 1},
                "redis": {"url": url(port), "timeout": 1},
                "sql": {"dsn": dsn(port), "timeout": 1},
            }
            return {name: changes.get(name, settings) for name, settings in of.items()}

        closed = free_port()
        yield {
            "refused": target(closed),
            "garbage": target(garbage),
            "refusal": target(refusal),
            "silent": target(silent),
            "swapped": target(
                postgres.port,
                postgres={"dsn": dsn(redis_server.port)},
                sql={"dsn": dsn(redis_server.port)},
                pgbouncer={"dsn": dsn(redis_server.port, database="pgbouncer")},
            ),
            "password": target(postgres.port, redis={"url": url(redis_server.port)}),
            "name": {
                "postgres": {"dsn": dsn(1, "nowhere.invalid"), "timeout": 1},
                "redis": {"url": url(1, "nowhere.invalid"), "timeout": 1},
            },
            "tls": {
                "postgres": {"dsn": dsn(postgres.port, rest="?sslmode=require")},
                "redis": {"url": url(redis_server.port, scheme="rediss")},
            },
            "files": {
                "postgres": {"dsn_file": str(folder / "dsn")},
                "sql": {"dsn_file": str(folder / "bad_dsn")},
                "redis": {"url_file": str(folder / "bad_url")},
            },
        }


def written(folder, content):
    path = folder / "watchkeeper.yml"
    path.write_text(yaml.safe_dump(content))
    return path


def environment(**more):
    clean = {name: value for name, value in os.environ.items() if not name.startswith("WATCHKEEPER_")}
    return clean | {"PYTHONPATH": str(ROOT), "PYTHONASYNCIODEBUG": "1", "PYTHONDEVMODE": "1"} | more


def visible(process):
    """What other users of the machine see of a process."""
    folder = Path(f"/proc/{process.pid}")
    tasks = "".join(path.read_text() for path in folder.glob("task/*/comm"))
    return (folder / "cmdline").read_bytes().decode() + tasks


def test_serving_tells_no_secret(tmp_path, postgres, redis_server):
    """Servers wrong in all ways, every page, a reload to bad settings, at the most talkative level."""
    with wrong_servers(tmp_path, postgres, redis_server) as targets:
        port = free_port()
        settings = {"server": {"listen": f"127.0.0.1:{port}", "scrape_timeout": 2}, "targets": targets}
        path = written(tmp_path, settings)
        log = tmp_path / "log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "exporter", "serve", "--verbose", "--config", str(path)],
                stdout=output,
                stderr=output,
                cwd=tmp_path,
                # Over the environment too: it is not in the list of processes, and is printed by `config`.
                env=environment(WATCHKEEPER_TARGETS__ENVIRONMENT__REDIS__URL=url(free_port(), user=MARK)),
            )
        try:
            address = f"http://127.0.0.1:{port}"

            def got(page, method="GET"):
                answer = httpx.request(method, address + page, timeout=20)
                return f"{page}\n{answer.headers}\n{answer.text}"

            def up():
                with contextlib.suppress(httpx.TransportError):
                    return got("/-/healthy")

            wait_for(up, 30, "the exporter")
            with ThreadPoolExecutor(len(targets) + 1) as pool:
                probes = [f"/probe?target={name}" for name in (*targets, "environment")]
                seen = list(pool.map(got, probes))
            seen += [got(page) for page in PAGES]  # after them: the landing page tells of each
            path.write_text(path.read_text().replace("targets:", f"targits: {MARK}\ntargets:"))
            seen.append(got("/-/reload", "POST"))
            process.send_signal(signal.SIGHUP)
            seen.append(got("/metrics"))
            seen.append(visible(process))
        finally:
            process.terminate()
            process.wait(20)
    logged = log.read_text()
    told = "\n".join(seen)
    for name in targets:
        assert f"Metrics of {name}" in told
    assert told.count('_success{collector="redis"} 0.0') >= len(targets)
    assert logged.count("failed (") > 10
    assert "unknown key 'targits'" in told
    assert MARK not in told
    assert MARK not in logged


def test_checking_tells_no_secret(tmp_path, postgres, redis_server):
    """The table for a person, and the settings in force, name servers and places, and no password."""
    with wrong_servers(tmp_path, postgres, redis_server) as targets:
        path = written(tmp_path, {"server": {"scrape_timeout": 2}, "targets": targets})
        told = ""
        for command, code in (("config", 0), ("check", 1)):
            done = subprocess.run(
                [sys.executable, "-m", "exporter", command, "--config", str(path)],
                capture_output=True,
                text=True,
                cwd=tmp_path,
                timeout=60,
                env=environment(WATCHKEEPER_TARGETS__ENVIRONMENT__REDIS__URL=url(free_port())),
            )
            assert done.returncode == code, done.stderr
            told += done.stdout + done.stderr
    assert "environment/redis" in told
    assert told.count("failed") > 10
    assert MARK not in told


ADDRESSES = [
    f"{MARK}",
    f"postgres://{MARK}@@host",
    f"postgres://user:{MARK}/x@host/db",
    f"postgres://user:{MARK}@host:port/db",
    f"postgres://user:{MARK}@host:99999999/db",
    f"postgres://user:{MARK}@[::1/db",
    f"postgres://user:{MARK}%zz@host/db",
    f"postgres://user:{MARK}@host/db?{MARK}={MARK}",
    f"postgres://user:{MARK}@host/db?sslmode={MARK}",
    f"postgres://host/db?password={MARK}&sslmode=maybe",
    f"http://user:{MARK}@host/",
    f"redis://user:{MARK}@host.invalid:port/0",
    f"redis://user:{MARK}@host:99999999/0",
    f"redis://user:{MARK}@host/{MARK}",
    f"redis://user:{MARK}@host/0?nothing={MARK}",
    f"redis://user:{MARK}@host/0?db={MARK}",
    *(
        f"{scheme}://user:a{sign}{MARK}{sign}@host/0"
        for scheme in ("redis", "postgres")
        for sign in "?#/:%&= "
    ),
    f"redis://user:{MARK}@[::1/0",
    f"redis://user:{MARK}@@host/0",
    f"host=db password={MARK}",
    [MARK],
    {MARK: MARK},
    f"\ud83d{MARK}".encode("utf-8", "replace").decode(),
]


@pytest.mark.parametrize("collector", ["postgres", "pgbouncer", "redis"])
@pytest.mark.parametrize("address", ADDRESSES, ids=str)
def test_a_malformed_address_is_not_repeated(collector, address, tmp_path, capsys, monkeypatch):
    """Whatever is wrong with it, and wherever it stands, the message does without."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("WATCHKEEPER_")]:
        monkeypatch.delenv(name)
    key = "url" if collector == "redis" else "dsn"
    section = {key: address, "timeout": 0.5}
    if isinstance(address, str) and collector == "redis":
        monkeypatch.setenv("WATCHKEEPER_TARGETS__VARIABLE__REDIS__URL", address)
    path = written(tmp_path, {"targets": {"file": {collector: section}}})
    (tmp_path / "address").write_text(str(address))
    told = ""
    for _ in range(2):
        assert main(["config", "--config", str(path)]) in (0, 2)
        code = main(["check", "--config", str(path)])
        assert code in (1, 2)
        told += "".join(capsys.readouterr())
        path = written(
            tmp_path, {"targets": {"file": {collector: {f"{key}_file": "address", "timeout": 0.5}}}}
        )
    assert told
    if not isinstance(address, dict):  # a key of the user's own is named, so that it can be found
        assert MARK not in told


@pytest.mark.parametrize("text", ["x: [", "x: !tag ", "x: *", "x: !!int ", "x: 'a\n  b: ", "? ["], ids=repr)
def test_broken_yaml_is_not_repeated(text, tmp_path, capsys):
    """A parser's own message would quote the line; the password may stand in it."""
    path = tmp_path / "watchkeeper.yml"
    path.write_text(f"password: {MARK}\n{text}{MARK}\n")
    assert main(["check", "--config", str(path)]) == 2
    assert MARK not in "".join(capsys.readouterr())
