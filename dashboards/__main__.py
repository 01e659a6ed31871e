"""`python -m dashboards` writes generated/*.json; with --check it only says what is out of date."""

import argparse
import sys
from pathlib import Path

import dashboards


def out_of_date(folder: Path) -> list[str]:
    """Return what the files in the folder lack to be what the code makes, one line each."""
    wanted = {folder / f"{name}.json": board for name, board in dashboards.built().items()}
    complaints = [
        f"{path} differs from what dashboards/{path.stem}.py makes"
        for path, board in wanted.items()
        if not path.exists() or path.read_text("utf-8") != dashboards.written(board)
    ]
    return complaints + [
        f"{path} belongs to no board" for path in sorted({*folder.glob("*.json")} - {*wanted})
    ]


def write(folder: Path) -> list[Path]:
    """Write all boards into the folder, remove those that are no more, and return what was written."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, board in dashboards.built().items():
        paths.append(folder / f"{name}.json")
        paths[-1].write_text(dashboards.written(board), "utf-8")
    for old in {*folder.glob("*.json")} - {*paths}:
        old.unlink()
    return paths


def main(argv: list[str] | None = None) -> int:
    """Return 0, or 1 when --check finds a difference."""
    parser = argparse.ArgumentParser(prog="python -m dashboards", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if a file is out of date")
    parser.add_argument("--output", type=Path, default=dashboards.GENERATED, metavar="FOLDER")
    options = parser.parse_args(argv)
    if not options.check:
        for path in write(options.output):
            print(path)
        return 0
    complaints = out_of_date(options.output)
    for complaint in complaints:
        print(complaint, file=sys.stderr)
    if complaints:
        print("Run: python -m dashboards", file=sys.stderr)
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
