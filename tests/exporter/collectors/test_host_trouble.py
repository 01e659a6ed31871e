"""The machine on bad days: files that hang, are refused or missing, and a mount that is dead in earnest."""

import asyncio
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from exporter.collectors import host
from exporter.collectors.host import cpu, disk, filesystem, memory, network
from exporter.scrape import SUCCESS, Scraper
from scripts.stack.servers import run_folder
from tests.exporter.collectors.driving import values
from tests.exporter.collectors.machine import PROC
from tests.waiting import wait_for

NOBODY = 65534
PARTS = {"host", "host.disk", "host.network", "host.sensors", "host.containers", "host.filesystem"}


@pytest.fixture
def proc(tmp_path) -> Path:
    """A copy of the recorded /proc, to be broken."""
    return shutil.copytree(PROC, tmp_path / "proc")


def scraping(settings: host.Settings) -> Scraper:
    return Scraper({"host": (host, settings)})


def failed(samples) -> set[str]:
    return {sample.labels[0] for sample in samples if sample.metric is SUCCESS and not sample.value}


def test_a_file_that_hangs_costs_its_own_part_and_one_thread(proc):
    """As with lxcfs, whose files in /proc are a program's: the rest of the page is whole, and it recovers."""
    hanging = proc / "meminfo"
    hanging.unlink()
    os.mkfifo(hanging)  # opening it waits for a writer, in the kernel
    before = threading.active_count()

    async def scenario():
        scraper = scraping(host.Settings(procfs=proc, timeout=0.5, mount_timeout=0.3))
        for _ in range(3):
            samples = await scraper.scrape(5)
            assert failed(samples) == {"host"}
            assert not values(samples, cpu.CPU_SECONDS)
            assert values(samples, disk.READ_BYTES)
            assert values(samples, network.RECEIVE_BYTES, device="wire0")
            assert values(samples, filesystem.SIZE, mountpoint="/")
        assert threading.active_count() - before <= 2  # the one that hangs, and the one that works
        os.close(os.open(hanging, os.O_WRONLY))  # what waited reads nothing, and is told so
        hanging.unlink()
        shutil.copy(PROC / "meminfo", hanging)
        wait_for(lambda: "host" not in [thread.name for thread in threading.enumerate()])
        samples = await scraper.scrape(5)
        assert failed(samples) == set()
        assert values(samples, memory.MEM_TOTAL)
        await scraper.close()

    asyncio.run(scenario())
    wait_for(lambda: threading.active_count() <= before)


def test_a_file_that_hangs_does_not_stop_the_loop(proc):
    """While a read waits in its thread, the exporter answers others."""
    (proc / "diskstats").unlink()
    os.mkfifo(proc / "diskstats")

    async def scenario() -> int:
        beats = 0
        scraper = scraping(host.Settings(procfs=proc, timeout=0.5, mount_timeout=0.3))
        scrape = asyncio.create_task(scraper.scrape(5))
        while not scrape.done():
            await asyncio.sleep(0.01)
            beats += 1
        assert failed(scrape.result()) == {"host.disk"}
        os.close(os.open(proc / "diskstats", os.O_WRONLY))
        await scraper.close()
        return beats

    assert asyncio.run(scenario()) > 5


@pytest.mark.parametrize(
    ("file", "part"),
    [("stat", "host"), ("meminfo", "host"), ("diskstats", "host.disk"), ("net/dev", "host.network")],
)
def test_a_missing_file_costs_its_own_part_only(proc, file, part):
    """A kernel or sandbox without it: the part says so, all others are there."""
    (proc / file).unlink()

    async def scenario():
        scraper = scraping(host.Settings(procfs=proc))
        samples = await scraper.scrape(5)
        assert failed(samples) == {part}
        assert {runner.name: runner.failures for runner in scraper.runners if runner.failures} == {
            part: {"invalid": 1}
        }
        await scraper.close()

    asyncio.run(scenario())


