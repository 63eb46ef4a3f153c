#!/usr/bin/env python3
"""Check which folder includes which: the trust boundary is the folder layout.

usage: include_rule.py SOURCE-DIR [VERIFIER-OBJECT...]

Dependencies run one way, format <- verifier <- vxrt -> vxc/translate -> format, and the verifier
and the translator share nothing but format/sandbox.h, directly or through another header.
What is trusted uses the C library, xxHash and zlib, nothing else. The verifier includes no header that
allocates or does I/O; its objects, if given, call nothing from outside but VERIFIER_CALLS and
hold no writable data.
Exit status: 0 kept, 1 broken (each breach on a line), 2 usage.
"""
import os
import re
import subprocess
import sys

# Plug-ins: they run in the sandbox, and use what they like.
GUESTS = "vxrt/examples/plugins/"

# Which project headers a folder may include: prefixes, the longest folder name decides.
ALLOWED = {
    "format/": ["format/"],
    "verifier/": ["verifier/", "format/sandbox.h", "format/cache.h"],
    "vxrt/": ["vxrt/", "vxrt.h", "verifier/verifier.h", "format/"],
    # The only file of the runtime that knows the translator; left out with VX_DYNAMIC=OFF.
    "vxrt/dynamic.c": ["vxrt/", "vxrt.h", "verifier/verifier.h", "format/",
                       "vxc/translate/translate.h"],
    "vxrt/examples/": ["vxrt.h", "vxrt/examples/decoder.h"],
    "vxc/translate/": ["vxc/translate/", "format/"],
    "vxc/cli/": ["vxc/", "verifier/verifier.h", "format/"],
}
# The contract; and the limits and types of the file format, which are declarations without code.
SHARED = {"format/sandbox.h", "format/cache.h", "format/types.h"}
TRUSTED = ("format/", "verifier/", "vxrt/")
LIBRARIES = {"zlib.h", "xxhash.h"}
# Types, memcpy and memset, and what the C library knows about the processor.
VERIFIER_HEADERS = {"stdbool.h", "stddef.h", "stdint.h", "string.h", "sys/platform/x86.h"}
VERIFIER_CALLS = {"memcpy", "memset", "__x86_get_cpuid_feature_leaf", "_GLOBAL_OFFSET_TABLE_",
                  "__stack_chk_fail", "__cpu_model", "__cpu_indicator_init"}
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.M)


def includes(root, path):
    """Pairs (is_system, name as in the repository) of a file."""
    with open(os.path.join(root, path), encoding="utf-8") as source:
        for mark, name in INCLUDE.findall(source.read()):
            if name == "vxrt.h":
                yield False, name
                continue
            beside = os.path.normpath(os.path.join(os.path.dirname(path), name))
            if os.path.exists(os.path.join(root, name)):
                yield False, name
            elif mark == '"' and os.path.exists(os.path.join(root, beside)):
                yield False, beside
            else:
                yield True, name


def reach(root, files):
    """All project headers that the files include, also through others."""
    found, todo = set(), list(files)
    while todo:
        for is_system, name in includes(root, todo.pop()):
            name = "vxrt/include/vxrt.h" if name == "vxrt.h" else name
            if not is_system and name not in found:
                found.add(name)
                todo.append(name)
    return found


def libc_headers():
    """Directories whose headers come with the C compiler and the C library."""
    probe = subprocess.run(["cc", "-E", "-v", "-x", "c", os.devnull], capture_output=True, text=True)
    lines = probe.stderr.split("> search starts here:")[-1].splitlines()
    return [line.strip() for line in lines if line.startswith(" /")]


# How those who installed Vx include it.
INSTALLED = {"vx/vxrt.h": "vxrt.h"}


def check_file(root, path, system_dirs):
    rule = max((folder for folder in ALLOWED if path.startswith(folder)), key=len)
    for is_system, name in includes(root, path):
        if name in INSTALLED and path.startswith("vxrt/examples/"):
            is_system, name = False, INSTALLED[name]
        if not is_system and not any(name.startswith(prefix) for prefix in ALLOWED[rule]):
            yield f"{path}: includes {name}, which {rule} must not"
        if is_system and path.startswith(TRUSTED) and name not in LIBRARIES:
            owner = next((os.path.join(d, name) for d in system_dirs
                          if os.path.exists(os.path.join(d, name))), None)
            if owner is None:
                yield f"{path}: includes {name}, which is not of the C library"
        if is_system and path.startswith("verifier/") and name not in VERIFIER_HEADERS:
            yield f"{path}: includes {name}, which the verifier has no use for"


def check_objects(paths):
    """Calls out of the verifier, and its writable data."""
    listing = subprocess.run(["nm", "--format=sysv", *paths], capture_output=True, text=True, check=True)
    rows = [[cell.strip() for cell in line.split("|")] for line in listing.stdout.splitlines()]
    symbols = [(row[0], row[2], row[6]) for row in rows if len(row) == 7 and row[2] != "Class"]
    own = {name for name, kind, _ in symbols if kind in "TR"}
    for name, kind, section in symbols:
        if kind in "Uw" and name not in own | VERIFIER_CALLS:
            yield f"verifier/: calls {name}"
        # What the loader relocates is read-only from then on.
        if kind in "bBdDC" and not section.startswith(".data.rel.ro"):
            yield f"verifier/: writable data: {name}"


def main():
    if len(sys.argv) < 2:
        print(__doc__, file=sys.stderr)
        return 2
    root = sys.argv[1]
    files = [os.path.relpath(os.path.join(folder, name), root)
             for top in ("format", "verifier", "vxrt", "vxc")
             for folder, _, names in os.walk(os.path.join(root, top))
             for name in names if name.endswith((".c", ".h", ".S"))
             and not os.path.join(folder, name).startswith(os.path.join(root, GUESTS))]
    system_dirs = libc_headers()
    breaches = [b for path in sorted(files) for b in check_file(root, path, system_dirs)]
    verifier = reach(root, [f for f in files if f.startswith("verifier/")])
    translator = reach(root, [f for f in files if f.startswith("vxc/translate/")])
    breaches += [f"{name}: used by both verifier/ and vxc/translate/"
                 for name in sorted((verifier & translator) - SHARED)]
    if len(sys.argv) > 2:
        breaches += check_objects(sys.argv[2:])
    for breach in breaches:
        print(breach)
    print(f"{len(files)} files, {len(breaches)} breaches")
    return 1 if breaches else 0


if __name__ == "__main__":
    sys.exit(main())
