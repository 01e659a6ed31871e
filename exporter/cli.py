"""The command `watchkeeper`: serve, check, metrics, config."""

import argparse
import asyncio
import logging
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from exporter import __version__

if TYPE_CHECKING:
    from exporter.config import Config

DEFAULT_FILE = Path("watchkeeper.yml")

OK, FAILED, MISUSED = 0, 1, 2
INTERRUPTED = 128 + signal.SIGINT  # as a shell has it


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code: 0 fine, 1 a check failed, 2 a fault in what was given."""
    options = _parser().parse_args(argv)
    try:
        # The process's packages are an extra: an application that imports us does not have them.
        from exporter.config import ConfigError
    except ModuleNotFoundError as error:
        print(
            f"watchkeeper: {error.name} is not installed: pip install 'watchkeeper[exporter]'",
            file=sys.stderr,
        )
        return MISUSED
    try:
        code: int = options.run(options)
    except ConfigError as error:
        for problem in error.problems:
            print(f"watchkeeper: {problem}", file=sys.stderr)
        return MISUSED
    except BrokenPipeError:  # watchkeeper metrics | head
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK
    except KeyboardInterrupt:
        print("watchkeeper: interrupted", file=sys.stderr)
        return INTERRUPTED
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="watchkeeper",
        description="Production monitoring for Python back ends.",
        epilog="Settings come from --config, $WATCHKEEPER_CONFIG or ./watchkeeper.yml; variables such as "
        "WATCHKEEPER_COLLECTORS__REDIS__URL go over the file.",
    )
    parser.add_argument("--version", action="version", version=f"watchkeeper {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, run, help_text in (
        ("serve", _serve, "run the exporter"),
        ("check", _check, "run each collector once and say what works"),
        ("config", _config, "print the settings in force and where each comes from"),
        ("metrics", _metrics, "list the metrics that Watchkeeper publishes"),
    ):
        command = commands.add_parser(name, help=help_text, description=help_text)
        command.set_defaults(run=run)
        if name == "metrics":
            command.add_argument("--markdown", action="store_true", help="as METRICS.md")
        else:
            command.add_argument("--config", type=Path, metavar="FILE", help="the settings file")
        if name == "serve":
            command.add_argument("--verbose", action="store_true", help="log what the collectors do")
    return parser


def _load(options: argparse.Namespace) -> "Config":
    from exporter.collectors import found
    from exporter.config import CONFIG_VARIABLE, ConfigError, load

    path = options.config or os.environ.get(CONFIG_VARIABLE)
    if path is None and DEFAULT_FILE.exists():
        path = DEFAULT_FILE
    config = load(Path(path) if path else None)
    if not config.collectors and not config.targets:
        names = ", ".join(found())
        raise ConfigError(
            f"{path or 'configuration'}: no collector is on; name one under 'collectors:' ({names})"
        )
    return config


def _serve(options: argparse.Namespace) -> int:
    from exporter.server import serve

    logging.basicConfig(
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        level=logging.DEBUG if options.verbose else logging.INFO,
    )
    # uvicorn tells of its own start and stop; ours is enough.
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    logging.getLogger("asyncio").setLevel(logging.WARNING)
    asyncio.run(serve(_load(options), lambda: _load(options)))
    return OK


def _check(options: argparse.Namespace) -> int:
    from exporter.checking import check

    config = _load(options)
    # The table says it all; without a handler warnings would go to the terminal too.
    logging.getLogger("watchkeeper").addHandler(logging.NullHandler())
    return OK if asyncio.run(check(config)) else FAILED


def _config(options: argparse.Namespace) -> int:
    from exporter.config import effective

    print(effective(_load(options)), end="")
    return OK


def _metrics(options: argparse.Namespace) -> int:
    from exporter import inventory

    if options.markdown:
        print(inventory.markdown(), end="")
        return OK
    for name, metric in sorted(inventory.everything().items()):
        print(f"{name}{{{','.join(metric.labels)}}}  {metric.kind}  {metric.help}")
    return OK
