#!/usr/bin/env python3
"""Install into a scratch directory, and build the embedding example against that alone.

usage: install_test.py CMAKE BINARY-DIR SOURCE-DIR

Both libraries must link, from C and from C++, with no path into the source tree, and have every function that
the headers declare.
Exit status: 0 good, 1 not, 77 skipped.
"""
import glob
import os
import re
import shutil
import subprocess
import sys
import tempfile

import installed

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


def declared(prefix):
    """Names of all public functions."""
    names = set()
    for header in glob.glob(os.path.join(prefix, "include/vx/**/*.h"), recursive=True):
        with open(header, encoding="utf-8") as text:
            names |= set(re.findall(r"^(?:const )?(?:struct )?\w+ \*?(vx_\w+)\(", text.read(), re.M))
    return sorted(names)


def build_cxx(prefix, scratch, name, *link):
    """A program in C++ that needs every function."""
    names = declared(prefix)
    assert {"vx_strerror", "vx_box_call", "vx_box_user", "vx_version", "vx_box_pointer"} <= set(names), names
    program = os.path.join(scratch, name)
    calls = ", ".join(f"(void (*)()){function}" for function in names)
    run("c++", "-std=c++11", "-Wall", "-Wextra", "-Werror", "-Wno-cast-function-type", "-I" + os.path.join(prefix, "include"), "-x", "c++", "-", "-o", program,
        "-x", "none", *link, input=("#include <vx/vxrt.h>\nvoid (*volatile all[])() = { " + calls + " };\n"
                                    "int main() { return all[0] == nullptr; }\n").encode())
    subprocess.run([program], check=True)


def main():
    if len(sys.argv) != 4:
        print(__doc__, file=sys.stderr)
        return 2
    cmake, binary, source = sys.argv[1:]
    reason = installed.why_not(binary)
    if reason:
        print("skipped:", reason)
        return 77
    with tempfile.TemporaryDirectory(prefix="vx-install-") as scratch:
        prefix = os.path.join(scratch, "prefix")
        directory = installed.install(cmake, binary, prefix)
        with open(os.path.join(source, "vxrt/examples/embed.c"), encoding="utf-8") as example:
            text = example.read().replace('#include "vxrt.h"', "#include <vx/vxrt.h>")
        user = os.path.join(scratch, "embed.c")
        with open(user, "w", encoding="utf-8") as out:
            out.write(text)
        static = os.path.join(directory, "libvxrt.a")
        build(prefix, scratch, user, "static", static, "-lz", "-lxxhash", "-pthread")
        build(prefix, scratch, user, "shared", "-L" + directory, "-Wl,-rpath," + directory, "-lvxrt")
        if shutil.which("pkg-config"):
            found = run("pkg-config", "--cflags", "--libs", "vxrt", capture_output=True, text=True,
                        env={**os.environ, "PKG_CONFIG_PATH": os.path.join(directory, "pkgconfig")})
            build(prefix, scratch, user, "packaged", "-Wl,-rpath," + directory, *found.stdout.split())
        build_cxx(prefix, scratch, "cxx_static", static, "-lz", "-lxxhash", "-pthread")
        build_cxx(prefix, scratch, "cxx_shared", "-L" + directory, "-Wl,-rpath," + directory, "-lvxrt")
        for tool in ("vxc", "vxrun"):
            run(os.path.join(prefix, "bin", tool), "--version")
    return 0


if __name__ == "__main__":
    sys.exit(main())
