#!/bin/sh
# The pipeline as a shell script, for cron and for whatever else starts programs:
#   cron.sh STORE FILE
# Exit code: 0 all is well; 1 the file broke a check, a step failed, or online differs from history; 2 a wrong call.
# A run that is started again for the same file does nothing twice: the file's name is the idempotency key.
set -eu
if [ $# -ne 2 ]; then
    echo "usage: $0 STORE FILE" >&2
    exit 2
fi
store=$1 file=$2

asof check "$store" weather "$file"
asof write "$store" weather "$file" --idempotency-key "$(basename "$file")"
asof materialize "$store" comfort
asof verify "$store" departure
