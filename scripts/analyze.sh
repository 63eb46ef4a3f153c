#!/bin/sh
# Static analysis of what everything else rests on, verifier/ and format/:
#     scripts/analyze.sh [--all]
# gcc -fanalyzer and clang --analyze, as far as they are installed: a minute. --all: cppcheck too, four minutes.
# Every warning counts.
# Exit status: 0 clean, 1 warnings, 77 no analyser here.
set -u
cd "$(dirname "$0")/.."
log=$(mktemp)
trap 'rm -f "$log"' EXIT
ran=

each() { # name of the analyser, its command...
    command -v "$1" >/dev/null || return 0
    ran="$ran $1"
    printf '%s\n' verifier/*.c format/*.c | xargs -P "$(nproc)" -I FILE "$@" FILE >>"$log" 2>&1
}

each gcc -fanalyzer -Wall -Wextra -std=gnu11 -D_GNU_SOURCE -I. -o /dev/null -c
each clang --analyze -std=gnu11 -D_GNU_SOURCE -I. -o /dev/null
[ "${1-}" != --all ] || each cppcheck --quiet --enable=warning,performance,portability -I.
[ -n "$ran" ] || { echo 'analyze.sh: no analyser here' >&2; exit 77; }
cat "$log"
count=$(grep -cE 'warning|error' "$log")
echo "analysers:$ran; warnings: $count"
[ "$count" = 0 ]
