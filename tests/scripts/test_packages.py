"""Where server programs come from: this machine, an earlier download, or the distribution's packages."""

import os
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from scripts.stack import packages, unpacked
from scripts.stack.errors import SetupError
from scripts.stack.packages import PROGRAMS, Program, needed, provide
from scripts.stack.process import get
from scripts.stack.servers import Postgres, run_folder


def program(path: Path, text: str = "#!/bin/sh\necho real\n") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


def unpack(cache: Path, package: str, *paths: str) -> Path:
    """An unpacked package as `fetch` leaves it."""
    tree = cache / package
    for path in paths:
        program(tree / path)
    unpacked.prepare(tree, {binary for _, binary in PROGRAMS.values()})
    return tree


def test_an_installed_program_is_taken_as_it_is(tmp_path: Path, monkeypatch):
    """What is on the PATH is used, under upstream's name or the distribution's."""
    there = program(tmp_path / "prometheus-alertmanager")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert provide(["alertmanager"], cache=tmp_path / "cache", ignore="")["alertmanager"] == Program(there)


def test_what_an_earlier_run_fetched_is_taken(tmp_path: Path, capfd):
    """A second run downloads nothing."""
    tree = unpack(tmp_path, "redis-server", "usr/bin/redis-server")
    found = provide(["redis-server"], cache=tmp_path, ignore="all")["redis-server"]
    assert found.tree == tree
    assert subprocess.check_output([found.path], text=True) == "real\n"
    assert capfd.readouterr().out == ""


def test_the_variable_makes_it_look_past_installed_programs(tmp_path: Path, monkeypatch):
    """SETUP_IGNORE_INSTALLED names programs or packages, or all."""
    monkeypatch.setenv("PATH", str(program(tmp_path / "bin" / "redis-server").parent))
    tree = unpack(tmp_path, "redis-server", "usr/bin/redis-server")
    for value, expected in (("redis-server", tree), ("all", tree), ("postgresql", None), ("", None)):
        monkeypatch.setenv("SETUP_IGNORE_INSTALLED", value)
        assert provide(["redis-server"], cache=tmp_path)["redis-server"].tree == expected


def test_only_programs_and_their_libraries_are_downloaded():
    """Nothing of what a system service needs, and neither the C library nor the compiler of Postgres."""
    planned = (
        "perl libperl5.36 libjson-perl postgresql-common ssl-cert libicu72:amd64 libllvm14 libz3-4 libc6"
    )
    planned += " libpq5 postgresql-client-15 postgresql-15 postgresql"
    assert needed(planned.split(), "postgresql") == ["libicu72", "libpq5", "postgresql-15", "postgresql"]


@pytest.mark.parametrize(
    ("planned", "package", "expected"),
    [
        ("adduser libc6 daemon prometheus-postgres-exporter", "prometheus-postgres-exporter", []),
        ("adduser prometheus-node-exporter", "prometheus-node-exporter", []),  # of Prometheus' it is left out
        (
            "postgresql-common libevent-2.1-7 libc-ares2 pgbouncer",
            "pgbouncer",
            ["libevent-2.1-7", "libc-ares2"],
        ),
    ],
)
def test_what_tests_alone_need_brings_no_service_along(planned: str, package: str, expected: list[str]):
    """An exporter is its own program alone, PgBouncer comes with its libraries."""
    assert needed(planned.split(), package) == [*expected, package]


def test_a_starter_finds_the_trees_own_libraries_and_files_wherever_it_is_moved(tmp_path: Path):
    """The unpacked program gets its libraries' folder, and its built-in folder leads into the tree."""
    tree = tmp_path / "tree with a space"
    script = (
        "#!/bin/sh\necho $LD_LIBRARY_PATH; cat /usr/share/prometheus/alertmanager/default.tmpl; echo $1\n"
    )
    program(tree / "usr/bin/prometheus-alertmanager", script)
    program(tree / "usr/lib/x86_64-linux-gnu/libanything.so.1")
    template = tree / "usr/share/prometheus/alertmanager/default.tmpl"
    template.parent.mkdir(parents=True)
    template.write_text("the template")
    unpacked.prepare(tree, {"prometheus-alertmanager"})
    moved = tree.rename(tmp_path / "moved")
    said = subprocess.check_output([unpacked.starter(moved, "prometheus-alertmanager"), "a b"], text=True)
    assert said == f"{moved}/usr/lib/x86_64-linux-gnu\nthe templatea b\n"


def test_a_machine_without_apt_is_told_so(tmp_path: Path, monkeypatch):
    """Not Debian: the message names what is missing and what to do."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SetupError, match=r"redis-server is missing here, and so is apt-get.*Install it"):
        provide(["redis-server"], cache=tmp_path / "cache", ignore="all", say=lambda text: None)


@pytest.mark.parametrize(
    ("apt_get", "message"),
    [
        (
            "echo 'Err: Temporary failure resolving' >&2",
            "(?s)No list of packages.*Temporary failure.*Check the network",
        ),
        (
            'touch "$lists/x_Packages"; [ "$last" = update ] || { echo "E: Unable to find" >&2; exit 100; }',
            "(?s)redis-server is not known.*E: Unable to find",
        ),
    ],
    ids=["no network", "unknown package"],
)
def test_what_apt_cannot_do_is_said_in_its_own_words(tmp_path: Path, monkeypatch, apt_get: str, message: str):
    """A failure quotes apt's telling line, and leaves nothing that a second run would take for whole."""
    cache = tmp_path / "cache"
    script = f'#!/bin/sh\nfor last; do :; done\nlists="{cache}/apt/lists"\n{apt_get}\n'
    program(tmp_path / "bin" / "apt-get", script)
    program(tmp_path / "bin" / "dpkg-deb")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    with pytest.raises(SetupError, match=message):
        provide(["redis-server"], cache=cache, ignore="all", say=lambda text: None)
    assert packages.fetched("redis-server", cache) is None


def test_postgres_runs_from_a_folder_that_only_root_may_enter(tmp_path: Path, programs):
    """A checkout under /root: the unprivileged user gets a copy of the programs that it can reach."""
    tree = tmp_path / "closed" / "postgresql"
    if fetched := programs["postgres"].tree:
        shutil.copytree(fetched, tree, symlinks=True)
    else:
        for name in ("postgres", "initdb"):  # as if unpacked: the starter leads to where they really are
            program(tree / "start" / name, f'#!/bin/sh\nexec "{programs[name].path}" "$@"\n')
    tree.parent.chmod(stat.S_IRWXU)
    closed = {name: Program(tree / "start" / name, tree) for name in ("postgres", "initdb")}
    with run_folder() as folder:
        server = Postgres(closed, folder / "postgres")
        try:
            server.start()
            assert server.alive
            assert (folder / "postgres" / "programs").exists() == (os.geteuid() == 0)
        finally:
            server.stop()


def test_nothing_listens_where_nothing_was_started():
    """The helper that asks servers answers None instead of raising."""
    assert get("http://127.0.0.1:1/") is None
