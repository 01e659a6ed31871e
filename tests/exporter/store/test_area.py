"""One worker's cells: written by it alone, read by others at any moment."""

import os
import threading

import pytest

from exporter.store import area
from exporter.store.area import COUNT, NEWEST, Area, Reader
from exporter.store.family import locked


def test_what_is_written_is_read_by_others(tmp_path):
    """A reader sees entries that were added after it began, and the numbers as they are now."""
    own = Area.in_file(tmp_path / "a")
    reader = Reader.of_file(tmp_path / "a")
    at = own.add("ключ", COUNT, 3)
    own.cells[at + 2] = 1.5
    (entry,) = reader.fresh()
    assert (entry.key, entry.kind, entry.cells) == ("ключ", COUNT, 3)
    assert list(reader.cells[entry.at : entry.at + 3]) == [0, 0, 1.5]
    own.cells[at] += 1
    assert reader.cells[entry.at] == 1
    assert list(reader.fresh()) == []
    own.add("b", NEWEST, 2)
    assert [entry.key for entry in reader.fresh()] == ["b"]
    own.close()


def test_a_file_grows_by_what_is_used(tmp_path):
    """256 MB are promised; blocks are taken step by step, before they are written to."""
    own = Area.in_file(tmp_path / "a")
    assert (tmp_path / "a").stat().st_blocks * 512 < 200_000
    last = [own.add(f"key{number}", COUNT, 100) for number in range(1000)][-1]
    own.cells[last + 99] = 7
    assert 800_000 < (tmp_path / "a").stat().st_blocks * 512 < 1_200_000
    assert [entry.key for entry in Reader.of_file(tmp_path / "a").fresh()][-1] == "key999"
    own.close()


def test_a_full_area_says_so_and_keeps_what_it_has(monkeypatch, tmp_path):
    """OSError, in a file as in memory; nothing half is left."""
    monkeypatch.setattr(area, "MOST_BYTES", 128 * 1024)
    for own in (Area.in_memory(1024), Area.in_file(tmp_path / "a")):
        count = 0
        with pytest.raises(OSError, match="full"):
            for count in range(10_000):
                own.add(f"key{count}", COUNT, 10)
        assert len(list(Reader(own.whole()).fresh())) == count
        own.close()


def test_the_lock_is_the_life_of_its_process(tmp_path):
    """A forked child, with all that it inherits, does not keep its parent's file alive."""
    path = tmp_path / "a"
    own = Area.in_file(path)
    kept = own.cells  # as series, and frames of threads that the fork left behind, keep it
    assert locked(path)
    begun, end = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        own.close()  # what the store does after a fork
        os.write(begun[1], b"x")
        os.read(end[0], 1)
        os._exit(0)
    os.read(begun[0], 1)
    assert locked(path)
    own.close()
    assert not locked(path)
    os.write(end[1], b"x")
    os.waitpid(child, 0)
    kept[10] = 1  # still there for who holds it
    for file in (*begun, *end):
        os.close(file)


def test_a_file_is_never_seen_without_its_lock(tmp_path):
    """Others look at a file while it is being made: it is empty, or locked."""
    stop = threading.Event()
    wrong = []

    def look():
        while not stop.is_set():
            for path in tmp_path.iterdir():
                if path.stat().st_size and not locked(path):
                    wrong.append(path)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        areas = [Area.in_file(tmp_path / str(number)) for number in range(40)]
    finally:
        stop.set()
        thread.join()
    assert not wrong
    for own in areas:
        own.close()


def test_a_reader_refuses_what_is_not_a_workers_file(tmp_path):
    """Nothing, too little, another format: ValueError, never a crash."""
    for content in (b"", b"x" * 8, bytes(4096)):
        (tmp_path / "a").write_bytes(content)
        with pytest.raises(ValueError, match=r"short|release"):
            Reader.of_file(tmp_path / "a")
