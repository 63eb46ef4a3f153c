#!/bin/sh
# Absence of run-time errors by abstract interpretation (Frama-C's Eva, package frama-c-base):
#     scripts/frama.sh
# format/cursor.h, the verifier's decoder with its tables, and its sequences; drivers in tests/frama. Prints the alarms that are left; docs/security.md says
# which they are and why. Three minutes. Exit status: 0 no others than those, 1 others, 77 no Frama-C here.
set -u
cd "$(dirname "$0")/.."
command -v frama-c >/dev/null || { echo 'frama.sh: no frama-c here' >&2; exit 77; }
log=$(mktemp)
trap 'rm -f "$log"' EXIT
status=0

run() { # most alarms, sources
    most=$1
    shift
    frama-c -c11 -machdep gcc_x86_64 -cpp-extra-args='-I. -D_GNU_SOURCE -include tests/frama/gnu.h' -cpp-frama-c-compliant "$@" \
        -eva -eva-precision 2 -eva-slevel 500 >"$log" 2>&1
    grep -A 2 'eva:alarm' "$log" | grep -E 'alarm|assert|precondition'
    count=$(sed -n 's/^ *\([0-9]*\) alarms\{0,1\} generated.*/\1/p' "$log")
    echo "$1: ${count:-no result:} alarms, $most explained"
    [ "${count:-999}" -le "$most" ] || status=1
}

run 0 tests/frama/cursor.c
run 3 tests/frama/decode.c verifier/table.c verifier/vex_table.c verifier/modrm.c
run 0 tests/frama/sequence.c
exit $status
