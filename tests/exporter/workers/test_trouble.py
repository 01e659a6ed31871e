"""Disks that are full, read-only or gone: this worker's own numbers go on, and the page says so."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.exporter.workers.servers import ROOT

PROGRAM = [sys.executable, "-m", "tests.exporter.workers.count"]
ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
# As root, or as anybody where the kernel lets users make namespaces of their own.
NAMESPACES = (["unshare", "--mount"], ["unshare", "--user", "--map-root-user", "--mount"])


class Program:
    """The counting program: `tell` it something, and get what its page says."""

    def __init__(self, process):
        self.process = process

    def tell(self, *words):
        self.process.stdin.write(" ".join(words) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())


@contextlib.contextmanager
def counting(command=PROGRAM, **options):
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT, **options
    )
    try:
        yield Program(process)
    finally:
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()
        process.stdout.close()
        process.wait(10)
        for base in (Path("/dev/shm"), Path(tempfile.gettempdir())):
            for path in base.glob(f"watchkeeper-*/*-{process.pid}-*"):
                shutil.rmtree(path)


@pytest.fixture(scope="module")
def namespace():
    """The words that start a program with mounts of its own."""
    for words in NAMESPACES:
        mount = [*words, "mount", "-t", "tmpfs", "tmpfs", "/mnt"]
        if subprocess.run(mount, capture_output=True, check=False).returncode == 0:
            return words
    pytest.skip("no mounts without privileges here")


def mounted(namespace, mounts):
    return [*namespace, "sh", "-c", f'{mounts}; exec "$@"', "sh", *PROGRAM]


def test_no_trouble_is_not_degraded():
    """The same program in peace: a shared file, and the page says 0."""
    with counting() as program:
        assert program.tell("count", "3") == {"done_total": 3, "others_total": 0, "degraded": 0}


def test_a_disk_that_is_full_from_the_start(namespace):
    """Not one block for a file, neither in memory nor on disk: own numbers, degraded."""
    full = "mount -t tmpfs -o size=16k tmpfs /dev/shm"
    with counting(mounted(namespace, full)) as program:
        assert program.tell("count", "3") == {"done_total": 3, "others_total": 0, "degraded": 1}
        assert program.tell("series", "500") == {"done_total": 3, "others_total": 500, "degraded": 1}


def test_a_disk_that_fills_up(namespace):
    """What fits in the file stays there, the rest is kept in memory: nothing is lost or counted twice."""
    small = "mount -t tmpfs -o size=200k tmpfs /dev/shm"
    with counting(mounted(namespace, small)) as program:
        assert program.tell("series", "100") == {"done_total": 0, "others_total": 100, "degraded": 0}
        program.tell("series", "1500")
        assert program.tell("count", "2") == {"done_total": 2, "others_total": 1600, "degraded": 1}


# Read-only for this program alone; /tmp may be a mount of its own.
SEALED = "mount -o remount,bind,ro /; mount -o remount,bind,ro /tmp 2>/dev/null; cd /"


def test_disks_that_are_read_only(namespace):
    """No folder can be made anywhere."""
    sealed = f"mount -t tmpfs -o ro tmpfs /dev/shm; {SEALED}"
    with counting(mounted(namespace, sealed), env=ENVIRONMENT) as program:
        assert program.tell("count", "3") == {"done_total": 3, "others_total": 0, "degraded": 1}


def test_a_read_only_container_with_shared_memory(namespace):
    """All disks are read-only, as `docker run --read-only` makes them: memory is enough."""
    sealed = f"mount -t tmpfs tmpfs /dev/shm; {SEALED}"
    with counting(mounted(namespace, sealed), env=ENVIRONMENT) as program:
        assert program.tell("count", "3") == {"done_total": 3, "others_total": 0, "degraded": 0}


def test_a_limit_on_the_size_of_files():
    """The same where nothing can be mounted: the kernel refuses a file of that size (EFBIG)."""
    with counting(["sh", "-c", 'ulimit -f 64; exec "$@"', "sh", *PROGRAM]) as program:
        assert program.tell("count", "3") == {"done_total": 3, "others_total": 0, "degraded": 1}


def test_a_folder_that_is_removed_while_we_run():
    """By somebody who cleans /dev/shm: the very next page says so, and counting goes on without a gap."""
    with counting() as program:
        assert program.tell("count", "3")["degraded"] == 0
        assert program.tell("remove") == {"done_total": 3, "others_total": 0, "degraded": 1}
        assert program.tell("count", "2") == {"done_total": 5, "others_total": 0, "degraded": 1}
        assert program.tell("series", "5")["others_total"] == 5


def test_a_folder_of_another_user(namespace):
    """Our place in memory is taken by somebody else: the next place serves, undegraded."""
    taken = "mount -t tmpfs tmpfs /dev/shm; mkdir /dev/shm/watchkeeper-0; chown 1 /dev/shm/watchkeeper-0"
    if "--user" in namespace:
        pytest.skip("one user only in this namespace")
    with counting(mounted(namespace, taken)) as program:
        assert program.tell("count", "3") == {"done_total": 3, "others_total": 0, "degraded": 0}


def test_a_container_that_starts_again_starts_clean():
    """Process 1 of a container, killed and started again on the same memory: nothing is left of the first."""
    if os.getuid() != 0:
        pytest.skip("only root can make a process namespace here")
    words = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"]
    if subprocess.run([*words, "true"], capture_output=True, check=False).returncode:
        pytest.skip("no process namespaces here")
    for times in (3, 2):
        with counting([*words, *PROGRAM]) as program:
            assert program.tell("count", str(times))["done_total"] == times
            program.process.kill()


def test_two_programs_of_one_shell_do_not_mix():
    """Started side by side by the same shell, the same program twice."""
    shell = 'for i in 1 2; do echo count 1 | "$@" & done; wait; echo count 1 | "$@"'
    done = subprocess.run(
        ["sh", "-c", shell, "sh", *PROGRAM], capture_output=True, text=True, cwd=ROOT, check=True
    )
    assert [json.loads(line)["done_total"] for line in done.stdout.splitlines()] == [1, 1, 1]
