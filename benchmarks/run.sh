#!/usr/bin/env bash
# Prints all tables, each beside its peers; JSON goes to .watchkeeper/bench. --tiny: a quick look whether all of it runs.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. scripts/environment.sh

place=.watchkeeper/bench
wanted="$(cat benchmarks/requirements*.txt | cksum)"
if [ "$(cat "$place/venv/complete" 2>/dev/null)" != "$wanted" ]; then
    python="$(find_python)"
    [ -n "$python" ] || fail "Python 3.11, 3.12 or 3.13 is needed."
    echo "installing the peers of benchmarks/requirements.txt into $place/venv" >&2
    rm -rf "$place/venv"
    "$python" -m venv "$place/venv"
    for chosen in "-r benchmarks/requirements.txt" "--no-deps -r benchmarks/requirements-no-deps.txt"; do
        # shellcheck disable=SC2086 # two words or three
        "$place/venv/bin/python" -m pip install --disable-pip-version-check --no-input -q $chosen ||
            fail "The peers could not be installed; is the network there? Run this again when it is."
    done
    printf '%s' "$wanted" >"$place/venv/complete"
fi

for name in http_overhead exposition workers_merge scrape_stall cardinality health ai_overhead pii log_lines; do
    PYTHONPATH="${PYTHONPATH:+$PYTHONPATH:}." "$place/venv/bin/python" -m "benchmarks.$name" --json "$place/$name.json" "$@"
done
