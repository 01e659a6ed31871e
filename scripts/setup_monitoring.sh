#!/usr/bin/env bash
# Brings up monitoring on this machine, a demo application with it; --help lists the options. Ctrl-C ends all.
set -euo pipefail
here="$PWD"
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. scripts/environment.sh
make_environment
# Paths on the command line are relative to where the user stands.
export PYTHONPATH="$PWD"
checkout="$PWD"
cd "$here"
exec "$checkout/.venv/bin/python" -u -m scripts.stack "$@"
