"""Calls that block stand beside the loop, and cannot keep the process."""

import asyncio
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from exporter._threads import DaemonThreads

HANGING = """
import asyncio, threading
from exporter._threads import DaemonThreads

async def main():
    asyncio.get_running_loop().set_default_executor(DaemonThreads())
    try:
        async with asyncio.timeout(0.05):
            await asyncio.to_thread(threading.Event().wait)
    except TimeoutError:
        print("went on")

asyncio.run(main())
"""


def test_a_call_that_never_returns_does_not_keep_the_process():
    """A name server that is silent must not make a stop wait for the resolver's patience."""
    done = subprocess.run(
        [sys.executable, "-c", HANGING],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=Path(__file__).parents[2],
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "went on\n", "")


def test_results_and_errors_come_back():
    """As from any executor."""

    def fail():
        raise KeyError("x")

    async def run():
        asyncio.get_running_loop().set_default_executor(DaemonThreads())
        with pytest.raises(KeyError):
            await asyncio.to_thread(fail)
        return await asyncio.gather(*(asyncio.to_thread(pow, 2, n) for n in range(9)))

    assert asyncio.run(run()) == [2**n for n in range(9)]


def test_no_more_than_the_limit_run_at_once():
    """The rest wait for their turn; one that was cancelled meanwhile is not called at all."""
    threads = DaemonThreads(limit=1)
    gate, called = threading.Event(), []
    first = threads.submit(gate.wait, 10)
    second = threads.submit(called.append, "second")
    third = threads.submit(called.append, "third")
    assert third.cancel()
    assert not second.done()
    gate.set()
    assert first.result(10)
    second.result(10)
    assert called == ["second"]


def test_a_free_thread_is_used_again():
    """One call after the other needs one thread."""
    threads = DaemonThreads()
    names = {threads.submit(threading.get_ident).result(10) for _ in range(20)}
    assert len(names) == 1
