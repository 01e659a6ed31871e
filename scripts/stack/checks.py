"""What the user gave, judged by those who will read it, before anything is started."""

import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from scripts.stack.errors import SetupError
from scripts.stack.packages import CHECKOUT, fetched, installed


def exporter(config: Path) -> None:
    """Raises SetupError with the exporter's own message."""
    done = _run([sys.executable, "-m", "exporter", "config", "--config", str(config)])
    if done.returncode != 0:
        raise SetupError(done.stderr.strip() or f"{config} cannot be used.")


def readable(path: Path) -> None:
    """Raises SetupError for a file that is not there or that we may not read."""
    try:
        path.read_bytes()
    except OSError as error:
        raise SetupError(f"{path}: cannot be read: {error.strerror}.") from None


def alertmanager(path: Path) -> None:
    _judged("amtool", ["check-config"], path)


def prometheus(path: Path) -> None:
    """The rules that it names are judged too."""
    _judged("promtool", ["check", "config"], path)


def _judged(tool: str, words: Sequence[str], path: Path) -> None:
    """A server that somebody installed without its tool judges by itself, when it starts."""
    if program := installed(tool) or fetched(tool):
        done = _run([str(program.path), *words, str(path)])
        if done.returncode != 0:
            said = f"{done.stdout}\n{done.stderr}"
            faults = re.findall(r"FAILED:\s*(.+)", said) or [said.strip()[-1000:]]
            raise SetupError(f"{path} cannot be used: {'; '.join(faults)}")


def _run(command: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=CHECKOUT, stdin=subprocess.DEVNULL, capture_output=True, text=True)
