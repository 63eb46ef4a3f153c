#!/bin/sh
# Build the guests of the corpus into OUTDIR/bin:
#     corpus/build.sh OUTDIR [NAME...]
#
# OUTDIR is the directory that corpus/fetch.sh filled: the libraries come from
# OUTDIR/root. What to build stands in corpus/guests/guests.txt; a guest is
# built again when its sources, the table or this script are newer. One whose library or
# compiler is missing is skipped, and named.
# Exit status: 0 built; 1 a guest does not compile; 2 usage; 77 nothing could be built.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
case "${1-}" in
    ''|-*)
        echo "Usage: corpus/build.sh OUTDIR [NAME...]" >&2
        exit 2;;
esac
mkdir -p "$1/bin"
out=$(cd "$1" && pwd)
shift

root=$out/root
lib=$root/usr/lib/i386-linux-gnu
musl=$root/usr/lib/i386-linux-musl
musl_include=$root/usr/include/i386-linux-musl

# Whether a -lNAME is there: in Debian's packages, or with the C compiler.
has_library() {
    [ -f "$lib/lib${1#-l}.a" ] || [ -f "$(gcc -m32 -print-file-name="lib${1#-l}.a")" ]
}

# build_one NAME SOURCES LIBRARIES FLAGS: prints one line if there is something to say.
build_one() {
    name=$1 compiler=gcc cxx=g++ is_musl= flags= libraries= sources= newest=
    for flag in $(echo "$4" | tr , ' '); do
        case $flag in
            @clang) compiler=clang cxx=clang++;;
            @musl) is_musl=1;;
            @writes-code|@avx2|-) ;;
            *) flags="$flags $flag";;
        esac
    done
    for library in $(echo "$3" | tr , ' '); do
        [ "$library" = - ] && continue
        has_library "$library" || { echo "skipped $name: no static i386 $library"; return 0; }
        libraries="$libraries $library"
    done
    for source in $(echo "$2" | tr , ' '); do
        sources="$sources $here/guests/$source"
        case $source in *.cc) compiler=$cxx;; esac
        [ "$out/bin/$name" -nt "$here/guests/$source" ] || newest=$source
    done
    command -v "$compiler" >/dev/null 2>&1 || { echo "skipped $name: no $compiler"; return 0; }
    for input in guests/guest.h guests/guests.txt build.sh; do
        [ "$out/bin/$name" -nt "$here/$input" ] || newest=$input
    done
    [ -n "$newest" ] || return 0

    # A static PIE has start files of its own, which -static would replace.
    case $flags in *-static-pie*) ;; *) flags="-static$flags";; esac
    set -- -m32 -O2 -Wall -Wextra -o "$out/bin/.$name.new"
    if [ -n "$is_musl" ]; then
        [ -f "$musl/libc.a" ] || { echo "skipped $name: no musl for i386"; return 0; }
        set -- "$@" -fno-stack-protector -no-pie -nostdinc -nostdlib \
            -isystem "$musl_include" -isystem "$(gcc -m32 -print-file-name=include)" \
            "$musl/crt1.o" "$musl/crti.o"
        # shellcheck disable=SC2086
        set -- "$@" $flags $sources -Wl,--start-group "$musl/libc.a" \
            -lgcc -lgcc_eh -Wl,--end-group "$musl/crtn.o"
    else
        # The libraries that open plug-ins warn that a static program cannot.
        # shellcheck disable=SC2086
        set -- "$@" -isystem "$root/usr/include" -isystem "$root/usr/include/i386-linux-gnu" \
            -isystem "$root/usr/include/lua5.4" $flags $sources -L"$lib" $libraries -pthread \
            -Wl,--no-warnings
    fi
    if ! "$compiler" "$@" >"$out/bin/.$name.log" 2>&1; then
        echo "failed $name: $(grep -m1 -E 'error|undefined|cannot' "$out/bin/.$name.log")"
        return 1
    fi
    mv "$out/bin/.$name.new" "$out/bin/$name"
}

# The table, one guest a line, the wanted names only.
wanted=" $* "
rows() {
    while read -r name sources libraries flags rest; do
        case $name in ''|'#'*) continue;; esac
        [ "$wanted" = "  " ] || case $wanted in *" $name "*) ;; *) continue;; esac
        echo "$name $sources $libraries $flags"
    done <"$here/guests/guests.txt"
}

# Two workers, each with every second row: enough, and the output stays in order.
worker() {
    bad=0
    rows | awk -v half="$1" 'NR % 2 == half' >"$out/bin/.rows.$1"
    while read -r name sources libraries flags; do
        build_one "$name" "$sources" "$libraries" "$flags" || bad=1
    done <"$out/bin/.rows.$1"
    return $bad
}

[ -n "$(rows)" ] || { echo "build.sh: no such guest:$wanted" >&2; exit 2; }
if ! echo 'int main(void) { return 0; }' | gcc -m32 -static -xc -o "$out/bin/.try" - 2>/dev/null; then
    echo "build.sh: gcc -m32 cannot link a static program (gcc-multilib is missing)" >&2
    exit 77
fi
status=0
worker 0 >"$out/bin/.out.0" & first=$!
worker 1 >"$out/bin/.out.1" || status=1
wait $first || status=1
cat "$out/bin/.out.0" "$out/bin/.out.1" >&2
exit $status
