#!/bin/sh
# Run mutated caches that the verifier accepts, behind canaries and a system-call filter:
#     scripts/hostile.sh [MUTANTS [SEED]]
# MUTANTS (100000) accepted ones in all, spread over JOBS processes (default: one a processor), from SEED (the time) on.
# A mutant that breaks out is named with its guest, number and seed; `build/bin/test_hostile_cache --one GUEST SEED NUMBER` repeats it.
# Exit status: 0 none broke out, 1 one did, 2 usage.
set -eu
cd "$(dirname "$0")/.."
mutants=${1-100000}
seed=${2-$(date +%s)}
jobs=${JOBS:-$(nproc)}
case $mutants$seed in *[!0-9]*) echo 'usage: scripts/hostile.sh [MUTANTS [SEED]]' >&2; exit 2 ;; esac
cmake --preset release -G Ninja >/dev/null
cmake --build --preset release --target test_hostile_cache
job=0
pids=
while [ $job -lt "$jobs" ]; do
    build/bin/test_hostile_cache $((mutants / jobs)) $((seed + 1000 * job)) &
    pids="$pids $!"
    job=$((job + 1))
done
status=0
for pid in $pids; do
    wait "$pid" || status=1
done
exit $status
