"""Started as root, the exporter becomes somebody else, and there is no way back."""

import json
import os
import pwd
import subprocess
import sys
from pathlib import Path

import pytest

from exporter import privileges
from exporter.config import ConfigError

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can change users")
ROOT = Path(__file__).parents[2]

DROPPED = """
import ctypes, json, os, pathlib, socket, sys, threading
from prometheus_client import PROCESS_COLLECTOR
from exporter import privileges

secret = pathlib.Path(sys.argv[2])
held = secret.open()
privileges.drop(sys.argv[1])

def status(path):
    return dict(line.split(":\\t", 1) for line in pathlib.Path(path, "status").read_text().splitlines())

def refused(act, *arguments):
    try:
        act(*arguments)
    except PermissionError:
        return True
    return False

threads = []
thread = threading.Thread(target=lambda: threads.append(status("/proc/thread-self")))
thread.start()
thread.join()
own = status("/proc/self")
print(json.dumps({
    "uid": own["Uid"].split(),
    "gid": own["Gid"].split(),
    "groups": own["Groups"].split(),
    "capabilities": [int(own[name], 16) for name in ("CapPrm", "CapEff", "CapAmb")],
    "no_new_privileges": [own["NoNewPrivs"], threads[0]["NoNewPrivs"]],
    "refused": [
        refused(os.setuid, 0),
        refused(os.seteuid, 0),
        refused(os.setgid, 0),
        refused(os.setgroups, [0]),
        refused(secret.open),
        refused(os.chroot, "/"),
    ],
    "dumpable": ctypes.CDLL(None).prctl(3, 0, 0, 0, 0),
    "held": held.read(),
    "home": os.path.expanduser("~"),
    "memory_of_others": refused(open, f"/proc/{os.getppid()}/mem"),
    "own_figures": sorted(metric.name for metric in PROCESS_COLLECTOR.collect()),
}))
"""


def dropped(user, folder):
    """What a process that became `user` can still do."""
    secret = folder / "secret"
    secret.write_text("key")
    secret.chmod(0o600)
    command = [sys.executable, "-c", DROPPED, user, str(secret)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@as_root
def test_it_becomes_that_user_for_good(tmp_path):
    """Numbers, groups and capabilities are gone in all threads, and no program can bring them back."""
    found = dropped("nobody", tmp_path)
    nobody = pwd.getpwnam("nobody")
    assert found["uid"] == [str(nobody.pw_uid)] * 4
    assert found["gid"] == [str(nobody.pw_gid)] * 4
    assert found["groups"] == [str(nobody.pw_gid)]
    assert found["capabilities"] == [0, 0, 0]
    assert found["no_new_privileges"] == ["1", "1"]
    assert all(found["refused"])
    assert found["memory_of_others"]
    assert found["dumpable"] == 0  # nor may others of that user look into its memory
    assert found["home"] == nobody.pw_dir


@as_root
def test_what_was_opened_before_is_still_there(tmp_path):
    """Keys are read and addresses bound before; the process can tell of itself afterwards."""
    found = dropped("nobody", tmp_path)
    assert found["held"] == "key"
    assert "process_open_fds" in found["own_figures"]
    assert "process_resident_memory_bytes" in found["own_figures"]


@as_root
@pytest.mark.parametrize(
    ("user", "uid", "gid", "groups"),
    [("nobody:daemon", None, None, None), ("10002:10003", "10002", "10003", ["10003"])],
)
def test_a_group_and_bare_numbers_will_do(user, uid, gid, groups, tmp_path):
    """A container has no entry for its user; a group of one's own choice is the only one."""
    if uid is None:
        nobody, daemon = pwd.getpwnam("nobody"), privileges.identity(user).gid
        uid, gid, groups = str(nobody.pw_uid), str(daemon), [str(daemon)]
    found = dropped(user, tmp_path)
    assert (found["uid"][0], found["gid"][0], found["groups"]) == (uid, gid, groups)


@pytest.mark.parametrize(
    ("user", "message"),
    [
        ("nosuchuser", "there is no user 'nosuchuser' on this machine: make one with 'useradd --system"),
        ("nobody:nosuchgroup", "there is no group 'nosuchgroup' on this machine"),
        ("4242424", "there is no user '4242424' on this machine"),
        ("root", "the user 'root' has root's rights: name one without"),
        ("0:10", "the user '0:10' has root's rights: name one without"),
        ("10:0", "the user '10:0' has root's rights: name one without"),
        ("nobody:root", "the user 'nobody:root' has root's rights: name one without"),
        ("", "there is no user '' on this machine"),
    ],
)
def test_a_wrong_user_is_told(user, message):
    """Somebody who is not there, or who is root again, is refused with what to do."""
    with pytest.raises(ConfigError) as error:
        privileges.drop(user)
    assert str(error.value).startswith(message)


NOT_ROOT = """
import os, sys
from exporter import privileges
from exporter.config import ConfigError
os.setgroups([])
os.setresgid(10002, 10002, 10002)
os.setresuid(10002, 10002, 10002)
privileges.drop("10002:10002")
print("fine", open("/proc/self/status").read().count("NoNewPrivs:\\t1"))
try:
    privileges.drop("nobody")
except ConfigError as error:
    print(error)
"""


@as_root
def test_without_root_only_oneself_can_be_named():
    """Being the user already is fine; another one cannot be had, and is not silently left out."""
    done = subprocess.run([sys.executable, "-c", NOT_ROOT], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.splitlines() == [
        "fine 1",
        "only root can become the user 'nobody', and this is '10002': start as root, or leave the user out",
    ]


KEPT = """
import ctypes, sys
from exporter import privileges
from exporter.config import ConfigError
assert ctypes.CDLL(None).prctl(int(sys.argv[1]), int(sys.argv[2]), 0, 0, 0) == 0
try:
    privileges.drop("10002:10002")
except ConfigError as error:
    print(error)
"""


@as_root
@pytest.mark.parametrize(("option", "value"), [(28, 4), (8, 1)], ids=["no_setuid_fixup", "keep_caps"])
def test_a_machine_that_keeps_the_rights_is_refused(option, value):
    """Where changing the user leaves capabilities, at hand or in reserve, the exporter does not run on."""
    command = [sys.executable, "-c", KEPT, str(option), str(value)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if "AssertionError" in done.stderr:
        pytest.skip("this container does not let root change its secure bits")
    assert done.stdout.startswith("this machine lets the user '10002' keep root's rights"), done.stderr


@as_root
def test_root_without_a_user_is_advised():
    """A line in the log says that no root is needed, and how to go without."""
    assert "name an unprivileged account with server.user" in privileges.advice(None)
    assert privileges.advice("nobody") == ""


def test_nobody_else_is_advised(monkeypatch):
    """An ordinary user reads nothing about root."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert privileges.advice(None) == ""


def test_files_that_a_reload_cannot_read_are_told(tmp_path):
    """Said at the start, not at the first renewal of a certificate."""
    path = tmp_path / "web.yml"
    path.write_text("")
    assert privileges.unreadable([path]) == []
    (line,) = privileges.unreadable([tmp_path / "gone"])
    assert line.startswith(f"{tmp_path}/gone cannot be read by the user")
