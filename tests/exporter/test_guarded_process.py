"""`watchkeeper serve` behind its guard, and as another user: the whole process, as an operator starts it."""

import contextlib
import os
import pwd
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.exporter.doors import PASSWORD, Authority, hashed
from tests.waiting import wait_for

ROOT = Path(__file__).parents[2]
MARK = "hush7Zq"
TOKEN = f"{MARK}-token-of-thirty-letters"

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can change users")


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    authority = Authority(tmp_path_factory.mktemp("ca"))
    authority.sign("server")
    return authority


@pytest.fixture
def folder(authority, tmp_path):
    """Settings of an exporter that asks for a password or a token over TLS."""
    for name in ("server.crt", "server.key"):
        shutil.copy(authority.folder / name, tmp_path)
    (tmp_path / "token").write_text(TOKEN)
    (tmp_path / "web.yml").write_text(
        "tls_server_config: {cert_file: server.crt, key_file: server.key}\n"
        f"basic_auth_users: {{prometheus: '{hashed()}'}}\nbearer_token_file: token\n"
    )
    for secret in ("server.key", "token", "web.yml"):
        (tmp_path / secret).chmod(0o600)
    settings(tmp_path)
    return tmp_path


def settings(folder, more="", port=0):
    path = folder / "watchkeeper.yml"
    path.write_text(
        f"server:\n  listen: 127.0.0.1:{port}\n  web_config_file: web.yml\n{more}collectors:\n  host:\n"
    )


class Exporter:
    """A running `watchkeeper serve`: its process, its address, what it has said."""

    def __init__(self, folder, *arguments):
        self.log = folder / "log"
        clean = {name: value for name, value in os.environ.items() if not name.startswith("WATCHKEEPER_")}
        command = ["serve", "--verbose", "--config", str(folder / "watchkeeper.yml"), *arguments]
        with self.log.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "exporter", *command],
                stdout=output,
                stderr=output,
                cwd="/",
                env=clean | {"PYTHONPATH": str(ROOT), "PYTHONDEVMODE": "1", "PYTHONASYNCIODEBUG": "1"},
            )
        self.url = wait_for(self._address, 30, "the exporter's address")

    def said(self):
        return self.log.read_text()

    def _address(self):
        assert self.process.poll() is None, self.said()
        found = re.search(r"(https?)://[\d.]+:(\d+)/metrics", self.said())
        return found and f"{found[1]}://localhost:{found[2]}"


@contextlib.contextmanager
def running(folder, *arguments):
    exporter = Exporter(folder, *arguments)
    try:
        yield exporter
    finally:
        exporter.process.terminate()
        exporter.process.wait(20)


def test_the_whole_process_is_behind_the_guard(folder, authority):
    """Password or token over TLS get the page, nothing else does, and no secret is told anywhere."""
    trust = ssl.create_default_context(cafile=authority.cert)
    with running(folder) as exporter, httpx.Client(base_url=exporter.url, verify=trust) as http:
        assert exporter.url.startswith("https://")
        assert http.get("/metrics").status_code == 401
        assert http.post("/-/reload").status_code == 401
        assert http.get("/probe", params={"target": "x"}).status_code == 401
        assert http.get("/-/healthy").status_code == 200
        login = [
            {"auth": ("prometheus", PASSWORD)},
            {"headers": {"authorization": f"Bearer {TOKEN}"}},
        ]
        for way in login:
            assert "node_load1" in http.get("/metrics", **way).text
        pages = [http.get(page, **login[1]) for page in ("/", "/targets", "/metrics", "/nothing")]
        # A bad file is told by the reload, and what was in force stays.
        good = (folder / "web.yml").read_text()
        (folder / "web.yml").write_text(f"{good}bearer_token: {MARK}\n")
        refused = http.post("/-/reload", **login[1])
        exporter.process.send_signal(signal.SIGHUP)
        assert refused.status_code == 500
        assert (
            f"{folder}/web.yml:4: unknown key 'bearer_token'; did you mean 'bearer_token_file'?"
            in refused.text
        )
        assert http.get("/metrics", **login[1]).status_code == 200
        (folder / "web.yml").write_text(good)
        assert http.post("/-/reload", **login[1]).status_code == 200
        cmdline = Path(f"/proc/{exporter.process.pid}/cmdline").read_text()
    assert exporter.process.returncode == 0
    told = exporter.said() + cmdline + refused.text + "".join(f"{each.headers}{each.text}" for each in pages)
    assert "in force stay" in told
    for secret in (MARK, PASSWORD, "$2b$", (folder / "server.key").read_text().splitlines()[1]):
        assert secret not in told


def test_bad_files_are_told_before_anything_listens(folder):
    """Exit code 2 and a line with the place, as for the settings themselves."""
    (folder / "web.yml").write_text("tls_server_config: {cert_file: nowhere.crt, key_file: server.key}\n")
    done = subprocess.run(
        [sys.executable, "-m", "exporter", "serve", "--config", str(folder / "watchkeeper.yml")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode == 2
    assert f"web.yml:1: tls_server_config.cert_file: {folder}/nowhere.crt: cannot be read" in done.stderr
    assert "Traceback" not in done.stderr


def privileged_port():
    """A free port that only root may bind, where the machine has such ports."""
    for port in range(1000, 600, -1):
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
    raise AssertionError("no free port below 1000")


@as_root
@pytest.mark.parametrize("way", ["setting", "option"])
def test_it_binds_and_reads_as_root_and_serves_as_somebody_else(way, folder, authority):
    """A low port and a key that only root can read, served by a process that cannot read it any more."""
    port = privileged_port()
    settings(folder, "  user: nobody\n" if way == "setting" else "", port)
    trust = ssl.create_default_context(cafile=authority.cert)
    option = ["--user", "nobody"] if way == "option" else []
    with running(folder, *option) as exporter, httpx.Client(base_url=exporter.url, verify=trust) as http:
        page = http.get("/metrics", auth=("prometheus", PASSWORD)).text
        status = Path(f"/proc/{exporter.process.pid}/status").read_text()
    nobody = pwd.getpwnam("nobody")
    assert exporter.url.endswith(f":{port}")
    assert f"Uid:\t{nobody.pw_uid}\t{nobody.pw_uid}\t{nobody.pw_uid}\t{nobody.pw_uid}" in status
    assert "CapEff:\t0000000000000000" in status
    assert "NoNewPrivs:\t1" in status
    assert "process_open_fds" in page
    assert 'watchkeeper_collector_success{collector="host"} 1.0' in page
    assert f"{folder}/server.key cannot be read by the user 'nobody'" in exporter.said()
    assert "runs as root" not in exporter.said()


@as_root
def test_root_is_advised_and_goes_on(folder):
    """Without a user it runs, and says once that it need not be root."""
    with running(folder) as exporter:
        assert exporter.said().count("runs as root, which no collector needs") == 1


@as_root
def test_a_user_that_is_not_there_ends_it(folder):
    """Rather than to go on as root."""
    settings(folder, "  user: nosuchuser\n")
    done = subprocess.run(
        [sys.executable, "-m", "exporter", "serve", "--config", str(folder / "watchkeeper.yml")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode == 2
    assert "there is no user 'nosuchuser' on this machine" in done.stderr
