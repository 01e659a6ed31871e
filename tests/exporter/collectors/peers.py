"""The exporters that others wrote: their pages, and how ours is held against them."""

import fnmatch
import re
import subprocess
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from exporter import inventory
from exporter.catalog import Sample
from exporter.store.readings import blocks, grouped, page
from scripts.stack.packages import Program
from scripts.stack.process import HOST, Process, get, http_ok
from scripts.stack.servers import run_folder

_TYPE = re.compile(r"# TYPE (\S+) (\S+)")
_SERIES = re.compile(r"([a-zA-Z_]\w*)(?:\{(.*)\})? (\S+)")
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')

Labels = frozenset[tuple[str, str]]


class Page(NamedTuple):
    """Types by the metric's name, and values by series."""

    kinds: dict[str, str]
    series: dict[tuple[str, Labels], float]

    def of(self, name: str) -> dict[Labels, float]:
        return {labels: value for (series, labels), value in self.series.items() if series == name}


def parsed(text: str) -> Page:
    """A page of text. An empty label is no label, as it is for Prometheus."""
    found = Page({}, {})
    for line in text.splitlines():
        if declared := _TYPE.fullmatch(line):
            found.kinds[declared[1]] = declared[2]
        elif series := _SERIES.fullmatch(line):
            labels = frozenset((key, value) for key, value in _LABEL.findall(series[2] or "") if value)
            found.series[series[1], labels] = float(series[3])
    return found


def ours(samples: Iterable[Sample]) -> Page:
    return parsed(page([blocks(grouped(samples))]))


@contextmanager
def serving(program: Program, *flags: str, **environment: str) -> Iterator[Process]:
    """The exporter on a free port, until the end of the block."""
    with run_folder() as folder:
        process = Process(
            program.path.name,
            lambda port: [program.path, f"--web.listen-address={HOST}:{port}", *flags],
            log=folder / "log",
            ready=http_ok("/"),
            env=environment,
        )
        try:
            process.start()
            yield process
        finally:
            process.stop()


def scraped(process: Process) -> Page:
    text = get(f"{process.url}/metrics")
    assert text is not None, process.last_lines()
    return parsed(text.decode())


def version(program: Program) -> tuple[int, ...]:
    """Of an exporter in Go, which says it among other things."""
    said = subprocess.run([program.path, "--version"], capture_output=True, text=True, check=False)
    number = re.search(r"(?:version|Exporter)\D*(\d+(?:\.\d+)+)", said.stdout + said.stderr)
    assert number is not None, said
    return tuple(map(int, number[1].split(".")))


def recorded(file: Path) -> dict[str, tuple[str, set[str]]]:
    """Type and labels by name, from a list of what a peer publishes: `name type label,label`."""
    lines = [line.split() for line in file.read_text().splitlines() if not line.startswith("#")]
    return {name: (kind, set(",".join(labels).split(",")) - {""}) for name, kind, *labels in lines}


def left_out(names: Iterable[str], reasons: Mapping[str, str]) -> set[str]:
    """Those of the names that a reason covers; its key is a name, or a pattern with `*`."""
    return {name for name in names if any(fnmatch.fnmatchcase(name, pattern) for pattern in reasons)}


def differences_from_record(file: Path, reasons: Mapping[str, str]) -> list[str]:
    """What the recorded peer has and our declarations lack or call otherwise, and reasons without use."""
    peer, declared = recorded(file), inventory.everything()
    excused = left_out(peer, reasons)
    found = [f"{name} is not declared" for name in sorted(set(peer) - set(declared) - excused)]
    found += [f"{name} is declared and said to be left out" for name in sorted(set(declared) & excused)]
    for name in sorted(set(peer) & set(declared)):
        kind, labels = peer[name]
        if declared[name].kind != kind:
            found.append(f"{name} is a {kind}, not a {declared[name].kind}")
        if not labels <= set(declared[name].labels):
            found.append(f"{name} has the labels {sorted(labels)}, not {declared[name].labels}")
    return found + [f"nothing is covered by {key}" for key in reasons if not left_out(peer, {key: ""})]


def differences(
    before: Page,
    theirs: Page,
    after: Page,
    *,
    unsteady: Collection[str] = (),
    missing: Collection[str] = (),
    but: Collection[str] = (),
) -> list[str]:
    """What differs in the metrics that both publish: types, labels, values.

    Ours was read before and after theirs: a value of theirs lies between, or is one of both; of `unsteady`
    metrics (name or pattern) the value is not compared. Series of theirs in `missing` metrics may lack.
    Metrics in `but` are not compared at all.
    """
    found = []
    both = {name for name, _ in theirs.series} & {name for name, _ in after.series}
    for name in sorted(both - set(but)):
        if before.kinds.get(name, after.kinds[name]) != theirs.kinds[name]:
            found.append(f"{name} is a {theirs.kinds[name]}")
        first, middle, last = before.of(name), theirs.of(name), after.of(name)
        if not left_out([name], dict.fromkeys(missing, "")):
            found += [
                f"{name}{dict(labels)} is missing" for labels in middle.keys() - first.keys() - last.keys()
            ]
        found += [
            f"{name}{dict(labels)} is not theirs" for labels in (first.keys() & last.keys()) - middle.keys()
        ]
        if left_out([name], dict.fromkeys(unsteady, "")):
            continue
        for labels in middle.keys() & last.keys():
            low, high = sorted((first.get(labels, 0.0), last[labels]))
            slack = 1e-9 * max(abs(low), abs(high))
            if not low - slack <= middle[labels] <= high + slack:
                found.append(f"{name}{dict(labels)} is {middle[labels]}, ours was {low} and {high}")
    return found
