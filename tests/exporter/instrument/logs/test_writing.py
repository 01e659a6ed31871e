"""The queue, its thread and its sinks: bounded, counted, whole lines, also in forked processes."""

import errno
import json
import os
import threading

import pytest

from exporter.instrument.logs.sink import Descriptor, File
from tests.waiting import wait_for


def test_a_full_queue_drops_counts_and_never_waits(make):
    """Only what may be dropped: audit and security lines wait for their place instead."""
    logs = make(queue=10)
    logs.sink.gate = threading.Event()
    for number in range(100):
        logs.logger.info("%d", number)
    lost = logs.value("log_records_dropped_total", log_class="production")
    assert 80 <= lost <= 90
    late = threading.Thread(target=lambda: (logs.log.audit("kept"), logs.log.security("kept")))
    late.start()
    assert late.is_alive()
    logs.sink.gate.set()
    late.join(10)
    assert len([line for line in logs.lines if line["message"] == "kept"]) == 2
    assert len(logs.lines) == 102 - lost
    assert logs.value("log_records_dropped_total", log_class="audit") == 0
    assert logs.value("log_records_total", level="INFO", log_class="production") == 100


def test_audit_lines_are_written_when_the_call_returns(logs):
    """Without a flush."""
    logs.log.audit("done")
    assert b"done" in logs.sink.data


def test_a_sink_that_fails_loses_no_audit_line(logs, capsys):
    """Others are dropped and counted; those that must not be lost are written when it works again."""
    logs.sink.broken = OSError(errno.ENOSPC, "No space left on device")
    logs.log.audit("first")
    logs.log.security("second")
    logs.logger.info("lost")
    assert logs.lines == []
    assert "No space left on device" in capsys.readouterr().err
    logs.sink.broken = None
    logs.logger.info("after")
    assert [line["message"] for line in logs.lines] == ["first", "second", "after"]
    assert logs.value("log_records_dropped_total", log_class="production") == 1
    assert logs.value("log_records_dropped_total", log_class="audit") == 0


def test_lines_after_the_end_are_written_at_once(logs):
    """Whatever logs while a program ends finds no thread any more."""
    logs.logger.info("before")
    logs.pipeline.writer.close()
    logs.logger.info("after")
    assert [json.loads(line)["message"] for line in logs.sink.data.splitlines()] == ["before", "after"]


def test_a_forked_process_writes_its_own_lines_and_none_of_its_parents(make, tmp_path):
    """With lines waiting at the fork: each is written once, and ids differ."""
    file = tmp_path / "log"
    logs = make()
    logs.pipeline.writer._sink = File(file)
    for number in range(50):
        logs.logger.info("parent %d", number)
    child = os.fork()
    if child == 0:
        try:
            for number in range(50):
                logs.logger.info("child %d", number)
            logs.log.audit("child")
        finally:
            logs.pipeline.writer.flush()
            os._exit(0)
    for number in range(50):
        logs.logger.info("parent again %d", number)
    assert os.waitpid(child, 0)[1] == 0
    logs.pipeline.writer.flush()
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert len(lines) == 151
    assert len({line["event_id"] for line in lines}) == 151


def test_threads_write_all_their_lines(logs):
    """From many threads at once, each once."""

    def work(name):
        for number in range(200):
            logs.logger.info("%s-%d", name, number)

    threads = [threading.Thread(target=work, args=(name,)) for name in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({line["message"] for line in logs.lines}) == 1600


def test_a_file_that_is_moved_away_is_made_anew(tmp_path):
    """As logrotate does it, without a signal."""
    file = tmp_path / "log"
    sink = File(file)
    sink.write(b"one\n")
    file.rename(tmp_path / "old")
    wait_for(lambda: sink.write(b"x\n") or file.exists())
    assert (tmp_path / "old").read_text().startswith("one\n")


def test_a_file_that_is_full_is_renamed_once_by_all_its_writers(tmp_path):
    """Two processes' worth of writers, one old file, and no line lost."""
    file = tmp_path / "log"
    sinks = [File(file, max_bytes=1000), File(file, max_bytes=1000)]
    for number in range(100):
        for sink in sinks:
            sink.write(b"%06d\n" % number)
    for sink in sinks:
        sink._look_at = 0.0
        sink.write(b"new\n")
    assert file.read_text() == "new\nnew\n"
    assert len((tmp_path / "log.1").read_text().splitlines()) == 200


def test_a_line_that_was_cut_short_spoils_no_other():
    """What follows a write that failed half-way begins on a line of its own."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    sink = Descriptor(writer)
    sink._write_all.__globals__["WAIT_SECONDS"], before = 0.1, sink._write_all.__globals__["WAIT_SECONDS"]
    try:
        with pytest.raises(BlockingIOError):
            sink.write(b"x" * 100_000 + b"\n")
        os.read(reader, 100_000)
        sink.write(b"whole\n")
        assert os.read(reader, 100).startswith(b"\nwhole\n")
    finally:
        sink._write_all.__globals__["WAIT_SECONDS"] = before
        os.close(reader)
        os.close(writer)


def test_a_reader_that_is_slow_for_a_moment_loses_nothing():
    """Even where standard output does not wait by itself."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    sink = Descriptor(writer)
    data = b"".join(b"%06d\n" % number for number in range(30_000))
    thread = threading.Thread(target=sink.write, args=(data,))
    thread.start()
    got = b""
    while len(got) < len(data):
        got += os.read(reader, 10_000)
    thread.join()
    os.close(reader)
    os.close(writer)
    assert got == data


def test_a_program_that_ends_has_written_all(tmp_path):
    """Ended normally, by an exception, and as a child of multiprocessing."""
    import subprocess
    import sys

    code = (
        "import logging, multiprocessing, sys\nfrom exporter import instrument\n"
        "def child():\n    logging.info('child')\n"
        "if __name__ == '__main__':\n    instrument(logs={'service': 's'})\n    logging.info('parent')\n"
        "    one = multiprocessing.get_context('fork').Process(target=child); one.start(); one.join()\n"
        "    logging.info('last'); raise SystemExit(int(sys.argv[1]))\n"
    )
    for end in ("0", "3"):
        done = subprocess.run([sys.executable, "-c", code, end], capture_output=True, text=True, timeout=30)
        assert done.returncode == int(end), done.stderr
        assert {json.loads(line)["message"] for line in done.stdout.splitlines()} == {
            "parent",
            "child",
            "last",
        }
