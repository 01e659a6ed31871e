"""The files of all workers: the living ones' are read, those of the dead are folded away once."""

import contextlib
import errno
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path

from exporter.store.area import Reader
from exporter.store.family import locked
from exporter.store.fold import fold
from exporter.store.merge import Numbers, Slots, View

# The others hold the lock for milliseconds; one that is stopped must not stop us.
_LOCK_SECONDS = 0.05
_SUFFIX = ".cells"
_TRIES = 5

_Key = tuple[str, int]  # a file's name and inode


class Files:
    """The files of all workers of one store in one folder.

    Who may touch what: a worker writes its own file and nobody else's. The file `NAME.folded` and the
    removal of dead workers' files belong to whoever holds the family's lock (see `fold`).
    """

    def __init__(self, folder: Path, name: str, slots: Slots) -> None:
        self.workers = 1
        self._folder = folder
        self._name = name
        self._slots = slots
        self._folded = folder / f"{name}.folded"
        self._views: dict[_Key, View] = {}
        self._lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def new_file(self) -> Path:
        """Return the path of a file for this process; where nobody scrapes, files must not pile up."""
        with self._alone() as alone:
            living, dead = self._files(Path())
            if alone and len(dead) > len(living):
                fold(self._folder, self._folded, dead)
        return self._folder / f"{self._name}.{os.getpid()}.{time.monotonic_ns()}{_SUFFIX}"

    def read(self, own: Path, own_views: list[View]) -> Numbers:
        """Return the numbers of the whole family. Raises OSError when its folder is gone."""
        for view in own_views:  # first, so that our own declarations are the ones that hold
            view.learn(self._slots)
        if any(view.strange for view in own_views):  # we declare what another release had declared otherwise
            self._slots.clear()
            self._views = {}
            for view in own_views:
                view.learn_again(self._slots)
        try:
            with self._alone() as alone:
                living, dead = self._files(own)
                if dead and alone:
                    dead = fold(self._folder, self._folded, dead)
                self._views = self._readable(living, dead)
        except OSError as error:
            # No file can be opened now. What was read before is still mapped, and so up to date.
            if error.errno not in (errno.EMFILE, errno.ENFILE, errno.ENOMEM):
                raise
        self.workers = 1 + sum(not view.dead for view in self._views.values())
        return Numbers(self._slots, [*own_views, *self._views.values()])

    def close(self) -> None:
        """Let go of the folder's lock file."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def _readable(self, living: list[str], dead: list[str]) -> dict[_Key, View]:
        """Return views of the folded file and of all that is not in it, while somebody else may fold."""
        found: dict[_Key, View] = {}
        for _ in range(_TRIES):
            found = {}
            folded = self._look(self._folded, found)
            if folded is not None:
                folded.learn(self._slots)
            for name in (*living, *dead):
                if folded is None or name not in folded.folded:
                    view = self._look(self._folder / name, found)
                    if view is not None and name in dead:
                        view.bury()
            # A file that vanished while we looked is in a folded file that came while we looked.
            if self._look(self._folded, dict(found)) is folded:
                break
        return found

    def _look(self, path: Path, found: dict[_Key, View]) -> View | None:
        try:
            key = (path.name, path.stat().st_ino)  # a folded file has one name and many lives
            view = found[key] = self._views.get(key) or View(Reader.of_file(path))
        except (FileNotFoundError, ValueError):
            return None  # gone, or torn
        return view

    def _files(self, own: Path) -> tuple[list[str], list[str]]:
        # iterdir() raises where the folder is gone; glob() would say that nobody else is there.
        start = f"{self._name}."
        names = sorted(path.name for path in self._folder.iterdir() if path.name.startswith(start))
        names = [name for name in names if name.endswith(_SUFFIX) and name != own.name]
        # An empty one is being made; its worker has counted nothing yet.
        names = [name for name in names if _size(self._folder / name)]
        living = {name for name in names if locked(self._folder / name)}
        return [name for name in names if name in living], [name for name in names if name not in living]

    @contextlib.contextmanager
    def _alone(self) -> Iterator[bool]:
        """Hold the family's lock, so that nobody folds while we read; False when it cannot be had in time."""
        deadline = time.monotonic() + _LOCK_SECONDS
        held = False
        while not held:
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                held = True
            except BlockingIOError:
                if time.monotonic() > deadline:
                    break
                time.sleep(0.001)
        try:
            yield held
        finally:
            if held:
                fcntl.flock(self._lock, fcntl.LOCK_UN)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
