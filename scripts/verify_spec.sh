#!/bin/sh
# Random code against the rules of docs/security.md, written once more over llvm-objdump's answer:
#     scripts/verify_spec.sh [SEQUENCES [SEED]]
# SEQUENCES (100000000) in all, in runs of 5 million, JOBS (one a processor) at a time, with seeds SEED (1), SEED + 1, ... A run prints what its
# sampler tried and the verifier accepted, and how many accepted chunks were judged; at the end the sums. To go on after an
# interruption: the seeds that are left. Then every instruction that the exhaustive test sees
# accepted: Zydis and llvm-objdump must agree on length and mnemonic.
# Needs llvm; Zydis for the second part. Exit status: 0 all satisfy the rules, 1 something does not, 2 usage.
set -eu
cd "$(dirname "$0")/.."
sequences=${1-100000000}
seed=${2-1}
jobs=${JOBS:-$(nproc)}
case $sequences$seed in '' | *[!0-9]*) echo 'usage: scripts/verify_spec.sh [SEQUENCES [SEED]]' >&2; exit 2 ;; esac
cmake --preset release -G Ninja >/dev/null
cmake --build --preset release --target verify_sampler test_verifier_exhaustive
run=5000000
count=$(((sequences + run - 1) / run))
[ "$count" -gt 1 ] || run=$sequences
status=0
log=$(mktemp)
trap 'rm -f "$log"' EXIT
{ seq "$seed" $((seed + count - 1)) | xargs -P "$jobs" -I SEED \
    python3 tests/tools/verify_spec.py --run build/bin/verify_sampler $run SEED 2>&1 || echo 'a run failed'; } | tee "$log"
awk '/^seed /  { for (i = 3; i <= NF; i++) { if ($i ~ /^tried/) tried += $(i - 1); if ($i ~ /^accepted/) accepted += $(i - 1) } }
     / judged: / { runs++; chunks += $1; pieces += $5; wrong += $10 }
     END { printf "%d runs: %.0f tried, %.0f accepted; %.0f of %.0f instructions and sequences judged, %.0f against the rules\n",
                  runs, tried, accepted, chunks, pieces, wrong }' "$log"
! grep -q 'a run failed' "$log" || status=1
python3 tests/tools/exhaustive_llvm.py build/bin/test_verifier_exhaustive || status=1
exit $status