@pytest.mark.parametrize(
    "file", ["vmstat", "pressure/cpu", "net/netstat", "net/softnet_stat", "mdstat", "schedstat"]
)
def test_a_file_that_many_kernels_lack_is_left_out_quietly(proc, file):
    """What is not everywhere is no failure where it is not."""
    (proc / file).unlink()

    async def scenario():
        scraper = scraping(host.Settings(procfs=proc))
        assert failed(await scraper.scrape(5)) == set()
        await scraper.close()

    asyncio.run(scenario())


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become nobody")
def test_a_refused_file_is_told_as_such():
    """A hardened /proc: the part fails for the reason permission, the others are read."""
    with run_folder() as folder:
        shutil.copytree(PROC, folder / "proc")
        (folder / "proc/diskstats").chmod(0)
        (folder / "proc/pressure/io").chmod(0)  # one that may be missing is left out
        for each in (folder, *folder.rglob("*")):
            each.chmod(each.stat().st_mode | (0o755 if each.is_dir() else 0))

        async def scenario():
            scraper = scraping(host.Settings(procfs=folder / "proc"))
            os.seteuid(NOBODY)
            try:
                samples = await scraper.scrape(5)
            finally:
                os.seteuid(0)
            assert failed(samples) == {"host.disk"}
            (disk_part,) = (runner for runner in scraper.runners if runner.name == "host.disk")
            assert disk_part.failures == {"permission": 1}
            await scraper.close()

        asyncio.run(scenario())


def test_a_container_without_sys_has_all_that_is_in_proc(tmp_path):
    """No /sys: no sensors, lines and groups, and no failure."""

    async def scenario():
        scraper = scraping(host.Settings(procfs=PROC, sysfs=tmp_path / "nowhere"))
        samples = await scraper.scrape(5)
        assert {sample.labels[0] for sample in samples if sample.metric is SUCCESS} == PARTS
        assert failed(samples) == set()
        assert values(samples, network.RECEIVE_BYTES)
        assert not values(samples, network.MTU)
        await scraper.close()

    asyncio.run(scenario())


FUSE = """
import asyncio, ctypes, os, sys, time
from pathlib import Path
from exporter.collectors import host
from exporter.collectors.host import filesystem
from exporter.scrape import Scraper

libc = ctypes.CDLL(None, use_errno=True)
folder, proc = Path(sys.argv[1]), Path(sys.argv[2])

def must(done):
    if done:
        print("not allowed:", os.strerror(ctypes.get_errno()))
        sys.exit(0)

must(libc.unshare(0x00020000))  # a table of mounts of our own: nobody else meets the dead one
must(libc.mount(b"none", b"/", None, 0x4000 | 0x40000, None))
device = os.open("/dev/fuse", os.O_RDWR)  # a filesystem whose program never answers
options = f"fd={device},rootmode=40000,user_id=0,group_id=0".encode()
must(libc.mount(b"dead", os.fsencode(folder), b"fuse", 0, options))

async def main():
    scraper = Scraper({"host": (host, host.Settings(procfs=proc, mount_timeout=0.3))})
    for _ in range(3):
        start = time.monotonic()
        samples = await scraper.scrape(5)
        errors = {s.labels[2]: (s.labels[3], s.value) for s in samples if s.metric is filesystem.DEVICE_ERROR}
        bad = [r.name for r in scraper.runners if r.last.error]
        print(errors["/"][1], errors[str(folder)], bad, time.monotonic() - start < 3, flush=True)
    await scraper.close()

asyncio.run(main())
"""


@pytest.mark.skipif(not os.access("/dev/fuse", os.W_OK) or os.geteuid() != 0, reason="needs root and FUSE")
def test_a_mount_that_is_dead_in_earnest_is_told_and_the_page_is_whole(tmp_path, proc):
    """A real filesystem that never answers: three scrapes in time, the end of the process too."""
    folder = tmp_path / "dead"
    folder.mkdir()
    (proc / "1/mounts").write_text(f"/dev/vda / ext4 rw 0 0\ndead {folder} fuse rw 0 0\n")
    done = subprocess.run(
        [sys.executable, "-c", FUSE, folder, proc], capture_output=True, text=True, timeout=60, check=True
    )
    if done.stdout.startswith("not allowed"):
        pytest.skip(f"mounting is {done.stdout.strip()}")
    assert done.stdout.splitlines() == ["0 ('no answer in time', 1) [] True"] * 3
