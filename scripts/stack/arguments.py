"""What the set-up's command line takes."""

import argparse
import re
from pathlib import Path

from scripts.stack.ports import USUAL

_TARGET = re.compile(r"(?:[^\s/:@\[\]]+|\[[\da-fA-F:.]+\]):(\d+)")  # a name or an address; [::1]:8000 too


def parser() -> argparse.ArgumentParser:
    # Whole words only: what is shortened here could mean another option in the next release.
    parser = argparse.ArgumentParser(
        prog="scripts/setup_monitoring.sh",
        description="Monitoring of a running application on this machine: a demo, or with --config your own.",
        allow_abbrev=False,
    )
    parser.add_argument("command", nargs="?", choices=("start", "status", "stop"), default="start")
    parser.add_argument(
        "--config", type=Path, metavar="FILE", help="your watchkeeper.yml; then no demo is started"
    )
    parser.add_argument(
        "--app-target",
        action="append",
        default=[],
        type=_target,
        metavar="HOST:PORT",
        help="where your application serves /metrics",
    )
    parser.add_argument(
        "--service", default="app", metavar="NAME", help="your application's name (default: app)"
    )
    parser.add_argument(
        "--alertmanager", type=Path, metavar="FILE", help="your own alertmanager.yml, used as it is"
    )
    parser.add_argument("--ports", choices=("usual", "free"), default="usual", help="free: any that are free")
    parser.add_argument(
        "--port",
        action="append",
        default=[],
        type=_port,
        metavar="NAME=NUMBER",
        help=f"demand one: {', '.join(USUAL)}",
    )
    parser.add_argument("--detach", action="store_true", help="leave it running in the background")
    parser.add_argument("--seconds", type=float, metavar="N", help="stop by itself after N seconds")
    # What --detach has put into the background: it gets --detach too, and must not do the same again.
    parser.add_argument("--in-background", action="store_true", help=argparse.SUPPRESS)
    return parser


def _target(text: str) -> str:
    found = _TARGET.fullmatch(text)
    if not found or not _is_port(found[1]):
        raise argparse.ArgumentTypeError(f"{text!r}: use HOST:PORT, without http:// and without a path")
    return text


def _port(text: str) -> tuple[str, int]:
    name, _, number = text.partition("=")
    if name not in USUAL or not _is_port(number):
        raise argparse.ArgumentTypeError(f"{text!r}: use NAME=NUMBER with a name out of {', '.join(USUAL)}")
    return name, int(number)


def _is_port(text: str) -> bool:
    return text.isascii() and text.isdigit() and 0 < int(text) < 65536
