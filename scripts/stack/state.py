"""What is running, in a small file in the checkout, so that `status` and `stop` find it from any terminal."""

import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO

import psutil

from scripts.stack import leftovers
from scripts.stack.packages import CHECKOUT, lock

# For its owner only; the programs beside it must be in reach of the user that Postgres runs as.
FOLDER = Path(os.environ.get("SETUP_STATE_FOLDER", CHECKOUT / ".watchkeeper" / "run"))  # tests use another
LOG = "setup.log"  # what a detached runner says, Grafana's password too
STOP_SECONDS = 60.0  # the runner stops a dozen processes, each with its own limit


@dataclass(frozen=True)
class Row:
    """One process: what the table shows, and when it started, so that a reused id is not taken for it."""

    name: str
    url: str
    pid: int
    started: float
    log: str

    @property
    def alive(self) -> bool:
        return find(self.pid, self.started) is not None


@dataclass
class State:
    """The runner, its folder and its processes."""

    runner: int
    started: float
    folder: str
    ready: bool = False
    rows: list[Row] = field(default_factory=list)

    @property
    def alive(self) -> bool:
        return find(self.runner, self.started) is not None


def find(pid: int, started: float) -> psutil.Process | None:
    """The living process of this id that started then; another one that got the same id is not it."""
    with contextlib.suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        if abs(process.create_time() - started) < 1 and process.status() != psutil.STATUS_ZOMBIE:
            return process
    return None


def started(pid: int) -> float:
    return psutil.Process(pid).create_time()


def read(folder: Path = FOLDER) -> State | None:
    """What the last run wrote; None when nothing runs or the file makes no sense."""
    try:
        content = json.loads((folder / "state.json").read_text(encoding="utf-8"))
        return State(**content | {"rows": [Row(**row) for row in content["rows"]]})
    except (OSError, ValueError, TypeError, KeyError):
        return None


def make(folder: Path = FOLDER) -> None:
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)


def open_log(folder: Path = FOLDER) -> IO[str]:
    """A new, empty log that its owner alone may read."""
    make(folder)
    path = folder / LOG
    path.unlink(missing_ok=True)
    return os.fdopen(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w", encoding="utf-8")


def write(state: State, folder: Path = FOLDER) -> None:
    make(folder)
    with tempfile.NamedTemporaryFile("w", dir=folder, delete=False, encoding="utf-8") as file:
        json.dump(asdict(state), file, indent=1)
    os.replace(file.name, folder / "state.json")  # noqa: PTH105 - whole or not at all


def forget(folder: Path = FOLDER) -> None:
    for name in ("state.json", LOG):
        (folder / name).unlink(missing_ok=True)


@contextlib.contextmanager
def claim(folder: Path = FOLDER) -> Iterator[bool]:
    """Whether this process is the only runner; the kernel releases the claim of one that was killed."""
    make(folder)
    with lock(folder, wait=False) as held:
        yield held


def clean_up(state: State) -> None:
    """End what a runner that was killed could not end, and remove its folder."""
    left = [process for row in state.rows if (process := find(row.pid, row.started))]
    for process in left:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.terminate()
    _, stubborn = psutil.wait_procs(left, timeout=10)
    leftovers.kill(stubborn)
    for row in state.rows:
        leftovers.kill(leftovers.orphans(row.pid, row.started))
        leftovers.forget_numbers(row.pid, row.started)
    folder = Path(state.folder)
    if folder.parent == Path(tempfile.gettempdir()) and folder.name.startswith("watchkeeper-"):
        shutil.rmtree(folder, ignore_errors=True)


def stop(state: State, folder: Path = FOLDER) -> None:
    """Tell the runner to stop and wait for it; past its limit, or if it is gone, end its processes."""
    if runner := find(state.runner, state.started):
        runner.terminate()
        with contextlib.suppress(psutil.TimeoutExpired):
            runner.wait(STOP_SECONDS)
        if runner.is_running():
            runner.kill()
    clean_up(state)
    forget(folder)
