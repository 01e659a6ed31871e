"""The file by which `status` and `stop` find a run, and what they do after a crash."""

import os
import socket
import subprocess
import tempfile
from pathlib import Path

import psutil
import pytest

from scripts.stack import leftovers, state
from scripts.stack.errors import SetupError
from scripts.stack.ports import USUAL, Ports
from scripts.stack.process import free_port


def row(pid: int, started: float) -> state.Row:
    return state.Row("some", "http://127.0.0.1:1", pid, started, "some.log")


@pytest.fixture
def sleeper():
    with subprocess.Popen(["sleep", "60"]) as process:
        yield process
        process.kill()


def test_what_was_written_is_read(tmp_path: Path):
    """State survives the file, which only its owner may read."""
    written = state.State(1, 2.0, "some-folder", True, [row(3, 4.0)])
    state.write(written, tmp_path)
    assert state.read(tmp_path) == written
    assert (tmp_path / "state.json").stat().st_mode & 0o077 == 0
    state.forget(tmp_path)
    assert state.read(tmp_path) is None


def test_what_a_detached_run_says_is_for_its_owner_alone(tmp_path: Path):
    """Grafana's password stands there: nobody else can read the log or list its folder."""
    folder = tmp_path / "run"
    with state.open_log(folder) as log:
        log.write("the password of an earlier run")
    (folder / state.LOG).chmod(0o644)
    with state.open_log(folder) as log:
        assert (folder / state.LOG).read_text() == ""
        assert os.fstat(log.fileno()).st_mode & 0o077 == 0
    assert folder.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"runner": 1}', "\0"])
def test_a_file_that_makes_no_sense_counts_as_none(tmp_path: Path, text: str):
    """Half a file or another version's never stops the set-up from starting."""
    (tmp_path / "state.json").write_text(text)
    assert state.read(tmp_path) is None


def test_a_reused_process_id_is_left_alone(tmp_path: Path, sleeper):
    """A process that has the id of ours but started at another time is a stranger's."""
    ours = psutil.Process(sleeper.pid).create_time()
    stranger = state.State(sleeper.pid, ours - 100, "", True, [row(sleeper.pid, ours - 100)])
    assert not stranger.alive
    state.stop(stranger, tmp_path)
    assert sleeper.poll() is None


def test_after_a_crash_stop_ends_what_is_left(tmp_path: Path, sleeper):
    """The runner was killed: its processes end and its folder goes."""
    folder = Path(tempfile.mkdtemp(prefix="watchkeeper-"))
    left = state.State(os.getpid(), 0.0, str(folder), True, [row(sleeper.pid, state.started(sleeper.pid))])
    state.write(left, tmp_path)
    state.stop(left, tmp_path)
    assert not psutil.pid_exists(sleeper.pid)
    assert not folder.exists()
    assert state.read(tmp_path) is None


def test_after_a_crash_stop_ends_workers_and_removes_their_numbers(tmp_path: Path, monkeypatch):
    """The runner and the server are gone: what the server had started ends, and its shared memory goes."""
    monkeypatch.setattr(leftovers, "PLACES", (str(tmp_path),))
    server = subprocess.Popen(
        ["sh", "-c", "sleep 60 & echo $!; wait"], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert server.stdout is not None
    worker = psutil.Process(int(server.stdout.readline()))
    server.stdout.close()
    begun = state.started(server.pid)
    ticks = round((begun - psutil.boot_time()) * os.sysconf("SC_CLK_TCK"))
    numbers = tmp_path / f"watchkeeper-{os.getuid()}" / f"1-{server.pid}-{ticks}"
    numbers.mkdir(parents=True)
    server.kill()
    server.wait()
    state.stop(state.State(os.getpid(), 0.0, "", True, [row(server.pid, begun)]), tmp_path / "state")
    assert not leftovers.runs(worker)
    assert not numbers.exists()


def test_a_folder_that_is_not_of_our_making_is_never_removed(tmp_path: Path):
    """Whatever the file says, only a temporary folder with our name goes."""
    precious = tmp_path / "watchkeeper-precious"
    precious.mkdir()
    state.stop(state.State(os.getpid(), 0.0, str(precious), True), tmp_path)
    assert precious.exists()


def test_only_one_runner_at_a_time(tmp_path: Path):
    """The second is refused while the first holds its claim, and accepted after."""
    with state.claim(tmp_path) as first, state.claim(tmp_path) as second:
        assert (first, second) == (True, False)
    with state.claim(tmp_path) as third:
        assert third


def test_a_demanded_port_that_is_taken_is_an_error_before_anything_starts(listening: int):
    """The message names the port and the way out."""
    with pytest.raises(SetupError, match=rf"Port {listening}, demanded for app.*\n.*--port app={listening}"):
        Ports(demanded={"app": listening})


def test_a_usual_port_that_is_taken_is_replaced_and_said(listening: int, monkeypatch):
    """The next free one that is nobody else's usual port."""
    monkeypatch.setitem(USUAL, "app", listening)
    monkeypatch.setitem(USUAL, "ai", listening + 1)
    said: list[str] = []
    chosen = Ports(say=said.append).of("app")["port"]
    assert chosen > listening + 1
    assert said == [f"port {listening} is taken: app listens on {chosen}"]


def test_a_demanded_port_is_given(monkeypatch):
    """And must not be changed when it is lost."""
    port = free_port()
    assert Ports(demanded={"app": port}).of("app") == {"port": port, "movable": False}


@pytest.fixture
def listening():
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]
