#!/bin/sh
# Build and run all tests:
#     scripts/test.sh [--quick]
# Four builds: gcc (all tests), the runtime without a translator (build only),
# clang (all but the long tests), ASan + UBSan (likewise). --quick: the first alone. JOBS=N sets the number of jobs.
# Exit status: 0 if every build is free of warnings and every test passed or was skipped with a reason.
set -eu
cd "$(dirname "$0")/.."
./scripts/deps.sh
jobs=${JOBS:-$(nproc)}

build() { # preset, further options of cmake...
    preset=$1
    shift
    echo "== $preset: configure and build"
    cmake --preset "$preset" -G Ninja "$@" >/dev/null
    cmake --build --preset "$preset" -j "$jobs"
}

run_tests() { # preset, further options of ctest...
    preset=$1
    shift
    echo "== $preset: tests"
    ctest --preset "$preset" -j "$jobs" --timeout 600 "$@"
}

status=0
check() {
    "$@" || { status=1; echo "FAILED: $*" >&2; }
}

if [ "${1-}" != --quick ]; then
    build static-only
    build clang
    build asan
    # The long cases run the corpus and compare with other programs; once is enough.
    check run_tests clang -LE long
    check run_tests asan -LE long
fi
build release
check run_tests release
exit $status
