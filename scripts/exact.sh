#!/bin/sh
# Compare random instruction sequences under vxrun with the processor itself, many of them:
#     scripts/exact.sh [SEQUENCES [SEED]]
# SEQUENCES (10000000) in slices of 500,000, one after another, from SEED (the time) on. Slices take turns between the
# default virtual CPU and all that this machine has. Each prints its seed, what it executed and what differed;
# `tests/exact/run.py build/bin --seed N --programs 1` repeats one program. BIN=dir: programs built elsewhere.
# Exit status: 0 no difference, 1 a difference, 2 usage, 77 no 32-bit programs here.
set -eu
cd "$(dirname "$0")/.."
total=${1-10000000}
seed=${2-$(date +%s)}
case $total$seed in *[!0-9]*) echo 'usage: scripts/exact.sh [SEQUENCES [SEED]]' >&2; exit 2 ;; esac
bin=${BIN-}
if [ -z "$bin" ]; then
    cmake --preset release -G Ninja >/dev/null
    cmake --build --preset release --target vxc vxrun
    bin=build/bin
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' INT TERM
done=0
status=0
cpu=sse4.2
while [ "$done" -lt "$total" ]; do
    rc=0
    # of four programs, one has a quarter of the cases
    python3 tests/exact/run.py "$bin" --seed "$seed" --programs 28 --cases 22000 --cpu $cpu --keep "$work" || rc=$?
    [ $rc != 77 ] || exit 77
    [ $rc = 0 ] || status=1
    done=$((done + 500500))
    seed=$((seed + 28))
    [ $cpu = host ] && cpu=sse4.2 || cpu=host
done
exit $status
