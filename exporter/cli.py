"""The command `watchkeeper` and its subcommands."""

import argparse
import asyncio
import logging
import os
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from exporter import __version__

if TYPE_CHECKING:
    from exporter.config import Config

    Commands = argparse._SubParsersAction[argparse.ArgumentParser]

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
    serve = _command(commands, "serve", _serve, "run the exporter")
    serve.add_argument("--user", metavar="NAME", help="started as root, become this user (server.user)")
    serve.add_argument("--verbose", action="store_true", help="log what the collectors do")
    check = _command(commands, "check", _check, "run each collector once and say what works")
    config = _command(commands, "config", _config, "print the settings in force and where each comes from")
    metrics = _command(commands, "metrics", _metrics, "list the metrics that Watchkeeper publishes")
    metrics.add_argument("--markdown", action="store_true", help="as METRICS.md")

    postgres = _group(commands, "postgres", "help with the Postgres collector")
    grants = _command(postgres, "grants", _grants, "print the SQL for the role that the collector needs")
    grants.add_argument("role", nargs="?", default="watchkeeper", metavar="ROLE", help="its name")
    grants.add_argument("databases", nargs="*", metavar="DATABASE", help="those that it logs in to")

    sql = _group(commands, "sql", "help with metrics from SQL")
    sql_check = _command(sql, "check", _sql_check, "run each query once, with its rows, cost and time")
    sql_check.add_argument("files", nargs="*", type=Path, metavar="FILE", help="default: the settings' own")
    sql_check.add_argument("--dsn-file", type=Path, metavar="FILE", help="a file with the database's address")

    for command in (serve, check, config, sql_check):
        command.add_argument("--config", type=Path, metavar="FILE", help="the settings file")
    return parser


def _command(
    commands: "Commands", name: str, run: Callable[[argparse.Namespace], int], text: str
) -> argparse.ArgumentParser:
    command = commands.add_parser(name, help=text, description=text)
    command.set_defaults(run=run)
    return command


def _group(commands: "Commands", name: str, text: str) -> "Commands":
    group = commands.add_parser(name, help=text, description=text)
    return group.add_subparsers(required=True, metavar="COMMAND")


def _settings_file(options: argparse.Namespace) -> Path | None:
    path = options.config or os.environ.get("WATCHKEEPER_CONFIG")
    if path is None and DEFAULT_FILE.exists():
        path = DEFAULT_FILE
    return Path(path) if path else None


def _load(options: argparse.Namespace) -> "Config":
    from exporter.collectors import found
    from exporter.config import ConfigError, load

    path = _settings_file(options)
    config = load(path)
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
    config = _load(options)
    if options.user:
        config = replace(config, server=config.server.model_copy(update={"user": options.user}))
    asyncio.run(serve(config, lambda: _load(options)))
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


def _grants(options: argparse.Namespace) -> int:
    from exporter.config import ConfigError
    from exporter.postgres_grants import grants

    try:
        print(grants(options.role, options.databases), end="")
    except ValueError as error:
        raise ConfigError(str(error)) from None
    return OK


def _sql_check(options: argparse.Namespace) -> int:
    from exporter import sql_check

    code, text = sql_check.main(options.files, dsn_file=options.dsn_file, config=_settings_file(options))
    print(text)
    return code
