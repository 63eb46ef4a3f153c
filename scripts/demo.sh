#!/bin/sh
# The main job, once, from nothing: build Vx, take a real codec (Debian's static
# i386 libjpeg in a program of ours), translate it ahead of time, verify it, run it
# from the cache with run-time translation off, and compare with the native run.
#     scripts/demo.sh
# Each command is printed before it runs.
set -eu
cd "$(dirname "$0")/.."
PATH=$PWD/build/bin:$PATH
work=build/demo
mkdir -p $work
rounds=300

say() { printf '\n# %s\n' "$*"; }
run() {
    printf '$ %s\n' "$*"
    "$@"
}

# Seconds that a command takes, its output dropped.
seconds() {
    start=$(date +%s%N)
    "$@" >/dev/null
    awk "BEGIN { printf \"%.3f\", ($(date +%s%N) - $start) / 1e9 }"
}
least() { printf '%s\n' "$@" | sort -n | head -n 1; }

say 'Install what is missing, and build'
run ./scripts/deps.sh
printf '$ %s\n' 'cmake --preset release -G Ninja -DVX_TESTS=OFF'
cmake --preset release -G Ninja -DVX_TESTS=OFF >build/demo.log 2>&1 || { cat build/demo.log; exit 1; }
run cmake --build build -- --quiet

say 'A real guest: a JPEG encoder and decoder, unmodified i386 code'
root=build/corpus/root
guest=$work/jpeg
if run ./corpus/fetch.sh build/corpus; then
    run gcc -m32 -O2 -static -I$root/usr/include -I$root/usr/include/i386-linux-gnu \
        corpus/guests/jpeg.c $root/usr/lib/i386-linux-gnu/libjpeg.a -o $guest
else
    say 'The library cannot be had here; an interpreter of ours instead'
    guest=$work/interpreter rounds=8000
    run gcc -m32 -O2 -static corpus/guests/interpreter.c -o $guest
fi
run file $guest 2>/dev/null || true

say 'Translate ahead of time, verify, look'
run vxc compile $guest
run vxc verify $guest.vxc
run vxc info $guest.vxc

say 'Run: natively, and from the cache with nothing translated at run time'
printf '$ %s\n' "$guest $rounds"
native=$($guest $rounds)
printf '%s\n$ %s\n' "$native" "vxrun --no-dynamic $guest.vxc $rounds"
boxed=$(vxrun --no-dynamic $guest.vxc $rounds)
printf '%s\n' "$boxed"
if [ "$native" != "$boxed" ]; then
    echo 'demo.sh: the outputs differ' >&2
    exit 1
fi

say 'Time: five runs of each in turn, the least of each'
natives= boxes=
for _ in 1 2 3 4 5; do
    natives="$natives $(seconds $guest $rounds)"
    boxes="$boxes $(seconds vxrun --no-dynamic $guest.vxc $rounds)"
done
# shellcheck disable=SC2086
awk "BEGIN { native = $(least $natives); boxed = $(least $boxes)
     printf \"native %.3f s, in the box %.3f s, ratio %.2f\n\", native, boxed, boxed / native }"
