"""The processes of one run and their folder: started, waited for, and gone at the end."""

import contextlib
import shutil
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import psutil

from scripts.stack import servers
from scripts.stack.errors import SetupError
from scripts.stack.packages import CHECKOUT
from scripts.stack.ports import Ports
from scripts.stack.process import Process, http_ok


class Run:
    """Starts programs in a folder of its own; `started` is called whenever what runs has changed."""

    def __init__(
        self,
        ports: Ports,
        say: Callable[[str], None] = print,
        started: Callable[["Run"], None] = lambda run: None,
    ) -> None:
        self.ports, self.say, self._started = ports, say, started
        self.processes: list[Process] = []  # in the order of their start
        self.folder = Path()
        self.notes: list[str] = []  # what the user should know at the end

    def server(self, name: str) -> Process:
        """The process of this name. Raises KeyError where there is none."""
        return {process.name: process for process in self.processes}[name]

    def has(self, name: str) -> bool:
        return name in {process.name for process in self.processes}

    def make_folder(self) -> None:
        self.folder = servers.new_run_folder()
        (self.folder / "logs").mkdir(mode=0o700)

    def program(
        self,
        name: str,
        command: Callable[[int], list[str | Path]],
        env: Mapping[str, str] | None = None,
        **more: Any,
    ) -> Process:
        """One of our own programs, not yet started."""
        log = self.folder / "logs" / f"{name}.log"
        return Process(
            name, command, log=log, cwd=CHECKOUT, env={"PYTHONUNBUFFERED": "1", **(env or {})}, **more
        )

    def example(self, name: str, module: str, env: Mapping[str, str] | None = None) -> Process:
        """A part of the demo that serves HTTP, not yet started."""
        return self.program(
            name,
            lambda port: [sys.executable, "-m", module, "--port", str(port)],
            env=env,
            ready=http_ok("/health"),
            **self.ports.of(name),
        )

    def launch(self, *processes: Process) -> None:
        for process in processes:
            self.processes.append(process)  # before the start, so that a Ctrl-C during it finds the process
            process.launch()
            self._started(self)

    def wait(self, *processes: Process) -> None:
        for process in processes:
            process.wait_ready()
            self._started(self)
            self.say(f"{process.name} is ready: {process.address}")

    def check_alive(self) -> None:
        """Raises SetupError when a program has ended: nobody needs to wait for it."""
        for process in self.processes:
            if not process.alive:
                raise SetupError(f"{process.name} ended by itself. {process.last_lines()}")

    def stop(self) -> None:
        """End everything, the last started first, and remove the folder."""
        for process in reversed(self.processes):
            process.stop()
        if self.folder != Path():
            self._end_strays()
            shutil.rmtree(self.folder, ignore_errors=True)
        self.processes = []

    def _end_strays(self) -> None:
        """End what an interrupt caught half started, initdb for one: its command line names our folder."""
        strays = []
        for child in psutil.Process().children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
                if any(str(self.folder) in word for word in child.cmdline()):
                    child.kill()
                    strays.append(child)
        psutil.wait_procs(strays, timeout=5)
