# Sourced by the other scripts: makes .venv from requirements.lock, or mends it; speaks up only when there is work.
# A message and exit code 2 say what a person must do.

fail() {
    printf 'setup: %s\n' "$*" >&2
    exit 2
}

# Run what installs a system package: as root, or by sudo where it asks for no password.
install_packages() {
    command -v apt-get >/dev/null || fail "$1 is missing here, and so is apt-get. Install it by your system's means."
    local as_root=""
    if [ "$(id -u)" -ne 0 ]; then
        sudo -n true 2>/dev/null || fail "$1 is missing here. Run as root: apt-get install $2"
        as_root="sudo -n"
    fi
    echo "installing $2"
    local log
    log="$($as_root sh -c "apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends $2" 2>&1)" ||
        fail "$2 could not be installed; is the network there?
$(printf '%s\n' "$log" | tail -n 5)"
}

# A Python that we support, by any of its names.
find_python() {
    local name
    for name in python3 python3.13 python3.12 python3.11; do
        if "$name" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null; then
            command -v "$name"
            return
        fi
    done
}

make_environment() {
    local python wanted log
    wanted="$(cat requirements.lock pyproject.toml | cksum)"
    if [ "$(cat .venv/complete 2>/dev/null)" = "$wanted" ] && .venv/bin/python -c '' 2>/dev/null; then
        return
    fi
    python="$(find_python)"
    if [ -z "$python" ] && ! command -v python3 >/dev/null; then
        install_packages Python "python3 python3-venv"
        python="$(find_python)"
    fi
    [ -n "$python" ] || fail "Python 3.11, 3.12 or 3.13 is needed; here is $(python3 --version 2>&1)."
    "$python" -c 'import ensurepip, venv' 2>/dev/null ||
        install_packages "Python's module venv" "$("$python" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')"

    rm -f .venv/complete
    if ! .venv/bin/python -m pip --version >/dev/null 2>&1; then
        echo "making .venv with $python"
        rm -rf .venv
        log="$("$python" -m venv .venv 2>&1)" || fail "The virtual environment could not be made:
$log"
    fi
    echo "installing the Python packages of requirements.lock into .venv"
    # --no-deps: the lock has every package, and one of them (see tool.uv) another version than pip would allow.
    log="$(.venv/bin/python -m pip install --disable-pip-version-check --no-input --no-deps --require-hashes -r requirements.lock 2>&1 &&
        .venv/bin/python -m pip install --disable-pip-version-check --no-input --no-deps --no-build-isolation -e . 2>&1)" ||
        fail "The Python packages could not be installed; is the network there? Run this again when it is.
$(printf '%s\n' "$log" | grep -vE '^(WARNING: Retrying|Ignoring )' | grep -v '^ *$' | tail -n 15)"
    printf '%s' "$wanted" >.venv/complete
}
