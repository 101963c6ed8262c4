#!/bin/sh
# Make .venv on a machine that has Python >= 3.11 and nothing else. Called by the Makefile.
set -eu

say() { printf 'asof: %s\n' "$*" >&2; }

find_python() {
    # $PYTHON first, for those who want a certain one.
    for python in ${PYTHON:-} python3 python3.14 python3.13 python3.12 python3.11; do
        if "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            echo "$python"
            return
        fi
    done
    say 'no Python >= 3.11 found; on Debian 12 or newer: apt install python3 python3-venv'
    say 'elsewhere name one: make PYTHON=/path/to/python3.12 ...'
    exit 1
}

# Debian splits the venv module out of Python.
need_ensurepip() {
    if "$1" -c 'import ensurepip' 2>/dev/null; then return; fi
    package=$("$1" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        say "installing $package (apt)"
        if ! log=$(apt-get update -qq 2>&1 &&
            DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$package" 2>&1); then
            say "apt could not install $package:"
            printf '%s\n' "$log" >&2
            exit 1
        fi
    else
        say "this Python cannot make virtual environments; run: sudo apt install $package"
        exit 1
    fi
}

python=$(find_python)
need_ensurepip "$python"
say "making .venv with $("$python" --version)"
rm -rf .venv
"$python" -m venv .venv
