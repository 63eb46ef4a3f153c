#!/usr/bin/env python3
"""Compare random instructions under vxrun with the processor itself.

usage: run.py BIN-DIR [--seed N] [--programs N] [--cases N] [--keep DIR]

For each program made by generate.py: native output, output from the cache without run-time translation,
and output without a cache must be equal. The first difference is named with its case, its bytes and
the words that differ. Exits 0 when all agree, 1 on a difference, 77 when gcc -m32 is missing.
"""
import argparse
import os
import struct
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
from generate import STATE  # noqa: E402

WORDS = ["eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi", "eflags"]


def field(offset):
    if offset < 36:
        return WORDS[offset // 4]
    if offset < 36 + 128:
        return f"xmm{(offset - 36) // 16}+{(offset - 36) % 16}"
    if offset < 168:
        return "x87 status"
    if offset < 248:
        return f"st({(offset - 168) // 10})+{(offset - 168) % 10}"
    return f"scratch+{offset - 248}"


def explain(source, native, ours):
    size = STATE
    if len(ours) != len(native):
        print(f"  output has {len(ours)} bytes instead of {len(native)}")
    for at in range(0, min(len(native), len(ours)), size):
        a, b = native[at:at + size], ours[at:at + size]
        if a == b:
            continue
        case = at // size
        print(f"  case {case}:")
        text = open(source).read()
        start = text.index(f"\ncase{case}:")
        print(text[start:text.index("call record", start)])
        for o in range(0, size, 4):
            if a[o:o + 4] != b[o:o + 4]:
                x, y = struct.unpack("<I", a[o:o + 4])[0], struct.unpack("<I", b[o:o + 4])[0]
                print(f"    {field(o)}: native {x:08x}, ours {y:08x}")
        return


def run(command, **options):
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=120, **options)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("bin")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--programs", type=int, default=4)
    parser.add_argument("--cases", type=int, default=2500)
    parser.add_argument("--keep")
    args = parser.parse_args()
    vxc, vxrun = os.path.join(args.bin, "vxc"), os.path.join(args.bin, "vxrun")
    work = args.keep or tempfile.mkdtemp(prefix="vx-exact-")
    os.makedirs(work, exist_ok=True)
    if run(["gcc", "-m32", "-nostdlib", "-static", "-x", "c", "/dev/null", "-r", "-o", "/dev/null"]).returncode:
        print("skipped: gcc -m32 does not work here")
        return 77
    for seed in range(args.seed, args.seed + args.programs):
        base = os.path.join(work, f"exact{seed}")
        source, program, cache = base + ".s", base, base + ".vxc"
        with open(source, "w") as out:
            subprocess.run([sys.executable, os.path.join(HERE, "generate.py"), str(seed), str(args.cases)],
                           stdout=out, check=True)
        subprocess.run(["gcc", "-m32", "-nostdlib", "-static", "-no-pie", "-x", "assembler", source, "-o", program],
                       check=True)
        native = run([program])
        subprocess.run([vxc, "compile", "-o", cache, program], check=True)
        for name, command in (("cache", [vxrun, "--no-dynamic", cache]), ("dynamic", [vxrun, "--no-cache", program])):
            ours = run(command)
            if ours.stdout != native.stdout or ours.returncode != native.returncode:
                print(f"seed {seed}, {name}: DIFFERENT (exit {native.returncode}, ours {ours.returncode}) {ours.stderr.decode()}")
                explain(source, native.stdout, ours.stdout)
                return 1
        print(f"seed {seed}: {args.cases} cases equal")
    return 0


if __name__ == "__main__":
    sys.exit(main())
