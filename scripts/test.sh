#!/usr/bin/env bash
# Installs what the tests need and runs all checks and tests. Arguments go to pytest: scripts/test.sh tests/exporter -x
# With --sdks first: the AI tests against older generations of the AI SDKs, and beside other instrumentations.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. scripts/environment.sh
make_environment
export PATH="$PWD/.venv/bin:$PATH"

if [ "${1-}" = --sdks ]; then
    shift
    exec python -m tests.sdks "$@"
fi

if [ $# -eq 0 ]; then
    ruff check .
    ruff format --check .
    mypy
    lint-imports
    python -m dashboards --check
fi
# The servers are fetched before the first test, so that no test's time limit meets a slow line.
python -m scripts.stack.packages
if [ $# -eq 0 ]; then
    # Two at a time: most tests wait for a server that they have started. Files stay whole, for their fixtures.
    exec python -m pytest -n 2 --dist loadfile
fi
exec python -m pytest "$@"
