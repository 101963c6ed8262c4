#!/bin/sh
# Make the environment in which tests run Great Expectations: on top of .venv, so that it holds 40 MB of its own and
# changes no package there. Called by the Makefile with the Python of .venv; needs no root.
# Without it these tests are skipped, with a line that says so; in CI they fail.
set -eu

cd "$(dirname "$0")/.."
place=$("$1" -c 'import sys; print(sys.prefix)')
folder=$place/expectations
[ "$folder/installed" -nt requirements/expectations.txt ] && [ "$folder/installed" -nt "$place/dev.stamp" ] && exit 0
echo 'asof: installing Great Expectations into an environment of its own (half a minute) ...' >&2
rm -rf "$folder"
"$1" -m venv --without-pip "$folder"
# What .venv holds is seen from there, pip too: only the rest is installed.
"$folder/bin/python" - "$("$1" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')" <<'PYTHON'
import pathlib, sys, sysconfig
below = pathlib.Path(sysconfig.get_path("purelib"), "below.pth")
below.write_text(f"import site; site.addsitedir({sys.argv[1]!r})\n")
PYTHON
if ! log=$("$folder/bin/python" -m pip --disable-pip-version-check --no-input -qq install \
    -r requirements/expectations.txt 2>&1); then
    echo 'asof: pip could not install it; the tests of its suites are skipped:' >&2
    printf '%s\n' "$log" | tail -5 >&2
    exit 0
fi
touch "$folder/installed"
