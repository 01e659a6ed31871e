"""The kernel's files: /proc, /sys and the machine's root, wherever they are mounted."""

import contextlib
import os
from functools import cache
from pathlib import Path

_PIECE = 65536


class Tree:
    """Where the machine's files are. What is read at every run stays open: that costs a third.

    One thread at a time may use it. Files close when it is forgotten. `quick` tells whether all files of
    /proc that were read are the kernel's own, which answers from memory: in LXC, programs serve some.
    """

    def __init__(self, proc: Path, sys: Path = Path("/sys"), root: Path = Path("/")) -> None:
        self._proc, self._sys, self.root = str(proc), str(sys), root
        self._open: dict[str, int] = {}
        self.quick = False
        self._slow = False

    def proc(self, *names: str) -> str:
        """Return the text of the first of these files below /proc that can be opened. Raises OSError."""
        opened = self._open.get(names[0])
        if opened is None:
            opened = self._open[names[0]] = _first([f"{self._proc}/{name}" for name in names])
            self._slow |= os.fstat(opened).st_dev not in _kernels_own()
            self.quick = not self._slow
        try:
            return _whole(opened)
        except BaseException:
            os.close(self._open.pop(names[0]))
            raise

    def maybe(self, *names: str) -> str:
        """Return the same, or nothing where this kernel has no such file or does not let it be read."""
        try:
            return self.proc(*names)
        except OSError:
            return ""

    def net(self, name: str) -> str:
        """Return a file of the machine's own network, not our container's; not everyone may read it."""
        return self.proc(f"1/net/{name}", f"net/{name}")

    def maybe_net(self, name: str) -> str:
        """Return the same, or nothing."""
        return self.maybe(f"1/net/{name}", f"net/{name}")

    def sys(self, name: str) -> str:
        """Return a small file below /sys without its line's end, or nothing where there is none."""
        return text_of(f"{self._sys}/{name}")

    def number(self, name: str) -> float | None:
        """Return the number that is all of such a file, if it is one."""
        text = self.sys(name)
        try:
            return float(text) if text else None
        except ValueError:
            return None

    def listed(self, name: str, start: str = "") -> list[str]:
        """Return the sorted names in a folder below /sys that begin so; none where there is no folder."""
        try:
            names = os.listdir(f"{self._sys}/{name}")  # noqa: PTH208 - paths cost more than the rest
            return sorted(each for each in names if each.startswith(start))
        except OSError:
            return []

    def real(self, name: str) -> str:
        """Return where a link below /sys leads to, or nothing."""
        try:
            return os.path.realpath(f"{self._sys}/{name}", strict=True)
        except OSError:
            return ""

    def __del__(self) -> None:
        for opened in self._open.values():
            with contextlib.suppress(OSError):
                os.close(opened)


@cache
def _kernels_own() -> frozenset[int]:
    """The device numbers of all /proc that are mounted here."""
    try:
        table = Path("/proc/self/mountinfo").read_text(errors="replace")
    except OSError:
        return frozenset()
    lines = (line.split() for line in table.splitlines())
    numbers = (fields[2].split(":") for fields in lines if fields[fields.index("-") + 1] == "proc")
    return frozenset(os.makedev(int(major), int(minor)) for major, minor in numbers)


def text_of(path: str) -> str:
    """Return the text of a small file, or nothing where it cannot be read: a sensor may be unplugged."""
    try:
        opened = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return ""
    try:
        return os.read(opened, _PIECE).decode(errors="replace").strip()
    except OSError:
        return ""
    finally:
        os.close(opened)


def _first(paths: list[str]) -> int:
    for path in paths[:-1]:
        with contextlib.suppress(OSError):
            return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    return os.open(paths[-1], os.O_RDONLY | os.O_CLOEXEC)


def _whole(opened: int) -> str:
    """The kernel gives long files in pieces, and a piece that is not full does not have to be the last."""
    pieces = []
    at = 0
    while piece := os.pread(opened, _PIECE, at):
        pieces.append(piece)
        at += len(piece)
    return b"".join(pieces).decode(errors="replace")
