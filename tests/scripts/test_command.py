"""The set-up command as a person uses it: starts, tells, stops, and says clearly what is wrong."""

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from scripts.stack.__main__ import TROUBLE, main
from scripts.stack.arguments import parser
from scripts.stack.packages import CHECKOUT
from scripts.stack.process import get
from tests.waiting import wait_for

Command = Callable[..., "subprocess.Popen[str]"]
START_SECONDS = 300  # beside 24 busy processes on two cores it was 98


@pytest.fixture
def command(tmp_path: Path) -> Iterator[Command]:
    """Starts the command with a state of its own, and stops at the end what it left running."""
    environment = {**os.environ, "SETUP_STATE_FOLDER": str(tmp_path / "state"), "PYTHONPATH": str(CHECKOUT)}
    started: list[subprocess.Popen[str]] = []

    def start(*arguments: str | Path, **more: str) -> "subprocess.Popen[str]":
        process = subprocess.Popen(
            [sys.executable, "-m", "scripts.stack", *arguments],
            cwd=tmp_path,
            env={**environment, **more},
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        started.append(process)
        return process

    yield start
    said(start("stop"))
    for process in started:
        assert process.stdout is not None
        process.stdout.close()
        process.wait(START_SECONDS)


def said(process: "subprocess.Popen[str]") -> tuple[int, str]:
    text, _ = process.communicate(timeout=START_SECONDS)
    return process.returncode, text


def living(family: list[psutil.Process]) -> list[psutil.Process]:
    """Those that run; one that only waits for its parent to notice its end does not."""
    return [one for one in family if one.is_running() and one.status() != psutil.STATUS_ZOMBIE]


def rows(table: str) -> dict[str, tuple[str, int, str]]:
    """What the table says runs: name to URL, process id and log."""
    return {
        name: (url, int(pid), log)
        for name, url, pid, log in re.findall(r"^(\w+) +(\S+) +(\d+) +(/\S+)$", table, re.MULTILINE)
    }


def test_detached_it_is_shown_and_stopped_from_elsewhere(command: Command, tmp_path: Path):
    """--detach returns when all is up; `status` shows it, a second start refuses, `stop` leaves nothing."""
    code, text = said(command("--ports", "free", "--detach"))
    assert code == 0, text
    assert "all 4 targets are up" in text
    assert re.search(r"^\[ +\d+\.\d s\] ", text, re.MULTILINE), "each step comes with its time"
    assert [
        path.stat().st_mode & 0o077 for path in (tmp_path / "state", tmp_path / "state" / "setup.log")
    ] == [
        0,
        0,
    ], "what it says may hold Grafana's password"
    table = rows(text)
    assert {"app", "exporter", "prometheus", "alertmanager", "postgres", "redis", "load"} <= table.keys()
    assert get(f"{table['exporter'][0]}/metrics") is not None
    shared = f"watchkeeper-{os.getuid()}/*-{table['app'][1]}-*"
    assert list(Path("/dev/shm").glob(shared)), "the workers share their numbers"

    code, text = said(command("status"))
    assert (code, rows(text)) == (0, table)

    code, text = said(command("--ports", "free"))
    assert code == 2
    assert "running already" in text
    assert rows(text) == table

    assert said(command("stop")) == (0, "All stopped, nothing left behind.\n")
    assert [name for name, (_, pid, _) in table.items() if psutil.pid_exists(pid)] == []
    assert [log for _, _, log in table.values() if Path(log).exists()] == []
    assert list(Path("/dev/shm").glob(shared)) == []
    assert said(command("status")) == (1, "Nothing is running.\n")


def test_ctrl_c_during_the_start_leaves_nothing(command: Command):
    """An interrupt at any moment ends what was started by then."""
    runner = command("--ports", "free")
    family = wait_for(lambda: psutil.Process(runner.pid).children(recursive=True), 90, "the first server")
    runner.send_signal(signal.SIGINT)
    code, text = said(runner)
    assert code == 0, text
    assert text.endswith("all stopped, nothing left behind\n")
    wait_for(lambda: not living(family), 30, "the end of all")


def test_after_a_killed_runner_the_next_start_cleans_up(command: Command, tmp_path: Path):
    """SIGKILL: the servers die with the runner, and the next run removes what it left on disk."""
    runner = command("--ports", "free")
    found = wait_for(lambda: (tmp_path / "state" / "state.json").exists(), 90, "the state")
    assert found
    text = (tmp_path / "state" / "state.json").read_text()
    family = psutil.Process(runner.pid).children(recursive=True)
    folder = Path(re.search(r'"folder": "(.+)"', text)[1])  # type: ignore[index]
    runner.kill()
    said(runner)
    wait_for(lambda: not living(family), 30, f"the end of all: {family}")
    assert folder.exists()
    code, text = said(command("stop"))
    assert code == 0, text
    assert not folder.exists()


def test_your_own_database_is_monitored_without_the_demo(command: Command, tmp_path: Path, postgres):
    """With --config there is no demo, and none of its servers; with --seconds it stops by itself."""
    config = tmp_path / "watchkeeper.yml"
    config.write_text(f"collectors:\n  postgres:\n    dsn: {postgres.monitor_dsn}\n")
    config.chmod(0o600)
    code, text = said(
        command("--config", config.name, "--ports", "free", "--seconds", "1", "--service", "shop")
    )
    assert code == 0, text
    assert rows(text).keys() == {"exporter", "receiver", "alertmanager", "prometheus"}
    assert "all 3 targets are up" in text
    assert postgres.monitor_password not in text


def test_a_bad_config_is_refused_with_its_line(command: Command, tmp_path: Path):
    """The exporter's own message, exit code 2, and nothing started."""
    (tmp_path / "bad.yml").write_text("collectors:\n  redis:\n    uri: redis://127.0.0.1\n")
    code, text = said(command("--config", "bad.yml", "--ports", "free"))
    assert code == 2
    assert re.search(r"setup: .*bad.yml:3: unknown key 'collectors.redis.uri'; did you mean 'url'", text)
    assert "Traceback" not in text
    assert "is ready" not in text


def test_a_demanded_port_that_is_taken_ends_with_a_message(command: Command):
    """Exit code 2 before anything starts."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        code, text = said(command("--port", f"prometheus={port}"))
    assert code == 2
    assert f"setup: Port {port}, demanded for prometheus, is taken" in text
    assert "is ready" not in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--port", "kibana=1"], "use NAME=NUMBER with a name out of app"),
        (["--app-target", "x:1"], "--app-target belongs to --config"),
        (["--config", "missing.yml"], "missing.yml: cannot be read: No such file"),
        (["--alertmanager", "missing.yml"], "missing.yml: cannot be read: No such file"),
        (["--config", "x", "--app-target", "http://shop:8000"], "use HOST:PORT, without http:// and without"),
        (["--config", "x", "--app-target", "shop"], "use HOST:PORT"),
        (["--ports", "free", "stat"], "invalid choice: 'stat'"),
    ],
)
def test_misuse_is_explained(command: Command, arguments: list[str], message: str):
    """Exit code 2 and one sentence."""
    code, text = said(command(*arguments))
    assert code == 2
    assert message in text
    assert "Traceback" not in text
    assert "is ready" not in text


def test_your_own_alertmanager_file_is_judged_before_anything_starts(command: Command, tmp_path: Path):
    """Alertmanager's own tool says what is wrong with it; exit code 2, and nothing started."""
    (tmp_path / "own.yml").write_text("route: {receiver: missing}\nreceivers: [{name: mail}]\n")
    code, text = said(command("--alertmanager", "own.yml", "--ports", "free"))
    assert code == 2
    assert f'setup: {tmp_path}/own.yml cannot be used: undefined receiver "missing" used in route' in text
    assert "is ready" not in text


@pytest.mark.parametrize("shortened", ["--det", "--detac", "--conf=x"])
def test_an_option_is_not_shortened(shortened: str, capsys):
    """Half a word is refused: what does not read `--detach` must not act like it."""
    with pytest.raises(SystemExit, match="2"):
        parser().parse_args(["--ports", "free", shortened])
    assert f"unrecognized arguments: {shortened}" in capsys.readouterr().err


def test_what_is_in_the_background_does_not_detach_again(capsys, monkeypatch):
    """However --detach was written or repeated, the background's own runner runs in its own process."""
    monkeypatch.delattr(subprocess, "Popen")  # should it detach all the same, then at least not without end
    # This misuse is told by the one who would run, so nothing is started.
    assert main(["--in-background", "--detach", "--detach", "--app-target", "x:1"]) == TROUBLE
    assert "--app-target belongs to --config" in capsys.readouterr().err


@pytest.mark.parametrize("target", ["shop:8000", "10.0.0.7:80", "[::1]:8000", "my-shop.example.com:65535"])
def test_an_application_is_named_by_host_and_port(target: str):
    """Names and addresses of both kinds are taken as they are."""
    assert parser().parse_args(["--app-target", target]).app_target == [target]


@pytest.mark.parametrize(
    "target", ["shop", "shop:0", "shop:65536", "a b:1", "shop:80/metrics", "u:p@shop:1", ":80"]
)
def test_what_prometheus_could_not_scrape_is_no_target(target: str, capsys):
    """A word that is no host and port is refused with the way to write it."""
    with pytest.raises(SystemExit, match="2"):
        parser().parse_args(["--app-target", target])
    assert "use HOST:PORT, without http:// and without a path" in capsys.readouterr().err


def test_the_set_up_has_no_variables_that_the_exporter_would_take_for_its_own():
    """WATCHKEEPER_* are the exporter's settings, and an unknown one stops it: ours are SETUP_*."""
    files = [path for path in (CHECKOUT / "scripts").rglob("*") if path.suffix in {".py", ".sh"}]
    used = {name for path in files for name in re.findall(r"\bWATCHKEEPER_\w+", path.read_text("utf-8"))}
    assert {name for name in used if not re.match(r"WATCHKEEPER_(COLLECTORS__|SERVER__)", name)} == set()
