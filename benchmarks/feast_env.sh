#!/bin/sh
# Make .bench/feast: Feast in an environment of its own, for the comparisons of `make bench`. Repeating it does nothing.
# Its size is noted before the extra for the DuckDB offline store goes in: that is what a plain install takes.
set -eu
cd "$(dirname "$0")/.."
home=.bench/feast
if [ -e "$home/done" ]; then exit 0; fi
rm -rf "$home"
mkdir -p "$home"
python3 -m venv "$home"
pip="$home/bin/python -m pip --disable-pip-version-check --no-input -qq"
$pip install 'feast==0.67.*'
"$home/bin/python" benchmarks/installed.py > "$home/installed.json"
$pip install 'feast[duckdb]==0.67.*'
touch "$home/done"
