"""Server programs: those of this machine, or unpacked from distribution packages beside the checkout.

A plain `apt-get install prometheus postgresql` needs root and starts system services at once. So apt
downloads what is missing into a folder of our own, and they are unpacked there: no root, no service.
"""

import fcntl
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from scripts.stack import unpacked
from scripts.stack.errors import SetupError

CHECKOUT = Path(__file__).resolve().parents[2]
CACHE = CHECKOUT / ".watchkeeper" / "packages"
# Names of programs, or "all": fetch them although they are here. WATCHKEEPER_* are the exporter's settings.
IGNORE_INSTALLED = "SETUP_IGNORE_INSTALLED"

# Program (as upstream calls it): the distribution's package, and the name of the program in it.
PROGRAMS = {
    "prometheus": ("prometheus", "prometheus"),
    "promtool": ("prometheus", "promtool"),
    "alertmanager": ("prometheus-alertmanager", "prometheus-alertmanager"),
    "amtool": ("prometheus-alertmanager", "amtool"),
    "redis-server": ("redis-server", "redis-server"),
    "postgres": ("postgresql", "postgres"),
    "initdb": ("postgresql", "initdb"),
    # What follows only tests ask for: a server of the bad days, and the exporters that ours is compared with.
    # Not PgBouncer's: Debian 12 has one that dies of the PgBouncer beside it (KeyError: total_requests).
    "pgbouncer": ("pgbouncer", "pgbouncer"),
    "node_exporter": ("prometheus-node-exporter", "prometheus-node-exporter"),
    "postgres_exporter": ("prometheus-postgres-exporter", "prometheus-postgres-exporter"),
    "redis_exporter": ("prometheus-redis-exporter", "prometheus-redis-exporter"),
    # And the shipper of log lines, with the part of it that speaks to Elasticsearch.
    "rsyslogd": ("rsyslog-elasticsearch", "rsyslogd"),
}

# Of a package's dependencies we need programs, libraries and the web pages' parts, not what a service needs.
NEEDED = re.compile(r"^(prometheus|redis-|rsyslog$|postgresql-\d+$|lib|fonts-glyphicons)")
# libc must match the running loader; LLVM is Postgres' just-in-time compiler (30 MB), which we switch off.
NOT_NEEDED = re.compile(
    r"^(libc6|libc-(bin|l10n|dev)|libllvm|libz3-|lib.*-perl$|libperl|prometheus-node-exporter)"
)
ALSO = {
    "prometheus": ("promtool",),  # a package of its own since Debian 13
    "prometheus-alertmanager": ("tzdata",),
    "redis-server": ("redis-tools",),  # redis-server is a link to a program in it
}

APT_SECONDS = 300  # a slow line must be able to fetch 60 MB


@dataclass(frozen=True)
class Program:
    """A program that can be started: its path, and the tree that it was unpacked to, if it was."""

    path: Path
    tree: Path | None = None


def installed(name: str) -> Program | None:
    """The program as the machine has it; of several Postgres versions the newest."""
    for candidate in (name, PROGRAMS[name][1]):
        if found := shutil.which(candidate):
            return Program(Path(found))
    versions = Path("/usr/lib/postgresql").glob(f"*/bin/{name}")
    newest = max(versions, key=lambda path: int(path.parts[-3]), default=None)
    return Program(newest) if newest else None


def fetched(name: str, cache: Path = CACHE) -> Program | None:
    """The program as an earlier run unpacked it."""
    package, binary = PROGRAMS[name]
    path = unpacked.starter(cache / package, binary)
    return Program(path, cache / package) if path.exists() else None


def provide(
    names: Iterable[str],
    *,
    cache: Path = CACHE,
    say: Callable[[str], None] = print,
    ignore: str | None = None,
) -> dict[str, Program]:
    """All programs of these names, from this machine or else fetched; `ignore` as in the variable above."""
    ignored = set(
        (os.environ.get(IGNORE_INSTALLED, "") if ignore is None else ignore).replace(",", " ").split()
    )
    programs: dict[str, Program] = {}
    missing: list[str] = []
    for name in names:
        here = None if ignored & {name, PROGRAMS[name][0], "all"} else installed(name)
        if program := here or fetched(name, cache):
            programs[name] = program
        else:
            missing.append(name)
    if missing:
        packages = sorted({PROGRAMS[name][0] for name in missing})
        say(f"fetching {', '.join(packages)} into {cache} (unpacked there; nothing is installed)")
        fetch(packages, cache)
        for name in missing:
            program = fetched(name, cache)
            if program is None:
                raise SetupError(
                    f"The package {PROGRAMS[name][0]} of this distribution holds no program {name}."
                )
            programs[name] = program
    return programs


