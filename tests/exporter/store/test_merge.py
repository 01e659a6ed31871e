"""Adding up workers: the living as they are, the dead once."""

import contextlib
import errno
import fcntl
from pathlib import Path
from unittest import mock

import pytest
from prometheus_client import CollectorRegistry

from exporter.catalog import Metric
from exporter.store import Store
from exporter.store import files as store_files
from tests.exporter.store.simulated import Worker

ORDERS = Metric("orders_total", "counter", "Orders.", ("shop",))
DEPTH = Metric("depth", "gauge", "Depth.")
AGE = Metric("age_seconds", "gauge", "Age.", merge="max")
LAST = Metric("last_timestamp_seconds", "gauge", "Last.", merge="newest")
WAIT = Metric("wait_seconds", "histogram", "Time waited.", buckets=(1, 2))


@pytest.fixture
def start(tmp_path):
    """Starts a worker of one family; those that have not died do so at the end."""
    workers = []

    def start():
        workers.append(Worker(tmp_path))
        return workers[-1]

    yield start
    for worker in workers:
        worker.die()


def files(folder):
    return sorted(path.name for path in folder.glob("*.cells"))


def orders(worker, amount=1, shop="north"):
    worker.on(ORDERS).labels(shop).inc(amount)


def test_a_dead_workers_counts_stay_and_its_gauges_go(start, tmp_path):
    """Counts and newest values outlive their worker; what it had in progress, and its greatest, do not."""
    here, there = start(), start()
    for number, worker in enumerate((here, there), start=1):
        orders(worker, number)
        worker.on(DEPTH).set(10 * number)
        worker.on(AGE).set(number)
        worker.on(WAIT).observe(number)
    there.on(LAST).set(99)
    assert here.page()["depth", ()] == 30
    there.die()
    page = here.page()
    assert page == {
        ("orders_total", ("north",)): 3,
        ("depth", ()): 10,
        ("age_seconds", ()): 1,
        ("wait_seconds", ()): [1, 1, 0, 3],
        ("last_timestamp_seconds", ()): 99,
    }
    assert files(tmp_path) == [here.path.name]
    assert start().page() == page | {("depth", ()): 10}


@contextlib.contextmanager
def killed_before(step):
    """The process is gone at this instant: nothing after it happens."""

    class KilledError(BaseException):
        pass

    with mock.patch.object(Path, step, side_effect=KilledError), pytest.raises(KilledError):
        yield


@pytest.mark.parametrize("step", ["write_bytes", "replace", "unlink"])
def test_a_kill_in_the_middle_of_a_fold_counts_nothing_twice(start, tmp_path, step):
    """Whatever the dying folder had done, the next worker's page is right, and so is the next fold."""
    first, second, third = start(), start(), start()
    for worker in (first, second, third):
        orders(worker)
        worker.on(DEPTH).inc()
    first.die()
    with killed_before(step):
        second.page()
    second.die()
    for _ in range(3):
        assert third.page() == {("orders_total", ("north",)): 3, ("depth", ()): 1}
    assert start().page() == {("orders_total", ("north",)): 3, ("depth", ()): 1}
    assert files(tmp_path)[:1] == [third.path.name]


