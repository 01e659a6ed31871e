"""Which processes count together, and where."""

import fcntl
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from exporter.store import family

ROOT = Path(__file__).parents[3]
PROGRAM = Path(__file__).with_name("children.py")
OLD = time.time() - 3600


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_children_of_children_have_one_root(method):
    """However multiprocessing starts them, and while they still import the main module."""
    command = [sys.executable, str(PROGRAM), method]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, cwd=ROOT, env=os.environ | {"PYTHONPATH": "."}
    ) as program:
        said = program.stdout.read().split()
    assert program.returncode == 0
    assert len(said) >= 4
    assert {int(pid) for pid in said} == {program.pid}


def test_a_program_started_by_another_is_a_family_of_its_own():
    """Also by a Python program, and the same one twice."""
    code = "from exporter.store import family; print(family.root().pid)"
    for _ in range(2):
        with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, cwd=ROOT) as program:
            assert int(program.stdout.read()) == program.pid != family.root().pid


def test_a_master_as_root_and_its_workers_as_nobody_are_one_program():
    """The kernel hides the memory layout of another user's process; the command line tells, then."""
    if os.getuid() != 0:
        pytest.skip("only root can become another user")
    code = """
import os
from exporter.store import family
if os.fork() == 0:
    os.setgroups([]); os.setgid(65534); os.setuid(65534)
    print(family.root().pid, flush=True)
    os._exit(0)
os.wait()
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, cwd=ROOT) as program:
        assert int(program.stdout.read()) == program.pid


@pytest.fixture
def base(tmp_path, monkeypatch):
    monkeypatch.setattr(family, "_base", lambda: tmp_path)
    return tmp_path


def test_the_folder_is_private_and_always_the_same(base):
    """Nobody else reads an application's numbers, and every call leads to the same place."""
    path = family.folder()
    assert path == family.folder()
    assert path.parent == base
    assert path.stat().st_mode & 0o777 == 0o700


def test_folders_of_families_that_are_gone_are_removed(base):
    """Also those of a container that is no more; a living family, a locked file, a young folder stay."""
    here = family._namespace()
    gone = base / f"{here}-1-12345"
    other = base / "4026530000-1-77"
    locked = base / "4026530000-2-78"
    living = base / f"{here}-{os.getpid()}-{family._stat(os.getpid()).started}"
    young = base / "4026530000-3-79"
    foreign = base / "something"
    for path in (gone, other, locked, living, young, foreign):
        path.mkdir()
        (path / "a.cells").write_bytes(b"x")
        if path is not young:
            os.utime(path, (OLD, OLD))
    with (locked / "a.cells").open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        own = family.folder()
    assert {path.name for path in base.iterdir()} == {p.name for p in (locked, living, young, foreign, own)}


def test_a_folder_of_somebody_else_is_not_used(tmp_path, monkeypatch):
    """Others may write in /tmp: what they put at our place, a folder of theirs or a link, is left alone."""
    monkeypatch.setattr(family.tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.setattr(
        family, "Path", lambda place: Path(str(place).replace("/dev/shm", str(tmp_path / "shm")))
    )
    place = tmp_path / f"watchkeeper-{os.getuid()}"
    (tmp_path / "elsewhere").mkdir()
    place.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="no folder"):
        family._base()
    place.unlink()
    assert family._base() == place
    if os.getuid() == 0:
        os.chown(place, 1000, 1000)
        with pytest.raises(OSError, match="no folder"):
            family._base()
