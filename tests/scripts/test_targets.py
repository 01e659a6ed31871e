"""Waiting for targets, asked of a real Prometheus."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts.stack import render, servers, targets
from scripts.stack.errors import SetupError
from scripts.stack.ports import Ports
from scripts.stack.process import HOST, Process, free_port, http_ok
from scripts.stack.run import Run


def page(folder: Path, name: str) -> Process:
    """A server of one metric, not yet started."""
    (folder / "metrics.txt").write_text("one 1\n")
    return Process(
        name,
        lambda port: [sys.executable, "-m", "http.server", "--bind", HOST, str(port)],
        log=folder / f"{name}.log",
        ready=http_ok("/"),
        cwd=folder,
        port=free_port(),
    )


@pytest.fixture
def pages(tmp_path: Path) -> Iterator[list[Process]]:
    started = [page(tmp_path, "first"), page(tmp_path, "second")]
    yield started
    for one in started:
        one.stop()


@pytest.fixture
def prometheus(tmp_path: Path, programs, pages: list[Process]) -> Iterator[str]:
    """Scrapes the two pages every second; its URL."""
    job = {
        "job_name": "app",
        "metrics_path": "/metrics.txt",
        "static_configs": [{"targets": [address(one) for one in pages]}],
    }
    config = render.write(
        tmp_path / "prometheus.yml", {"global": {"scrape_interval": "1s"}, "scrape_configs": [job]}
    )
    server = servers.prometheus(programs["prometheus"], lambda port: config, tmp_path / "data")
    try:
        server.start()
        yield server.url
    finally:
        server.stop()


def address(process: Process) -> str:
    return f"{HOST}:{process.port}"


def test_a_target_counts_from_its_first_scrape(prometheus: str, pages: list[Process]):
    """On a busy machine one or the other scrape is late: they need not all be up at one moment."""
    first, second = pages
    first.start()
    looks = 0

    def swap_when_first_was_seen() -> None:
        nonlocal looks
        looks += any(one["health"] == "up" for one in targets.read(prometheus))
        if looks == 2 and first.alive:
            first.stop()
            second.start()

    wanted = {("app", address(one)) for one in pages}
    assert targets.wait(prometheus, wanted, swap_when_first_was_seen) == {}
    assert not first.alive


def test_a_target_that_is_away_is_told_with_its_error(prometheus: str, pages: list[Process]):
    """At the end of the time the others are not listed, and one that Prometheus does not know is."""
    pages[0].start()
    wanted = {*(("app", address(one)) for one in pages), ("other", "x:1")}
    late = targets.wait(prometheus, wanted, lambda: None, seconds=15)
    assert late.keys() == {("app", address(pages[1])), ("other", "x:1")}
    assert "connection refused" in late["app", address(pages[1])]
    assert late["other", "x:1"] == "unknown to Prometheus"


def test_waiting_ends_with_the_program_that_ended():
    """A program that is gone is told at once, with the end of its log, instead of after the whole time."""
    run = Run(Ports(free=True), say=lambda text: None)
    run.make_folder()
    try:
        run.launch(run.program("brief", lambda port: ["sh", "-c", "echo no more >&2"]))
        with pytest.raises(SetupError, match=r"(?s)brief ended by itself. The end of its log:.*no more"):
            targets.wait("http://127.0.0.1:1", {("app", "x:1")}, run.check_alive)
    finally:
        run.stop()