def test_a_worker_that_cannot_have_the_lock_reads_and_does_not_fold(start, tmp_path, monkeypatch):
    """One who holds the lock and is stopped stops nobody; the dead's gauges are left out all the same."""
    monkeypatch.setattr(store_files, "_LOCK_SECONDS", 0)
    here, there = start(), start()
    orders(there)
    there.on(DEPTH).set(5)
    there.die()
    with (tmp_path / "lock").open("rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        page = here.page()
    assert (page["orders_total", ("north",)], page.get(("depth", ()))) == (1, None)
    assert there.path.exists()


def test_a_fold_by_others_while_we_look_hides_nothing(start):
    """A reader without the lock sees the dead in their own files or folded, never in neither."""
    here, there, other = start(), start(), start()
    orders(there, 7)
    there.die()
    look = here.family._look

    def fold_first(path, found):
        if path.name == there.path.name:
            other.page()  # folds it and removes the file, just before we open it
        return look(path, found)

    here.family._alone = lambda: contextlib.nullcontext(False)
    here.family._look = fold_first
    assert here.page()["orders_total", ("north",)] == 7
    assert not there.path.exists()


def test_files_do_not_pile_up_where_nobody_scrapes(start, tmp_path):
    """A worker that starts folds the dead away when there are more of them than of the living."""
    for _ in range(20):
        worker = start()
        orders(worker)
        worker.die()
        assert len(files(tmp_path)) <= 2
    assert start().page()["orders_total", ("north",)] == 20


def test_a_fold_without_room_leaves_the_files_as_they_are(start, tmp_path):
    """The page is right, and the fold is done when there is room."""
    here, there = start(), start()
    orders(there)
    there.on(DEPTH).set(5)
    there.die()
    with mock.patch.object(Path, "write_bytes", side_effect=OSError(errno.ENOSPC, "No space left on device")):
        for _ in range(2):
            page = here.page()
            assert (page["orders_total", ("north",)], page.get(("depth", ()))) == (1, None)
    assert there.path.exists()
    assert here.page()["orders_total", ("north",)] == 1
    assert not there.path.exists()


def test_without_free_file_descriptors_what_is_known_stays_exact(start, monkeypatch):
    """No dip that looks like a restart: the others' files are mapped already."""
    here, there = start(), start()
    orders(there)
    assert here.page()["orders_total", ("north",)] == 1
    orders(there)
    with mock.patch.object(Path, "open", side_effect=OSError(errno.EMFILE, "Too many open files")):
        assert here.page()["orders_total", ("north",)] == 2


@pytest.mark.parametrize("content", [b"", b"x", b"\xff" * 4096, b"PKW1", bytes(256)])
@pytest.mark.parametrize("name", ["store.1.1.cells", "store.folded", "store.part", "store.cells", "other"])
def test_a_foreign_or_torn_file_changes_nothing(start, tmp_path, name, content):
    """Garbage, an older format, nothing at all: the page is that of the workers."""
    here, there = start(), start()
    orders(here)
    orders(there)
    (tmp_path / name).write_bytes(content)
    assert here.page() == {("orders_total", ("north",)): 2}
    there.die()
    for worker in (here, start()):
        assert worker.page() == {("orders_total", ("north",)): 2}


def test_a_file_torn_anywhere_loses_what_is_torn_and_no_more(start, tmp_path):
    """Cut at any length, a dead worker's file gives its whole entries, and the page stands."""
    there = start()
    for shop in "abcde":
        orders(there, shop=shop)
    content = bytes(there.area.used())
    there.die()
    there.path.unlink()
    here = start()
    orders(here, 100, "mine")
    seen = set()
    for length in range(0, len(content) + 1, 4):
        (tmp_path / "store.folded").write_bytes(content[:length])
        page = here.page()
        assert page.pop(("orders_total", ("mine",))) == 100
        assert set(page.values()) <= {0, 1}
        seen.add(sum(page.values()))
        (tmp_path / "store.folded").unlink()
    assert seen == {0, 1, 2, 3, 4, 5}


def test_garbage_in_any_place_of_a_file_breaks_no_page(start, tmp_path):
    """Every 8 bytes of a worker's file in turn are overwritten."""
    there = start()
    orders(there)
    there.on(WAIT).observe(1)
    there.on(LAST).set(1)
    content = bytes(there.area.used())
    there.die()
    there.path.unlink()
    for at in range(0, len(content), 8):
        here = start()
        orders(here, 100, "mine")
        torn = content[:at] + b"\xfe\xff\x00\x7f\xff\xff\xff\x7f" + content[at + 8 :]
        path = tmp_path / "store.1.1.cells"
        path.write_bytes(torn)
        assert here.page()["orders_total", ("mine",)] == 100  # folds it
        assert here.page()["orders_total", ("mine",)] == 100
        (tmp_path / "store.folded").unlink(missing_ok=True)
        here.die()
        here.path.unlink()


def test_a_page_under_way_is_not_disturbed_by_the_next(monkeypatch):
    """Two servers scrape at once, and new series appear in between: both pages are whole."""
    store = Store.of(CollectorRegistry())
    for number in range(200):
        WAIT.on(store).observe(number)
        ORDERS.on(store).labels(f"shop{number}").inc()
    pages = store.pages()
    pieces = [next(pages)]
    for number in range(200):
        ORDERS.on(store).labels(f"later{number}").inc()
        Metric(f"later{number}_seconds", "histogram", "Later.", buckets=(1,)).on(store).observe(1)
    assert b"later199" in store.page()
    pieces += pages
    text = "".join(pieces)
    assert text.count("orders_total{") == 200
    assert "later" not in text
