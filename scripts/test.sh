#!/bin/sh
# Build and run all tests:
#     scripts/test.sh [--quick]
# Five builds, warnings are errors: the runtime without a translator (build only), clang (all but the
# long tests), ASan + UBSan (likewise), ThreadSanitizer (the tests with threads that it can run), and gcc: all tests, last.
# --quick: the last alone.
# JOBS=N sets the number of jobs. The first run fetches Debian's i386 libraries for the corpus; without
# a network that test is skipped and says so.
# Exit status: 0 if everything builds and every test passed or was skipped with a reason.
set -eu
cd "$(dirname "$0")/.."
echo "== packages"
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
    # The long cases compare with other programs, many times over; they run once, below.
    check run_tests clang -LE long
    check run_tests asan -LE long
    # Of the runtime's C code; it knows nothing of the assembly and of translated code. box_signals has handlers of its own, for
    # signals that it keeps back; translate_race is one.
    cmake --preset tsan -G Ninja >/dev/null
    cmake --build --preset tsan -j "$jobs" --target plugins test_soak test_limits test_buffer test_snapshot_plugin test_call test_threads \
        test_runtime test_stream
    check run_tests tsan -R '^(soak|limits|buffer|snapshot_plugin|call|threads|runtime|stream)$'
fi
build release
[ $status = 0 ] || echo "== a test of another build FAILED, see above" >&2
check run_tests release
exit $status
