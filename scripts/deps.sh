#!/bin/sh
# Install what building and testing need, on Debian 12 or Ubuntu:
#     scripts/deps.sh
# Packages that are there are left alone. As root it installs the missing ones; as another user
# it prints the one command that does.
# Exit status: 0 all there; 1 something is missing.
set -eu

# Build; guests (-m32); tests (csmith, clang, llvm-mc, CUnit, Zydis, Python, unshare); corpus (dpkg-deb's xz, apt's https).
packages='gcc g++ libc6-dev cmake ninja-build libxxhash-dev zlib1g-dev libseccomp-dev
gcc-multilib g++-multilib csmith libcsmith-dev clang llvm binutils libcunit1-dev libzydis-dev python3 xz-utils util-linux ca-certificates'

if ! command -v dpkg-query >/dev/null 2>&1 || ! command -v apt-get >/dev/null 2>&1; then
    echo "deps.sh: no apt here; what is needed, by Debian's names: $packages" >&2
    exit 0
fi

missing=
for package in $packages; do
    state=$(dpkg-query -W -f '${Status}' "$package" 2>/dev/null || true)
    [ "$state" = 'install ok installed' ] || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

install="apt-get install -y --no-install-recommends$missing"
if [ "$(id -u)" -ne 0 ]; then
    echo "deps.sh: these packages are missing; install them with" >&2
    echo "    sudo $install" >&2
    exit 1
fi
echo "deps.sh: $install" >&2
export DEBIAN_FRONTEND=noninteractive
# Package lists may be absent or old; with those that are there it may still work.
apt-get update -qq || echo 'deps.sh: apt-get update failed, going on' >&2
# shellcheck disable=SC2086
apt-get install -y -qq --no-install-recommends $missing >&2
