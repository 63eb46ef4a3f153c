#!/bin/sh
# Fuzz with libFuzzer, AddressSanitizer and UBSan:
#     scripts/fuzz.sh [SECONDS [TARGET...]]
# Each target of tests/fuzz for so many seconds (60), one after the other, from the seeds that the build makes,
# tests/fuzz/corpora, and what earlier runs here found (build-fuzz/corpus). What crashes is kept as build-fuzz/TARGET-crash-...
# Needs clang. Exit status: 0 nothing found, 1 something was, 2 usage.
set -eu
cd "$(dirname "$0")/.."
seconds=${1-60}
case $seconds in '' | *[!0-9]*) echo 'usage: scripts/fuzz.sh [SECONDS [TARGET...]]' >&2; exit 2 ;; esac
[ $# = 0 ] || shift
[ $# != 0 ] || set -- elf cache verifier decode translate load personality calls
export ASAN_OPTIONS=handle_segv=0:allow_user_segv_handler=1:handle_sigbus=0:handle_sigfpe=0:handle_sigill=0:use_sigaltstack=0
cmake -S . -B build-fuzz -G Ninja -DCMAKE_C_COMPILER=clang -DCMAKE_BUILD_TYPE=RelWithDebInfo -DVX_FUZZ=ON >/dev/null
cmake --build build-fuzz
python3 tests/fuzz/seeds.py build-fuzz/bin/vxc build-fuzz/fuzz
python3 tests/fuzz/corpora.py unpack build-fuzz/fuzz
status=0
for target in "$@"; do
    mkdir -p "build-fuzz/corpus/$target"
    echo "== $target: $seconds s"
    # the runtime has its own handlers for the guest's faults
    "build-fuzz/bin/fuzz_$target" -max_total_time="$seconds" -max_len=65536 -timeout=20 -rss_limit_mb=4096 -print_final_stats=1 \
        -handle_segv=0 -handle_bus=0 -handle_ill=0 -handle_fpe=0 -artifact_prefix="build-fuzz/$target-" \
        "build-fuzz/corpus/$target" "build-fuzz/fuzz/$target" 2>"build-fuzz/$target.log" || status=1
    grep -E 'stat::number_of_executed_units|ERROR|broken|SUMMARY|INITED|DONE' "build-fuzz/$target.log" || true
done
exit $status
