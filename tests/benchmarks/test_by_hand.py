"""What is run by hand, because it needs servers or minutes: it works, and its verdict counts."""

import os
import subprocess
import sys
from pathlib import Path

from benchmarks import bad_days

ROOT = Path(__file__).parents[2]


def test_a_bad_day_is_played_with_real_servers():
    """One situation of many: a line of the table, with the reason, and exit code 0 for promises kept."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.bad_days", "text for a number"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (line,) = [line for line in done.stdout.splitlines() if "text for a number" in line]
    assert "`invalid`: sql.own_things | whole | 2 | at the next scrape" in line


def test_the_table_of_bad_days_has_every_situation():
    """Who adds one plays all of them again, and puts the table in the document."""
    document = (ROOT / "docs/reliability.md").read_text()
    assert [title for title in bad_days.PLAYS if f"| {title} |" not in document] == []


def test_the_comparison_with_other_exporters_runs(tmp_path):
    """Small sizes, and those of the peers that the distribution has."""
    environ = {key: value for key, value in os.environ.items() if key != "BENCHMARK_PEERS"}
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.exporter_vs_peers", "--tiny"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=180,
        env=environ,
    )
    assert done.returncode == 0, done.stderr
    assert "| ours |" in done.stdout
    assert "names used that the peers give and ours does not | ≤ 0 | 0.00 | yes" in done.stdout
