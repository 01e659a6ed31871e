"""The place of one store's cells: a file that the other workers can read, or this process's own memory."""

import contextlib
import logging
import os
import weakref
from pathlib import Path

from exporter.store import family
from exporter.store.area import Area, Reader, Shape
from exporter.store.files import Files
from exporter.store.live import Cells
from exporter.store.merge import Numbers, Slots, View

_log = logging.getLogger("watchkeeper")


class Place:
    """Opened with its first cell. Another process, or another user, needs a place of its own."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._areas: list[Area] = []
        self._views: list[View] = []
        self._slots = Slots()
        self._files: Files | None = None
        self._path = Path()
        self._user = os.geteuid()

    @property
    def opened(self) -> bool:
        """Whether it holds anything."""
        return bool(self._areas)

    @property
    def degraded(self) -> bool:
        """Whether something is in this process's memory alone."""
        return self.opened and (self._files is None or len(self._areas) > 1)

    @property
    def workers(self) -> int:
        """How many processes had files when they were last read."""
        return self._files.workers if self._files is not None else 1

    @property
    def is_ours(self) -> bool:
        """Whether we may still use it: a server gives up its rights after it has opened its files."""
        return self._user == os.geteuid()

    def allocate(self, key: str, shape: Shape) -> tuple[Cells, int]:
        """Return new cells, all 0, and the index of the first."""
        if not self._areas:
            self._open()
        try:
            at = self._areas[-1].add(key, shape.kind, shape.cells)
        except OSError:
            # No room for the others to see it; our own page still shall have it.
            self._take_memory("no room for the workers' files")
            at = self._areas[-1].add(key, shape.kind, shape.cells)
        return self._areas[-1].cells, at

    def read(self) -> Numbers:
        """Return what all workers say. Raises OSError when their folder is gone."""
        if self._files is None:
            return Numbers(self._slots, self._views)
        return self._files.read(self._path, self._views)

    def be_alone(self) -> None:
        """Go on without the others."""
        self._files = None

    def leave(self) -> None:
        """Let go of files and locks, without waiting for those who still hold cells."""
        _leave(self._areas, self._files)

    def _open(self) -> None:
        try:
            files = Files(family.folder(), self._name, self._slots)
            self._path = files.new_file()
            self._take(Area.in_file(self._path))
        except OSError:
            self._take_memory("no place for the workers' files")
            return
        self._files = files
        # At exit, the file stays: what was counted outlives its worker.
        weakref.finalize(self, _discard, self._areas, files, self._path, os.getpid()).atexit = False

    def _take_memory(self, why: str) -> None:
        _log.warning("%s: this page shows one worker's own numbers", why)
        self._take(Area.in_memory())

    def _take(self, area: Area) -> None:
        self._areas.append(area)
        self._views.append(View(Reader(area.whole())))


def _discard(areas: list[Area], files: Files, path: Path, pid: int) -> None:
    """Remove the file of a place that nobody needs any more; in a forked child it is the parent's."""
    if os.getpid() == pid:
        with contextlib.suppress(OSError):
            path.unlink()
    _leave(areas, files)


def _leave(areas: list[Area], files: Files | None) -> None:
    for area in areas:
        area.close()
    if files is not None:
        files.close()
