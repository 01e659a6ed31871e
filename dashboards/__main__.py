"""`python -m dashboards` writes generated/*.json; --check says what is out of date, --lint what is wrong."""

import argparse
import sys
from pathlib import Path

import dashboards
from dashboards import foreign, rules
from dashboards.selectors import TARGET_LABELS, arriving
from exporter.catalog import Metric
from exporter.inventory import everything


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


def known() -> dict[str, set[str] | None]:
    """Return every series that boards may ask for with its labels; those of recorded ones nobody lists."""
    metrics = [*everything().values(), *(m for m in vars(foreign).values() if isinstance(m, Metric))]
    names: dict[str, set[str] | None] = {}
    for metric in metrics:
        labels = {*TARGET_LABELS, *(arriving(metric, label) for label in metric.labels)}
        if metric.kind == "histogram":
            names |= {f"{metric.name}_{end}": labels for end in ("count", "sum")}
            names[f"{metric.name}_bucket"] = labels | {"le"}
        else:
            names[metric.name] = labels
    return names | dict.fromkeys(rules.recorded())


def lint(files: list[Path]) -> int:
    """Print what is wrong with the files, by default with the generated ones; return 1 if anything is."""
    try:
        import promql_parser  # noqa: F401  # only this needs it
    except ImportError:
        print("--lint reads PromQL by promql-parser. Run: pip install promql-parser", file=sys.stderr)
        return 2
    from dashboards.lint import lint_files

    ours = not files
    lines = lint_files(files or sorted(dashboards.GENERATED.glob("*.json")), known() if ours else None)
    for line in lines:
        print(line)
    return 1 if lines else 0


def main(argv: list[str] | None = None) -> int:
    """Return 0, or 1 when --check finds a difference."""
    parser = argparse.ArgumentParser(prog="python -m dashboards", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if a file is out of date")
    parser.add_argument("--output", type=Path, default=dashboards.GENERATED, metavar="FOLDER")
    parser.add_argument(
        "--lint",
        nargs="*",
        type=Path,
        metavar="FILE",
        help="look for faults in any boards; without files in ours, whose names must be declared as well",
    )
    options = parser.parse_args(argv)
    if options.lint is not None:
        return lint(options.lint)
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
