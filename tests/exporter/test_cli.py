"""The command as a person runs it: exit codes, messages, no traceback, no secret."""

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.waiting import wait_for

CONFIGS = Path(__file__).with_name("configs")


def run(*arguments, cwd=None, **environ):
    """Run `watchkeeper` in a clean environment."""
    root = Path(__file__).parents[2]
    keep = {k: v for k, v in os.environ.items() if not k.startswith("WATCHKEEPER_")}
    return subprocess.run(
        [sys.executable, "-m", "exporter", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=cwd,
        env=keep | {"PYTHONPATH": str(root)} | environ,
    )


def test_check_says_what_works(redis_server):
    """Each collector once, a line each, exit code 0 when all work."""
    result = run(
        "check",
        "--config",
        CONFIGS / "good.yml",
        WATCHKEEPER_COLLECTORS__REDIS__URL=redis_server.url,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert re.search(r"^host +ok +\d+\.\d+ +\d+$", result.stdout, re.MULTILINE)
    assert re.search(r"^redis +ok +\d+\.\d+ +\d+$", result.stdout, re.MULTILINE)


def test_check_says_what_fails_and_what_to_do():
    """A server that is not there: exit code 1, its reason, and no secret."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        url = f"redis://:hunter2@127.0.0.1:{free.getsockname()[1]}/0"
    result = run("check", WATCHKEEPER_COLLECTORS__REDIS__URL=url, WATCHKEEPER_COLLECTORS__HOST="")
    assert result.returncode == 1
    assert re.search(r"^redis +failed .* down: \w", result.stdout, re.MULTILINE)
    assert re.search(r"^host +ok", result.stdout, re.MULTILINE)
    assert "hunter2" not in result.stdout + result.stderr
    assert "Traceback" not in result.stderr


def test_a_failure_is_told_once():
    """The table says it; no line of a log says it again."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        url = f"redis://127.0.0.1:{free.getsockname()[1]}/0"
    result = run("check", WATCHKEEPER_COLLECTORS__REDIS__URL=url)
    assert result.returncode == 1
    assert result.stderr == ""
    assert result.stdout.count("Nothing answers there") == 1


def test_an_unexpected_failure_names_its_place(tmp_path):
    """What no reason covers is perhaps our fault: type and place are told, not the text of the error."""
    shutil.copytree(Path(__file__).parent / "collectors/proc", tmp_path, dirs_exist_ok=True)
    (tmp_path / "net/udp").write_text("heading\nhunter2\n")
    result = run("check", WATCHKEEPER_COLLECTORS__HOST__PROCFS=str(tmp_path))
    assert result.returncode == 1
    assert "error: Unexpected: the log names the place." in result.stdout
    place = r"watchkeeper: collector host.network: IndexError at .* sockets\.py:\d+ .*\n"
    assert re.fullmatch(place, result.stderr)
    assert "hunter2" not in result.stdout + result.stderr


@contextlib.contextmanager
def running(*arguments, **environ):
    """`watchkeeper` in the background, ended in any case."""
    process = subprocess.Popen(
        [sys.executable, "-m", "exporter", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(Path(__file__).parents[2])} | environ,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@contextlib.contextmanager
def silent_server():
    """A server that lets in and never answers: its address, and an event that tells of a client."""
    met = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        held = []

        def accept():
            with contextlib.suppress(OSError):
                while True:
                    held.append(listener.accept()[0])
                    met.set()

        thread = threading.Thread(target=accept)
        thread.start()
        try:
            yield f"redis://127.0.0.1:{listener.getsockname()[1]}/0", met
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()
            for client in held:
                client.close()


def test_an_interrupted_check_says_so_in_a_line():
    """Ctrl-C while a server does not answer: exit code 130 and no traceback."""
    with silent_server() as (url, met), running("check", WATCHKEEPER_COLLECTORS__REDIS__URL=url) as process:
        assert met.wait(30)
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=30)
    assert (process.returncode, stderr) == (130, "watchkeeper: interrupted\n")


def test_a_stop_during_a_scrape_that_hangs_is_quiet_and_answers_it():
    """SIGTERM while a collector waits: the page is given without it, exit code 0, no traceback."""
    with (
        silent_server() as (url, met),
        running(
            "serve",
            WATCHKEEPER_SERVER__LISTEN="127.0.0.1:0",
            WATCHKEEPER_SERVER__SCRAPE_TIMEOUT="120",
            WATCHKEEPER_COLLECTORS__REDIS__URL=url,
            WATCHKEEPER_COLLECTORS__REDIS__TIMEOUT="120",
        ) as process,
    ):
        page = re.search(r"http://\S+", process.stderr.readline())[0]
        with ThreadPoolExecutor() as pool:
            scrape = pool.submit(lambda: urllib.request.urlopen(page, timeout=60).read())
            assert met.wait(30)
            process.send_signal(signal.SIGTERM)
            assert b'watchkeeper_collector_success{collector="redis"} 0' in scrape.result(30)
        _, stderr = process.communicate(timeout=30)
    said = [line for line in stderr.splitlines() if "runs as root" not in line]
    assert (process.returncode, said) == (0, [])


@pytest.mark.parametrize("command", ["serve", "check", "config"])
@pytest.mark.parametrize("name", ["misspelt_key", "open_quote"])
def test_a_bad_file_ends_every_command_with_2(command, name):
    """One line with file, line and key; no traceback, no secret."""
    result = run(command, "--config", CONFIGS / "bad" / f"{name}.yml")
    assert result.returncode == 2
    assert re.match(rf"watchkeeper: .*{name}\.yml:\d+: ", result.stderr)
    assert len(result.stderr.splitlines()) == 1
    assert "secret" not in result.stderr


def test_nothing_switched_on_is_said(tmp_path):
    """An exporter without collectors would look healthy and see nothing."""
    result = run("serve", cwd=tmp_path)
    assert result.returncode == 2
    assert "no collector is on" in result.stderr
    assert "host" in result.stderr


def test_the_file_is_found_where_one_expects_it(tmp_path):
    """./watchkeeper.yml, or the one that WATCHKEEPER_CONFIG names."""
    (tmp_path / "watchkeeper.yml").write_text("collectors:\n  host:\n")
    assert "  host:\n" in run("config", cwd=tmp_path).stdout
    result = run("config", cwd=tmp_path, WATCHKEEPER_CONFIG=str(CONFIGS / "good.yml"))
    assert "redis:" in result.stdout
    assert "secret-in-file" not in result.stdout


def test_metrics_lists_every_name():
    """The list that dashboards and rules are checked against, for a person to search."""
    result = run("metrics")
    assert result.returncode == 0
    assert "http_requests_total{method,route,status}  counter  " in result.stdout


def test_serve_answers_and_stops_cleanly():
    """It prints where it listens, serves the page, and ends with 0 on SIGTERM without a word of error."""
    process = subprocess.Popen(
        [sys.executable, "-m", "exporter", "serve"],
        stderr=subprocess.PIPE,
        text=True,
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(Path(__file__).parents[2]),
            "WATCHKEEPER_SERVER__LISTEN": "127.0.0.1:0",
            "WATCHKEEPER_COLLECTORS__HOST": "",
        },
    )
    try:
        assert process.stderr is not None
        line = process.stderr.readline()
        url = re.search(r"http://\S+", line)
        assert url, line
        with urllib.request.urlopen(url.group(), timeout=10) as answer:
            assert b'watchkeeper_collector_success{collector="host"} 1.0' in answer.read()
        process.send_signal(signal.SIGTERM)
        _, rest = process.communicate(timeout=10)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 0, rest
    assert "Traceback" not in rest


def test_a_port_in_use_is_one_sentence():
    """It says which address and which key to change."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        result = run("serve", WATCHKEEPER_SERVER__LISTEN=address, WATCHKEEPER_COLLECTORS__HOST="")
    assert result.returncode == 2
    assert f"cannot listen on {address}: Address already in use" in result.stderr
    assert "server.listen" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_closed_pipe_is_no_error():
    """`watchkeeper metrics | head` ends quietly."""
    command = f"{sys.executable} -m exporter metrics | head -1"
    result = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=Path(__file__).parents[2],
    )
    assert (result.returncode, result.stderr) == (0, "")


def get(url):
    with urllib.request.urlopen(url, timeout=10) as answer:
        return answer.read().decode()


def test_a_hang_up_puts_new_settings_in_force(tmp_path):
    """SIGHUP reads the file anew; a fault in it is told, and what runs goes on."""
    file = tmp_path / "watchkeeper.yml"
    file.write_text("server: {listen: '127.0.0.1:0'}\ncollectors: {host: {}}\n")
    with running("serve", "--config", str(file)) as process:
        url = re.search(r"http://\S+", process.stderr.readline()).group()
        file.write_text("server: {listen: '127.0.0.1:0'}\ncollectors: {hots: {}}\n")
        process.send_signal(signal.SIGHUP)
        wait_for(lambda: "watchkeeper_config_last_reload_successful 0.0" in get(url))
        fault = f"the settings in force stay: {file}:2: unknown key 'collectors.hots'"
        assert any(fault in process.stderr.readline() for _ in range(2))  # as root another line comes first
        file.write_text(
            "server: {listen: '127.0.0.1:0'}\ncollectors: {host: {}}\ntargets: {other: {host: {}}}\n"
        )
        process.send_signal(signal.SIGHUP)
        wait_for(lambda: "watchkeeper_config_last_reload_successful 1.0" in get(url))
        assert "node_load1" in get(url.replace("/metrics", "/probe?target=other"))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_full_disk_under_the_log_stops_nothing():
    """A line that cannot be written is lost; the page is not, failing collectors and all."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    environ = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "WATCHKEEPER_SERVER__LISTEN": f"127.0.0.1:{port}",
        "WATCHKEEPER_COLLECTORS__HOST": "",
        "WATCHKEEPER_COLLECTORS__REDIS__URL": "redis://127.0.0.1:1/0",
    }

    def answered():
        with contextlib.suppress(OSError):
            return get(f"http://127.0.0.1:{port}/metrics")

    with Path("/dev/full").open("w") as full:
        process = subprocess.Popen(
            [sys.executable, "-m", "exporter", "serve", "--verbose"], stdout=full, stderr=full, env=environ
        )
        try:
            page = wait_for(answered, 20)
            assert "node_load1" in page
            assert 'watchkeeper_collector_success{collector="redis"} 0.0' in page
            assert process.poll() is None
        finally:
            process.terminate()
            process.wait(20)
