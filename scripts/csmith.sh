#!/bin/sh
# Compare programs made by csmith under vxrun with their native runs:
#     scripts/csmith.sh [PROGRAMS [SEED]]
# PROGRAMS (2000), each built in four ways (tests/csmith_test.py; every second hundred with a whole C library), csmith seeds from SEED (1) on. BIN=dir: vxc and vxrun built
# elsewhere. Needs the packages csmith and libcsmith-dev, which scripts/deps.sh installs.
# Exit status: 0 no difference, 1 a difference, 2 usage, 77 something it needs is missing.
set -eu
cd "$(dirname "$0")/.."
programs=${1-2000}
seed=${2-1}
case $programs$seed in *[!0-9]*) echo 'usage: scripts/csmith.sh [PROGRAMS [SEED]]' >&2; exit 2 ;; esac
bin=${BIN-}
if [ -z "$bin" ]; then
    ./scripts/deps.sh
    cmake --preset release -G Ninja >/dev/null
    cmake --build --preset release --target vxc vxrun
    bin=build/bin
fi
status=0
bare=
while [ "$programs" -gt 0 ]; do
    now=100
    [ "$programs" -ge 100 ] || now=$programs
    rc=0
    # shellcheck disable=SC2086 # none or one
    python3 tests/csmith_test.py "$bin" --seed "$seed" --programs "$now" $bare || rc=$?
    [ "$bare" ] && bare= || bare=--bare
    [ $rc != 77 ] || exit 77
    [ $rc = 0 ] || status=1
    programs=$((programs - now))
    seed=$((seed + now))
done
exit $status
