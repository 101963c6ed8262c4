#!/bin/sh
# Install the servers that tests start, where root may and they are missing. Called by the Makefile.
# Without them the tests that need them are skipped, each with a line that says so; in CI they fail.
set -eu

say() { printf 'asof: %s\n' "$*" >&2; }

missing=
command -v redis-server >/dev/null || missing="$missing redis-server"
command -v postgres >/dev/null || ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1 || missing="$missing postgresql"
command -v mariadbd >/dev/null || [ -x /usr/sbin/mariadbd ] || missing="$missing mariadb-server"
command -v haproxy >/dev/null || [ -x /usr/sbin/haproxy ] || missing="$missing haproxy"
command -v nats-server >/dev/null || [ -x /usr/sbin/nats-server ] || missing="$missing nats-server"
command -v java >/dev/null || missing="$missing openjdk-17-jre-headless"
command -v chromium >/dev/null || missing="$missing chromium"
[ -n "$missing" ] || exit 0

if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    say "some tests are skipped for want of servers; to run them: sudo apt-get install$missing"
    exit 0
fi
say "installing$missing (apt) ..."
export DEBIAN_FRONTEND=noninteractive
install() { apt-get install -y -qq --no-install-recommends -o DPkg::Lock::Timeout=120 $missing; }
# shellcheck disable=SC2310 # each step may fail, and that is said
if ! log=$(install 2>&1 || { apt-get update -qq && install; } 2>&1); then
    say "apt could not install$missing; the tests that need them are skipped:"
    printf '%s\n' "$log" | tail -5 >&2
fi
