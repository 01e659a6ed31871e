"""The command behind scripts/setup_monitoring.sh: start, status, stop."""

import argparse
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from types import FrameType

from scripts.stack import state
from scripts.stack.arguments import parser
from scripts.stack.errors import SetupError
from scripts.stack.options import Options
from scripts.stack.run import Run
from scripts.stack.stack import Stack

OK, NOT_RUNNING, TROUBLE = 0, 1, 2
LOOK_SECONDS = 0.5  # between two looks whether all still run


class Interrupted(BaseException):
    """Ctrl-C, a closed terminal, or `stop`."""


def main(argv: Sequence[str] | None = None) -> int:
    """Return 0; 1 if nothing runs or a program ended by itself; 2 with a message on what must be mended."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    chosen = parser().parse_args(arguments)
    try:
        if chosen.command == "status":
            return _status()
        if chosen.command == "stop":
            return _stop()
        if chosen.detach and not chosen.in_background:
            return _detach(chosen, arguments)
        return _run(chosen)
    except SetupError as error:
        print(f"\nsetup: {error}", file=sys.stderr, flush=True)
        return TROUBLE


def _run(chosen: argparse.Namespace) -> int:
    if chosen.config is None and chosen.app_target:
        raise SetupError("--app-target belongs to --config: the demo brings its own application.")
    with state.claim() as alone:
        if not alone:
            print("It is running already. `scripts/setup_monitoring.sh stop` ends it.", file=sys.stderr)
            _status()
            return TROUBLE
        if left := state.read():
            print("Cleaning up after a run that was killed.")
            state.stop(left)
        options = Options(
            config=chosen.config.resolve() if chosen.config else None,
            app_targets=tuple(chosen.app_target),
            service=chosen.service,
            alertmanager=chosen.alertmanager.resolve() if chosen.alertmanager else None,
            free_ports=chosen.ports == "free",
            ports=dict(chosen.port),
        )
        return _serve(options, chosen.seconds)


def _serve(options: Options, seconds: float | None) -> int:
    begun = time.monotonic()

    def say(text: str) -> None:
        print(f"[{time.monotonic() - begun:5.1f} s] {text}", flush=True)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    stack = Stack(options, say, started=_remember)
    try:
        stack.start()
        _remember(stack, ready=True)
        print(f"\n{_table(_rows(stack))}\n", flush=True)
        for note in stack.notes:
            print(note, flush=True)
        print("Ctrl-C stops all of it." if sys.stdout.isatty() else "Running.", flush=True)
        died = _watch(stack, seconds)
    except Interrupted:
        died = False
    finally:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)  # a second Ctrl-C must not leave half of it behind
        if stack.processes:
            say("stopping")
        stack.stop()
        state.forget()
    say("all stopped, nothing left behind")
    return NOT_RUNNING if died else OK


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise Interrupted


def _watch(stack: Stack, seconds: float | None) -> bool:
    """Wait for the end; True if a program ended by itself meanwhile."""
    deadline = time.monotonic() + seconds if seconds is not None else float("inf")
    dead: set[str] = set()
    while (left := deadline - time.monotonic()) > 0:
        time.sleep(min(LOOK_SECONDS, left))
        for process in stack.processes:
            if not process.alive and process.name not in dead:
                dead.add(process.name)
                print(f"{process.name} ended by itself. {process.last_lines()}", file=sys.stderr, flush=True)
    return bool(dead)


def _remember(run: Run, ready: bool = False) -> None:
    us = os.getpid()
    state.write(state.State(us, state.started(us), str(run.folder), ready, _rows(run)))


def _rows(run: Run) -> list[state.Row]:
    return [
        state.Row(process.name, process.address, process.pid, state.started(process.pid), str(process.log))
        for process in run.processes
        if process.alive
    ]


def _table(rows: Sequence[state.Row]) -> str:
    lines = [("NAME", "URL", "PID", "LOG")]
    lines += [(row.name, row.url or "-", str(row.pid) if row.alive else "ended", row.log) for row in rows]
    widths = [max(len(line[column]) for line in lines) for column in range(3)]
    return "\n".join(
        "  ".join([*(cell.ljust(width) for cell, width in zip(line, widths, strict=False)), line[3]])
        for line in lines
    )


def _status() -> int:
    found = state.read()
    if found is None or not found.alive:
        print("Nothing is running." if found is None else "Nothing is running; the last run was killed.")
        return NOT_RUNNING
    print(f"{'Running' if found.ready else 'Starting'}, process {found.runner}.\n{_table(found.rows)}")
    return OK


def _stop() -> int:
    found = state.read()
    if found is None:
        print("Nothing is running.")
        return OK
    state.stop(found)
    print("All stopped, nothing left behind.")
    return OK


def _detach(chosen: argparse.Namespace, arguments: Sequence[str]) -> int:
    """Start a runner of its own session, and show what it says until it is ready."""
    running = state.read()
    if running and running.alive:
        return _run(chosen)  # says that it is running already
    with state.open_log() as log:
        runner = subprocess.Popen(
            [sys.executable, "-u", "-m", "scripts.stack", "--in-background", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    with (state.FOLDER / state.LOG).open() as said:
        try:
            while runner.poll() is None:
                ready = (now := state.read()) is not None and now.runner == runner.pid and now.ready
                print(said.read(), end="", flush=True)
                if ready:
                    print("`scripts/setup_monitoring.sh status` shows it, `stop` ends it.")
                    return OK
                time.sleep(0.1)
        except KeyboardInterrupt:
            runner.terminate()
            runner.wait()
        print(said.read(), end="", flush=True)
    return runner.returncode


if __name__ == "__main__":
    sys.exit(main())
