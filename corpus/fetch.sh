#!/bin/sh
# Fetch Debian's i386 packages for the corpus:
#     corpus/fetch.sh OUTDIR          static libraries and programs, into OUTDIR/root
#     corpus/fetch.sh OUTDIR tree     dynamic programs and all that they depend on, into OUTDIR/tree
#
# The system's own package state is not touched: apt works on a private state
# directory with the machine's sources and keyrings, for i386 alone; packages
# are unpacked, never installed. A second run with the same list does nothing;
# two at once wait for each other.
# Exit status: 0 unpacked; 77 no network, no apt or no such package; 2 usage.
set -eu

# Each holds a static i386 library (or program) that a guest links or runs.
packages='zlib1g-dev libbz2-dev libjpeg62-turbo-dev libopenjp2-7-dev libogg-dev libvorbis-dev
libflac-dev libpng-dev libwebp-dev libopus-dev libzstd-dev libbrotli-dev
liblua5.4-dev libsqlite3-dev musl-dev musl busybox-static bash-static'

skip() {
    echo "fetch.sh: $*" >&2
    exit 77
}

# What tests/dynamic_test.py runs.
programs='bash dash busybox coreutils sed gawk grep findutils diffutils tar gzip bzip2 xz-utils zstd brotli perl python3
libpython3-stdlib lua5.4 luajit sqlite3 jq bc openssl flac vorbis-tools opus-tools libjpeg-turbo-progs webp git file
ripgrep fd-find gron fzf pigz base-files'

case "${1-}:${2-root}" in
    :*|-*) wrong=1;;
    *:root) name=root;;
    *:tree) name=tree packages=$programs;;
    *) wrong=1;;
esac
if [ -n "${wrong-}" ]; then
    echo "Usage: corpus/fetch.sh OUTDIR [tree]" >&2
    exit 2
fi
mkdir -p "$1"
out=$(cd "$1" && pwd)
for tool in apt-get dpkg-deb flock; do
    command -v "$tool" >/dev/null 2>&1 || skip "$tool is missing"
done

exec 9>"$out/fetch.lock"
flock 9
stamp=$out/fetch.stamp
[ "$name" = root ] || stamp=$out/fetch-$name.stamp
# shellcheck disable=SC2086
wanted=$(echo $packages)
if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$wanted" ]; then
    exit 0
fi
rm -f "$stamp"

apt=$out/apt
mkdir -p "$apt/state/lists/partial" "$apt/cache/archives/partial" "$apt/debs"
: >"$apt/status"
private() {
    tool=$1
    shift
    "$tool" -qq -o Dir::State="$apt/state" -o Dir::State::status="$apt/status" \
        -o Dir::Cache="$apt/cache" -o APT::Architecture=i386 -o APT::Architectures=i386 \
        -o APT::Sandbox::User=root -o Acquire::Languages=none -o Acquire::Retries=2 "$@"
}

# An index that fails (a mirror in the middle of a change, say) is left out by
# apt; the others are signed and enough if they hold every package.
if ! private apt-get update >"$apt/log" 2>&1; then
    echo "fetch.sh: some package indexes are missing, going on without them:" \
        "$(grep -c '^E: Failed' "$apt/log") failed" >&2
fi
if [ "$name" = tree ]; then
    rm -f "$apt"/cache/archives/*.deb
    # Python's own tests: its version is in the name.
    packages="$packages $(private apt-cache search --names-only '^libpython3\.[0-9]+-testsuite$' | cut -d ' ' -f 1 | tail -n 1)"
    # shellcheck disable=SC2086
    private apt-get -y --no-install-recommends --download-only install $packages >"$apt/log" 2>&1 ||
        skip "cannot download: $(grep -m 3 '^E:' "$apt/log")"
    cd "$apt/cache/archives"
else
    cd "$apt/debs"
    missing=
    for package in $packages; do
        # One call a package, so that the message can name the one that fails.
        private apt-get download "$package" >"$apt/log" 2>&1 || missing="$missing $package"
    done
    [ -z "$missing" ] || skip "cannot download:$missing: $(head -3 "$apt/log")"
fi

rm -rf "$out/$name.new"
mkdir "$out/$name.new"
for deb in ./*.deb; do
    dpkg-deb -x "$deb" "$out/$name.new" || skip "cannot unpack $deb"
done
[ "$name" = root ] || rm -f ./*.deb
rm -rf "${out:?}/$name"
mv "$out/$name.new" "$out/$name"
echo "$wanted" >"$stamp"