def fetch(packages: Iterable[str], cache: Path = CACHE) -> None:
    """Download the packages with the libraries that this machine lacks, and unpack each beside the others."""
    for tool in ("apt-get", "dpkg-deb"):
        if shutil.which(tool) is None:
            raise SetupError(
                f"{', '.join(packages)} is missing here, and so is {tool}: packages can be fetched "
                "on Debian and its relatives only. Install it by your system's means and run this again."
            )
    cache.mkdir(parents=True, exist_ok=True)
    with lock(cache, wait=True):  # a second run waits, and finds all there
        waiting = [package for package in packages if not (cache / package).exists()]
        if not waiting:
            return
        options = _private_apt(cache / "apt")
        _update(options, cache / "apt" / "lists")
        for package in waiting:
            debs = _download(package, options, cache)
            with tempfile.TemporaryDirectory(dir=cache, prefix="unpacking-") as folder:
                tree = Path(folder) / package
                tree.mkdir()
                for deb in debs:
                    _run(["dpkg-deb", "-x", str(deb), str(tree)], f"{deb.name} could not be unpacked")
                unpacked.prepare(tree, {binary for _, binary in PROGRAMS.values()})
                tree.rename(cache / package)  # whole or not at all
        shutil.rmtree(cache / "apt")


def _update(options: list[str], lists: Path) -> None:
    """Fetch the lists of packages; a third party's source may be away while others answer."""
    done = _apt(["apt-get", *options, "update"])
    if not any(lists.glob("*_Packages*")):
        raise SetupError(_message("No list of packages could be fetched", done))


def _download(package: str, options: list[str], cache: Path) -> list[Path]:
    plan = _run(
        ["apt-get", *options, "--simulate", "--reinstall", "--no-install-recommends", "install", package],
        f"The package {package} is not known to this machine's package sources (/etc/apt)",
    )
    wanted = needed(re.findall(r"^Inst (\S+)", plan, re.MULTILINE), package)
    if package == "postgresql" and not any(name.startswith("postgresql-") for name in wanted):
        # The plan leaves out what is installed: then the version stands in the dependency alone.
        depends = _run(["apt-cache", *options, "depends", package], "apt-cache failed")
        wanted += re.findall(r"Depends: (postgresql-\d+)$", depends, re.MULTILINE)
    for extra in ALSO.get(package, ()):
        if extra not in wanted and _apt(["apt-cache", *options, "show", extra]).returncode == 0:
            wanted.append(extra)
    folder = cache / "apt" / "debs" / package
    folder.mkdir(parents=True)
    _run(["apt-get", *options, "download", *wanted], f"{package} could not be downloaded", cwd=folder)
    return sorted(folder.glob("*.deb"))


def needed(planned: Iterable[str], package: str) -> list[str]:
    """Of the packages that apt would install, those that hold programs and libraries."""
    names = [name.partition(":")[0] for name in planned]
    return [name for name in names if name == package or (NEEDED.match(name) and not NOT_NEEDED.match(name))]


def _private_apt(folder: Path) -> list[str]:
    """Options that give apt lists and a cache of its own, so that it needs no rights and takes no lock."""
    shutil.rmtree(folder, ignore_errors=True)
    for name in ("lists/partial", "cache/archives/partial"):
        (folder / name).mkdir(parents=True)
    settings = {
        "Dir::State::lists": folder / "lists",
        "Dir::Cache": folder / "cache",
        "Debug::NoLocking": "true",
        "APT::Sandbox::User": "",  # else root becomes _apt, which may not write here
        "Acquire::Languages": "none",
        "Acquire::Retries": "3",
        "Acquire::http::Timeout": "30",
        "Acquire::https::Timeout": "30",
    }
    return [word for key, value in settings.items() for word in ("-o", f"{key}={value}")]


def _run(command: list[str], what: str, cwd: Path | None = None) -> str:
    done = _apt(command, cwd)
    if done.returncode != 0:
        raise SetupError(_message(what, done))
    return done.stdout


def _apt(command: list[str], cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"}
    try:
        return subprocess.run(
            command,
            cwd=cwd,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=APT_SECONDS,
        )
    except subprocess.TimeoutExpired:
        raise SetupError(
            f"{command[0]} had not ended after {APT_SECONDS} seconds. Is the network slow or away?"
        ) from None


def _message(what: str, done: subprocess.CompletedProcess[str]) -> str:
    lines = done.stderr.splitlines()
    telling = [line for line in lines if line.startswith(("E:", "Err:", "W: Failed", "dpkg-deb:"))] or lines
    quoted = "".join(f"\n  {line}" for line in telling[:3])
    return f"{what}:{quoted}\nCheck the network and the package sources in /etc/apt, and run this again."


@contextmanager
def lock(folder: Path, *, wait: bool) -> Iterator[bool]:
    """Hold the folder for this process alone; without waiting, say whether that succeeded."""
    held = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(held)


if __name__ == "__main__":
    for name, program in provide(PROGRAMS).items():
        print(f"{name}: {program.path}")
