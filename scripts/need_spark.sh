#!/bin/sh
# Install PySpark into .venv: 455 MB that come as source, which takes pip as long as all the rest together (66 s against
# "about a minute"), and that `make install` and `make demo` can do without. Called by the Makefile with the Python of
# .venv; Java is a matter of scripts/need_servers.sh.
# Without it the tests of Spark are skipped, with a line that says so; in CI they fail.
set -eu

cd "$(dirname "$0")/.."
stamp=$("$1" -c 'import sys; print(sys.prefix)')/spark.stamp
[ "$stamp" -nt requirements/spark.txt ] && exit 0
echo 'asof: installing PySpark into .venv (about a minute) ...' >&2
if ! log=$("$1" -m pip --disable-pip-version-check --no-input -qq install -r requirements/spark.txt 2>&1); then
    echo 'asof: pip could not install it; the tests of Spark are skipped:' >&2
    printf '%s\n' "$log" | tail -5 >&2
    exit 0
fi
touch "$stamp"
