"""Every benchmark runs, prints its tables, and writes what it found."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NAMES = [
    "http_overhead",
    "exposition",
    "workers_merge",
    "scrape_stall",
    "cardinality",
    "health",
    "ai_overhead",
    "pii",
    "log_lines",
]


@pytest.mark.parametrize("name", NAMES)
def test_a_benchmark_prints_its_tables_and_writes_its_numbers(name, tmp_path):
    """Tiny sizes, and no word on time: here only what would break a real run is found."""
    file = tmp_path / "found.json"
    command = [sys.executable, "-m", f"benchmarks.{name}", "--tiny", "--json", str(file)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    told = json.loads(file.read_text())
    assert told["benchmark"] == name
    assert told["tables"]
    assert told["targets"]
    for table in told["tables"]:
        assert table["rows"]
        assert f"### {table['title']}" in done.stdout
    assert "### Targets" in done.stdout


def test_the_command_runs_every_benchmark():
    """benchmarks/run.sh is the one command: a new benchmark is named there and here."""
    files = {path.stem for path in (ROOT / "benchmarks").glob("[!_]*.py")}
    assert files - {"soak_workers", "exporter_vs_peers", "bad_days"} == set(NAMES)
    (line,) = (
        line
        for line in (ROOT / "benchmarks/run.sh").read_text().splitlines()
        if line.startswith("for name in")
    )
    assert line.removeprefix("for name in ").removesuffix("; do").split() == NAMES
