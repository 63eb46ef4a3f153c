#!/bin/sh
# Absence of run-time errors by abstract interpretation (Frama-C's Eva, package frama-c-base):
#     scripts/frama.sh [--quick]
# verifier/ and the readers of format/; drivers in tests/frama. Prints the alarms that are left; docs/security.md says which they are and why. Six minutes of
# processor time; --quick, without the verifier and the reading of chunks, one. Exit status: 0 no others than those, 1 others, 77 no Frama-C here.
set -u
cd "$(dirname "$0")/.."
command -v frama-c >/dev/null || { echo 'frama.sh: no frama-c here' >&2; exit 77; }
log=$(mktemp)
trap 'rm -f "$log"' EXIT
status=0
elf_h='-idirafter /usr/include -idirafter /usr/include/x86_64-linux-gnu'

run() { # most alarms, sources and options
    most=$1
    shift
    frama-c -c11 -machdep gcc_x86_64 -cpp-frama-c-compliant -cpp-extra-args="-I. -D_GNU_SOURCE -include tests/frama/gnu.h $elf_h" "$@" \
        -eva -eva-precision 2 -eva-slevel 500 >"$log" 2>&1
    grep -A 2 'eva:alarm' "$log" | grep -E 'alarm|assert|precondition'
    count=$(sed -n 's/^ *\([0-9]*\) alarms\{0,1\} generated.*/\1/p' "$log")
    echo "$1: ${count:-no result:} alarms, $most explained;$(sed -n 's/.*functions, \(.* statements\) reached \((.*)\):.*/ \1 \2/p' "$log")"
    [ "${count:-999}" -le "$most" ] || status=1
}

# An analysis that forgets what a function returned, also forgets what it stored: results of these are kept apart.
run 0 tests/frama/cursor.c
run 0 tests/frama/codec.c
run 0 tests/frama/open.c -eva-alloc-builtin fresh -eva-split-return-function vxi_blocks_open:full,parse_index:full
run 0 tests/frama/elf32.c
run 0 tests/frama/elf32_tables.c \
    -eva-split-return-function vxe_dynamic:full,locate:full,locate_rest:full,symbol_section:full,vxe_at:full,read_dyn:full,read_shdr:full,count_by_hash:full,count_by_gnu_hash:full
if [ "${1-}" != --quick ]; then
    run 0 tests/frama/load.c -eva-alloc-builtin fresh \
        -eva-split-return-function vxi_blocks_open:full,read_blob:full,read_array:full,vxf_read_relocs:full,vxf_read_rows:full
    run 0 tests/frama/sequence.c
    run 0 tests/frama/verify.c
    run 3 tests/frama/decode.c verifier/table.c verifier/vex_table.c verifier/modrm.c
fi
exit $status
