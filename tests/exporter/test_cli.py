"""The command as a person runs it: exit codes, messages, no traceback, no secret."""

import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

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
