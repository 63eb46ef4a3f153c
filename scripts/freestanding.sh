#!/bin/sh
# Compile what judges and takes apart untrusted bytes freestanding, where a compiler may assume nothing of a library:
#     scripts/freestanding.sh
# verifier/, and of format/ the decoders, the checks and the ELF reader. With each of gcc and clang that is installed. Prints what the
# objects call: of the C library only the memory functions that every freestanding compiler asks for; cpu.c may ask for
# the processor's features, format/ for its own messages, and for a block that has been inflated.
# The rest of format/ reads and writes files, allocates, inflates and has threads: it is hosted, as vxrt/ is.
# Exit status: 0 nothing else is called, 1 something is, 77 no compiler here.
set -eu
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' INT TERM
status=77

calls() { # what may be called, sources...
    allowed=$1
    shift
    for source; do
        "$compiler" -std=gnu11 -O2 -Wall -Wextra -Werror -Wno-unused-parameter -ffreestanding -fno-stack-protector -I. -c "$source" -o "$work/$(basename "$source").o"
    done
    ld -r -o "$work/all.o" "$work"/*.c.o
    found=$(nm -u "$work/all.o" | awk '{ print $2 }' | tr '\n' ' ')
    rm "$work"/*.o
    for name in $found; do
        case " memcpy memmove memset memcmp $allowed " in
        *" $name "*) ;;
        *) echo "$compiler: $name is called from outside of: $*" >&2; status=1 ;;
        esac
    done
    echo "$compiler: $# files, calls: $found"
}

for compiler in gcc clang; do
    command -v $compiler >/dev/null || continue
    [ $status = 1 ] || status=0
    calls "" $(ls verifier/*.c | grep -v /cpu.c)
    calls "__x86_get_cpuid_feature_leaf __cpu_model __cpu_indicator_init" verifier/cpu.c
    calls "vxi_fail vxi_succeed vxi_inflate vxi_stream_sizes_ok" format/decode.c format/blocks.c format/check.c format/elf32.c format/elf32_tables.c format/strerror.c
done
exit $status
