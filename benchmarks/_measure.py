"""How we measure: rounds in turn, thread CPU time, medians and quartiles, one table and one JSON."""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

Batch = Callable[[], Any]


class Quartiles(NamedTuple):
    """The middle of many readings, and the span that half of them lie in."""

    low: float
    median: float
    high: float

    @classmethod
    def of(cls, readings: Sequence[float]) -> "Quartiles":
        if len(readings) < 2:
            return cls(*[float(readings[0])] * 3)
        return cls(*statistics.quantiles(readings, n=4, method="inclusive"))


class Table(NamedTuple):
    """Rows as they are printed; numbers stay numbers for the JSON."""

    title: str
    columns: tuple[str, ...]
    rows: list[tuple[Any, ...]]
    note: str = ""

    def text(self) -> str:
        lines = [f"### {self.title}", ""]
        lines += [_line(self.columns), _line(["---"] * len(self.columns))]
        lines += [_line([_cell(value) for value in row]) for row in self.rows]
        return "\n".join([*lines, "", *([self.note, ""] if self.note else [])])


class Ratio(NamedTuple):
    """One promise, and what this run says of it."""

    measure: str
    value: float
    least: float | None = None
    most: float | None = None

    def row(self) -> tuple[str, str, float, str]:
        target = f"≥ {self.least:g}" if self.least is not None else f"≤ {self.most:g}"
        met = self.value >= self.least if self.least is not None else self.value <= (self.most or 0)
        return self.measure, target, round(self.value, 2), "yes" if met else "NO"


def times(theirs: float, ours: float) -> float:
    """Return how many times ours theirs is; 0 where tiny sizes leave nothing to divide by."""
    return theirs / ours if ours else 0.0


class Report(NamedTuple):
    """What a benchmark hands back."""

    tables: list[Table]
    ratios: list[Ratio]
    peers: tuple[str, ...] = ()  # distributions whose versions belong to the numbers


def in_turn(
    batches: Mapping[str, Batch], rounds: int, each: Callable[[], None] | None = None
) -> dict[str, list[int]]:
    """Return nanoseconds of thread CPU time of every batch in every round.

    The order is rotated with the rounds, so that nobody always runs after the same neighbour, and a noisy
    moment of the machine hits a round, not a candidate. `each` is called before every batch, untimed.
    """
    names = list(batches)
    taken: dict[str, list[int]] = {name: [] for name in names}
    for name in names:  # warm-up
        batches[name]()
    for number in range(rounds):
        at = number % len(names)
        for name in names[at:] + names[:at]:
            if each:
                each()
            started = time.thread_time_ns()
            batches[name]()
            taken[name].append(time.thread_time_ns() - started)
    return taken


def added(taken: Mapping[str, Sequence[float]], base: str, name: str) -> Quartiles:
    """Return what `name` took more than `base` in the same round."""
    return Quartiles.of([mine - bare for mine, bare in zip(taken[name], taken[base], strict=True)])


def in_a_process(function: str, *arguments: Any, environment: Mapping[str, str] | None = None) -> Any:
    """Call `benchmarks.x:function` in a fresh process and return its result, by way of JSON."""
    module, _, name = function.partition(":")
    code = f"import json, sys, {module} as m; print(json.dumps(m.{name}(*json.loads(sys.argv[1]))))"
    done = subprocess.run(
        [sys.executable, "-c", code, json.dumps(arguments)],
        env={
            **os.environ,
            **(environment or {}),
            "PYTHONPATH": os.pathsep.join(path or "." for path in sys.path),
        },
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


def resident() -> int:
    """Return the bytes that this process has in memory now."""
    with Path("/proc/self/statm").open() as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def versions(names: Sequence[str]) -> dict[str, str]:
    """Return the versions of Python and of distributions; "-" for what is not installed."""
    found = {"python": platform.python_version()}
    for name in names:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "-"
    return found


def main(module: str, measure: Callable[[bool], Report]) -> None:
    """Run one benchmark as a command."""
    parser = argparse.ArgumentParser(description=(sys.modules["__main__"].__doc__ or "").strip())
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the numbers there as well")
    parser.add_argument(
        "--tiny", action="store_true", help="small sizes: shows that it runs, the numbers mean nothing"
    )
    chosen = parser.parse_args()
    report = measure(chosen.tiny)
    tables = list(report.tables)
    if report.ratios:
        rows: list[tuple[Any, ...]] = [ratio.row() for ratio in report.ratios]
        tables.append(Table("Targets", ("measure", "target", "this run", "met"), rows))
    known = versions(("prometheus-client", *report.peers))
    machine = (
        f"{os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f}, {platform.system()} {platform.machine()}"
    )
    print(f"## {module}\n")
    for table in tables:
        print(table.text())
    print(f"{', '.join(f'{name} {version}' for name, version in known.items())}; {machine}\n")
    if chosen.json:
        chosen.json.parent.mkdir(parents=True, exist_ok=True)
        told = {"benchmark": module, "tiny": chosen.tiny, "versions": known, "machine": machine}
        told["tables"] = [table._asdict() for table in report.tables]
        told["targets"] = [ratio._asdict() for ratio in report.ratios]
        chosen.json.write_text(json.dumps(told, indent=1, ensure_ascii=False) + "\n")


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return (
            f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.1f}" if abs(value) >= 100 else f"{value:.2f}"
        )
    return f"{value:,}" if isinstance(value, int) else str(value)
