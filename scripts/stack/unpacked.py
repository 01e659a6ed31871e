"""Makes the programs of an unpacked package run where they are instead of where they were built for."""

import shlex
from pathlib import Path

# Debian's Prometheus and Alertmanager read web pages and message template below a path that is built in.
# Another of the same length is written over it: descriptor 9, opened by the starter on the tree's folder.
BUILT_IN = b"/usr/share/prometheus/"
OPENED = b"/proc/self/fd/9///////"

STARTER = """\
#!/bin/sh
# Starts the program of an unpacked package; written by scripts/stack/unpacked.py.
tree="${{0%/start/*}}"
[ ! -d "$tree/usr/share/prometheus" ] || exec 9<"$tree/usr/share/prometheus"
{variables}exec "$tree"/{program} "$@"
"""


def starter(tree: Path, binary: str) -> Path:
    """Where the starter of a program stands, once `prepare` has written it."""
    return tree / "start" / binary


def prepare(tree: Path, binaries: set[str]) -> None:
    """Write a starter for each of these programs that the tree holds; it can be moved with the tree."""
    (tree / "start").mkdir()
    for program in sorted(tree.glob("usr/*bin/*")) + sorted(tree.glob("usr/lib/postgresql/*/bin/*")):
        if program.name in binaries and program.is_file():
            _redirect(program)
            path = starter(tree, program.name)
            path.write_text(
                STARTER.format(
                    variables=_variables(tree), program=shlex.quote(str(program.relative_to(tree)))
                )
            )
            path.chmod(0o755)


def _redirect(program: Path) -> None:
    content = program.read_bytes()
    if BUILT_IN in content:
        program.write_bytes(content.replace(BUILT_IN, OPENED))


def _variables(tree: Path) -> str:
    libraries = {
        library.parent.relative_to(tree)
        for base in ("lib", "usr/lib")
        for library in tree.glob(f"{base}/*-linux-gnu*/*.so*")
    }
    lines = []
    if libraries:
        paths = ":".join(f"$tree/{folder}" for folder in sorted(libraries))
        lines.append(f'export LD_LIBRARY_PATH="{paths}"\n')
    if (tree / "usr/share/zoneinfo").is_dir():
        # Where a Go program finds the time zones that Alertmanager's hours name, on a machine without them.
        lines.append('[ -d /usr/share/zoneinfo ] || export ZONEINFO="$tree/usr/share/zoneinfo"\n')
    return "".join(lines)
