#!/usr/bin/env python3
"""Install into a scratch directory, and build the embedding example against that alone.

usage: install_test.py CMAKE BINARY-DIR SOURCE-DIR

Both libraries must link, from C and (the header) from C++, with no path into the source tree.
Exit status: 0 good, 1 not, 77 skipped.
"""
import glob
import os
import shutil
import subprocess
import sys
import tempfile

EXAMPLE_WITHOUT_GUEST = 125  # what the example answers when it is called without arguments


def run(*command, **options):
    print("$", *command, flush=True)
    return subprocess.run(command, check=True, **options)


def build(prefix, scratch, source, name, *link):
    program = os.path.join(scratch, name)
    run("cc", "-std=gnu11", "-D_GNU_SOURCE", "-Wall", "-Werror", "-I" + os.path.join(prefix, "include"),
        source, "-o", program, *link)
    done = subprocess.run([program], capture_output=True, text=True)
    if done.returncode != EXAMPLE_WITHOUT_GUEST:
        sys.exit(f"{name}: exit {done.returncode}: {done.stderr}")


def main():
    if len(sys.argv) != 4:
        print(__doc__, file=sys.stderr)
        return 2
    cmake, binary, source = sys.argv[1:]
    cache = open(os.path.join(binary, "CMakeCache.txt"), encoding="utf-8").read()
    if "VX_SANITIZE:BOOL=ON" in cache:
        print("skipped: a build with sanitizers is not installed")
        return 77
    with tempfile.TemporaryDirectory(prefix="vx-install-") as scratch:
        prefix = os.path.join(scratch, "prefix")
        run(cmake, "--install", binary, "--prefix", prefix, stdout=subprocess.DEVNULL)
        with open(os.path.join(source, "vxrt/examples/embed.c"), encoding="utf-8") as example:
            text = example.read().replace('#include "vxrt.h"', "#include <vx/vxrt.h>")
        user = os.path.join(scratch, "embed.c")
        with open(user, "w", encoding="utf-8") as out:
            out.write(text)
        static, = glob.glob(os.path.join(prefix, "lib*", "**", "libvxrt.a"), recursive=True)
        directory = os.path.dirname(static)
        build(prefix, scratch, user, "static", static, "-lz", "-lxxhash", "-pthread")
        build(prefix, scratch, user, "shared", "-L" + directory, "-Wl,-rpath," + directory, "-lvxrt")
        if shutil.which("pkg-config"):
            found = run("pkg-config", "--cflags", "--libs", "vxrt", capture_output=True, text=True,
                        env={**os.environ, "PKG_CONFIG_PATH": os.path.join(directory, "pkgconfig")})
            build(prefix, scratch, user, "packaged", "-Wl,-rpath," + directory, *found.stdout.split())
        run("c++", "-fsyntax-only", "-Wall", "-Werror", "-I" + os.path.join(prefix, "include"), "-x", "c++", "-",
            input=b"#include <vx/vxrt.h>\nint main() { return vx_version() == nullptr; }\n")
        for tool in ("vxc", "vxrun"):
            run(os.path.join(prefix, "bin", tool), "--version")
    return 0


if __name__ == "__main__":
    sys.exit(main())
